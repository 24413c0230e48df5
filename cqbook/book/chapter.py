"""A chapter of the book: an executed notebook with links to its data and to the ledger."""

from __future__ import annotations

from typing import Any

import nbformat

from cqbook.book.labels import claim_label, evidence_label
from cqbook.book.templates import render
from cqbook.cells import claims
from cqbook.runs.run import Run


def chapter(run: Run, profile: str) -> dict[str, bytes]:
    """Return the files of a chapter: the page, and the targets of its links.

    Args:
        run: the notebook's run.
        profile: the run's profile.
    """
    nb = run.notebook()
    anchored: set[str] = set()
    nb.cells = [each for cell in nb.cells for each in _linked(cell, run, profile, anchored)]
    nb.cells.append(_how_made(run, profile))
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number}"
    home = f"notebooks/{run.name}"
    return {
        f"{home}.ipynb": nbformat.writes(nb).encode(),
        f"{home}-files/{run.stem}.ipynb": run.executed,
        **{f"{home}-files/{file}": content for file, content in run.results.items()},
    }


def _linked(cell: Any, run: Run, profile: str, anchored: set[str]) -> list[Any]:
    """Return the cell, with anchors for its claims before and links to its figures' data after it.

    Only the first cell of a claim gets an anchor. ``anchored`` holds the claims that have one; new
    ones are added.
    """
    before, after = [], []
    for output in cell.get("outputs", []):
        about = output.get("metadata", {}).get("cqlib", {})
        item = claims.ledger().get(about.get("claim", ""))
        if item and item.id not in anchored:
            anchored.add(item.id)
            label, target = evidence_label(item.id, run.name), claim_label(item.id)
            words = {"title": item.title, "target": target, "profile": profile}
            before.append(_prose("evidence", label=label, **words))
        if figure := about.get("figure"):
            after.append(
                _prose(
                    "figure",
                    caption=about["caption"],
                    figure=figure,
                    files=f"{run.stem}-files",
                    stem=run.stem,
                )
            )
    return [*before, cell, *after]


def _how_made(run: Run, profile: str) -> Any:
    return _prose(
        "how_made",
        name=run.name,
        stem=run.stem,
        profile=profile,
        seconds=f"{run.provenance['seconds']:.0f}",
        commit=run.provenance["commit"],
        versions=run.provenance["versions"],
    )


def _prose(template: str, **facts: Any) -> Any:
    return nbformat.v4.new_markdown_cell(render(f"chapter/{template}", **facts).rstrip())
