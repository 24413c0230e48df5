"""The page of versions, made from the provenance of the runs."""

from __future__ import annotations

from collections.abc import Iterable

from cqbook.book.tables import table
from cqbook.book.templates import plain, render
from cqbook.runs.run import Run


def versions_page(profile: str, runs: Iterable[Run]) -> str:
    """Return the page: commit, versions and processor of every notebook's run."""
    headers = ("notebook", "commit", "Python", "NumPy", "PyTorch", "processor", "seconds")
    return render("versions", profile=profile, table=table(headers, map(_row, runs)))


def _row(run: Run) -> tuple[object, ...]:
    facts, v = run.provenance, run.provenance["versions"]
    versions = v["python"], v["numpy"], v["torch"]
    chapter = f"{{doc}}`/notebooks/{run.name}`"
    return chapter, f"`{facts['commit']}`", *versions, plain(facts["device"]), facts["seconds"]
