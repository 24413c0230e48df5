"""The pages of verdicts: all items, and the errata. They are made from the notebooks' evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import nbformat

from cqbook import verify
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
        profile: the profile of the runs.
        elsewhere: other verdicts, of runs of other profiles, by profile.
    """

    item: claims.Item
    verdict: str
    shown: tuple[Shown, ...]
    stated: bool
    profile: str
    elsewhere: Mapping[str, str]

    @property
    def anchor(self) -> str:
        """The entry's anchor on the ledger page."""
        return claim_label(self.item.id)

    @property
    def link(self) -> str:
        """A link to the entry."""
        return f"{{ref}}`{self.item.title} <{self.anchor}>`"

    @property
    def exact(self) -> bool:
        """True if `cqlib verify` derives the verdict again."""
        return self.item.id in verify.CHECKS

    @property
    def badge(self) -> str:
        """The verdict as a coloured badge, and those of other profiles."""
        others = [f"{profile}: {_badge(verdict)}" for profile, verdict in self.elsewhere.items()]
        if not others:
            return _badge(self.verdict)
        return "; ".join([f"{self.profile}: {_badge(self.verdict)}", *others])


Verdicts = Mapping[str, Mapping[str, str]]


def ledger_page(runs: Iterable[Run], profile: str, others: Verdicts) -> str:
    """Return the ledger page: every item, its verdict, and links to its evidence.

    Args:
        runs: the runs of the book's profile.
        profile: its name.
        others: the verdicts of other profiles by item, by profile.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    entries = _entries(runs, profile, others)
    counts = Counter(entry.verdict for entry in entries)
    known = (*claims.VERDICTS, claims.OPEN)
    as_stated = (*AS_STATED, claims.OPEN)
    return render(
        "claims",
        entries=entries,
        tally=", ".join(f"{counts[verdict]} {verdict}" for verdict in known if counts[verdict]),
        table=_table(entries),
        exceptions=[entry for entry in entries if entry.verdict not in as_stated],
        profile=profile,
        differing=[entry for entry in entries if entry.elsewhere],
    )


def errata_page(runs: Iterable[Run], profile: str) -> str:
    """Return the errata page: the items with a correction, and its evidence.

    Statements that were only quoted have a part of their own.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    entries = [entry for entry in _entries(runs, profile, {}) if entry.item.corrected]
    findings = [entry for entry in entries if entry.item.kind == "finding"]
    quoted = [entry for entry in entries if entry.item.quoted]
    parts = [
        ("read", [entry for entry in entries if entry not in (*findings, *quoted)]),
        ("quoted", quoted),
        ("findings", findings),
    ]
    shown = [(name, part, _table(part)) for name, part in parts if part]
    return render("errata", parts=shown, profile=profile)


def verdicts(notebooks: Iterable[nbformat.NotebookNode]) -> dict[str, str]:
    """Return the verdicts that executed notebooks show, by item.

    Raises:
        ValueError: if two of them disagree.
    """
    found: dict[str, set[str]] = {}
    for nb in notebooks:
        for id, verdict in stored(nb):
            found.setdefault(id, set()).add(verdict)
    for id, each in found.items():
        if len(each) > 1:
            raise ValueError(f"{id}: notebooks disagree: {', '.join(sorted(each))}")
    return {id: each.pop() for id, each in found.items()}


def stored(nb: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield item and verdict of every claim in the outputs of a notebook."""
    for output in (output for cell in nb.cells for output in cell.get("outputs", [])):
        if id := output.get("metadata", {}).get("cqlib", {}).get("claim"):
            yield id, output.data["text/plain"].splitlines()[0].rpartition(": ")[2]


def stated_in(text: str) -> set[str]:
    """Return the items that a chapter states in a box, which has the item's id as label.

    >>> stated_in("```{prf:theorem} Theorem 1 of the paper :label: theorem-1")
    {'theorem-1'}
    """
    return set(re.findall(r":label: ([\w.-]+)", text)) & set(claims.ledger())


def _entries(runs: Iterable[Run], profile: str, others: Verdicts) -> list[Entry]:
    shown: dict[str, list[Shown]] = {id: [] for id in claims.ledger()}
    stated: set[str] = set()
    for run in runs:
        stated |= stated_in(run.executed.decode())
        for evidence in run.evidence:
            shown[evidence.id].append(Shown(evidence, run.name))
    entries = []
    for item in claims.ledger().values():
        own = _verdict(item.id, shown[item.id])
        told = {name: found[item.id] for name, found in others.items() if item.id in found}
        elsewhere = {name: verdict for name, verdict in told.items() if verdict != own}
        is_stated = item.id in stated
        entries.append(Entry(item, own, tuple(shown[item.id]), is_stated, profile, elsewhere))
    return entries


def _verdict(id: str, shown: Sequence[Shown]) -> str:
    try:
        return claims.verdict([each.evidence for each in shown])
    except ValueError:
        said = "; ".join(f"{each.notebook}: {each.evidence.verdict}" for each in shown)
        raise PageError(f"notebooks disagree on {id}: {said}") from None


def _table(entries: Iterable[Entry]) -> str:
    rows = [(entry.link, entry.item.name, entry.badge) for entry in entries]
    return table(("item", "about", "verdict"), rows)


def _badge(verdict: str) -> str:
    return f"{{bdg-{_color(verdict)}}}`{verdict}`"


def _color(verdict: str) -> str:
    if verdict in (claims.OPEN, "undecided"):
        return "muted"
    if verdict in AS_STATED:
        return "success"
    if verdict == claims.AS_QUOTED:
        return "danger-line"  # an outline: the fault may be the quotation's
    return "danger" if verdict in ("fails as stated", "not reproduced") else "warning"
