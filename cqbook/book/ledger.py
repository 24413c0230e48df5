"""The pages of verdicts: all items, and the errata. They are made from the notebooks' evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cqbook.book.labels import claim_label, evidence_label
from cqbook.book.tables import table
from cqbook.book.templates import render
from cqbook.cells import claims
from cqbook.runs.run import Run

AS_STATED = ("implemented", "holds", "reproduced")


class PageError(RuntimeError):
    """The evidence of two notebooks is contradictory."""


@dataclass(frozen=True)
class Shown:
    """A piece of evidence, and its notebook."""

    evidence: claims.Evidence
    notebook: str

    @property
    def link(self) -> str:
        """A link to the cell."""
        label = evidence_label(self.evidence.id, self.notebook)
        return f"{{ref}}`{self.notebook} <{label}>`"


@dataclass(frozen=True)
class Entry:
    """An item of the ledger with its verdict and evidence.

    Args:
        item: the item.
        verdict: the common verdict of all evidence, or "open".
        shown: the evidence, in the order of the chapters.
        stated: True if a chapter states the item in a box.
    """

    item: claims.Item
    verdict: str
    shown: tuple[Shown, ...]
    stated: bool

    @property
    def anchor(self) -> str:
        """The entry's anchor on the ledger page."""
        return claim_label(self.item.id)

    @property
    def link(self) -> str:
        """A link to the entry."""
        return f"{{ref}}`{self.item.title} <{self.anchor}>`"

    @property
    def badge(self) -> str:
        """The verdict as a coloured badge."""
        return f"{{bdg-{_color(self.verdict)}}}`{self.verdict}`"


def ledger_page(runs: Iterable[Run]) -> str:
    """Return the ledger page: every item, its verdict, and links to its evidence.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    entries = _entries(runs)
    counts = Counter(entry.verdict for entry in entries)
    known = (*claims.VERDICTS, claims.OPEN)
    as_stated = (*AS_STATED, claims.OPEN)
    return render(
        "claims",
        entries=entries,
        tally=", ".join(f"{counts[verdict]} {verdict}" for verdict in known if counts[verdict]),
        table=_table(entries),
        exceptions=[entry for entry in entries if entry.verdict not in as_stated],
    )


def errata_page(runs: Iterable[Run]) -> str:
    """Return the errata page: the items with a correction, and its evidence.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    entries = [entry for entry in _entries(runs) if entry.item.corrected]
    return render("errata", entries=entries, table=_table(entries))


def stated_in(text: str) -> set[str]:
    """Return the items that a chapter states in a box, which has the item's id as label.

    >>> stated_in("```{prf:theorem} Theorem 1 of the paper :label: theorem-1")
    {'theorem-1'}
    """
    return set(re.findall(r":label: ([\w.-]+)", text)) & set(claims.ledger())


def _entries(runs: Iterable[Run]) -> list[Entry]:
    shown: dict[str, list[Shown]] = {id: [] for id in claims.ledger()}
    stated: set[str] = set()
    for run in runs:
        stated |= stated_in(run.executed.decode())
        for evidence in run.evidence:
            shown[evidence.id].append(Shown(evidence, run.name))
    return [
        Entry(item, _verdict(item.id, shown[item.id]), tuple(shown[item.id]), item.id in stated)
        for item in claims.ledger().values()
    ]


def _verdict(id: str, shown: Sequence[Shown]) -> str:
    try:
        return claims.verdict([each.evidence for each in shown])
    except ValueError:
        said = "; ".join(f"{each.notebook}: {each.evidence.verdict}" for each in shown)
        raise PageError(f"notebooks disagree on {id}: {said}") from None


def _table(entries: Iterable[Entry]) -> str:
    rows = [(entry.link, entry.item.name, entry.badge) for entry in entries]
    return table(("item", "about", "verdict"), rows)


def _color(verdict: str) -> str:
    if verdict == claims.OPEN:
        return "muted"
    if verdict in AS_STATED:
        return "success"
    return "danger" if verdict in ("fails as stated", "not reproduced") else "warning"
