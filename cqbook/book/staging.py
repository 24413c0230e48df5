"""The source of a book, made from prose, executed notebooks and results.

The source has three kinds of files: the prose of ``book/``, unchanged; the chapters
(``notebooks/``); and the pages made from results (``book/made/``). Sphinx executes no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat

from cqbook import paths
from cqbook.book import templates
from cqbook.book.chapter import chapter
from cqbook.book.compressors import compressor_table
from cqbook.book.ledger import errata_page, ledger_page, verdicts
from cqbook.book.outcomes import outcomes_page
from cqbook.book.performance import FOLDER, performance_page, saved
from cqbook.book.security import recorded, security_page
from cqbook.book.versions import versions_page
from cqbook.book.wire import wire_page
from cqbook.runs import contents, job, provenance, run
from cqlib.files import write_atomic


def source(profile: str) -> dict[str, bytes]:
    """Return the book's source: the content of every file by its path.

    Raises:
        RunError: if a chapter has no run of the profile.
        PageError: if two notebooks disagree.
    """
    runs = [run.read(name, paths.runs(profile) / name) for name in contents.chapters()]
    files = _prose()
    for each in runs:
        files |= chapter(each, profile)
    return files | _made(profile, runs)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write these files to a folder, and remove all others from it."""
    if folder.exists():
        for path in folder.rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in files:
                path.unlink()
    for name, content in files.items():
        write_atomic(folder / name, content)


def _prose() -> dict[str, bytes]:
    root = paths.root()
    found = [root / "_config.yml", *sorted((root / "book").rglob("*"))]
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != templates.ENDING
    }


def _other_verdicts(profile: str) -> dict[str, dict[str, str]]:
    """Return the verdicts of other profiles: quick as stored, others if their runs are current."""
    files = {"quick": [paths.notebooks() / f"{name}.ipynb" for name in contents.chapters()]}
    now = provenance.Snapshot()
    for other in sorted(path.stem for path in (paths.root() / "profiles").glob("*.yml")):
        jobs = [job.planned(source, profile=other) for source in files["quick"]]
        current = [each for each in jobs if each.folder.exists() and job.is_current(each, now)]
        files[other] = [each.folder / each.source.name for each in current]
    return {
        other: verdicts(nbformat.read(path, as_version=4) for path in made)
        for other, made in files.items()
        if other != profile
    }


def _made(profile: str, runs: Sequence[run.Run]) -> dict[str, bytes]:
    speeds, speed_files = saved()
    pages = {
        "claims": ledger_page(runs, profile, _other_verdicts(profile)),
        "errata": errata_page(runs, profile),
        "compressor_table": compressor_table(),
        "wire": wire_page(),
        "performance": performance_page(speeds),
        "outcomes": outcomes_page(runs),
        "security": security_page(recorded()),
        "versions": versions_page(profile, runs),
    }
    made = {f"{name}.md": page.encode() for name, page in pages.items()}
    made |= {f"{FOLDER}/{name}": data for name, data in speed_files.items()}
    return {f"book/made/{name}": content for name, content in made.items()}
