"""The claims ledger: the statements of the papers, and the findings of the notebooks.

``book/claims.yml`` lists every numbered item of the paper, and the statements of Global-QSGD. A
notebook calls :func:`check` where it has evidence. The ledger page of the book is made from these
records; no verdict is typed in by hand.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cqbook import paths, strict_yaml

OPEN = "open"
AS_QUOTED = "fails as quoted (statement not read)"
VERDICTS = (
    "implemented",
    "holds",
    "holds with corrected constant",
    "fails as stated",
    AS_QUOTED,
    "reproduced",
    "partly reproduced",
    "not reproduced",
    "undecided",
)
_IMPLEMENTABLE = ("definition", "assumption", "algorithm")


class RecordError(RuntimeError):
    """A claims file is damaged; the message names the file and the line."""


class ClaimError(AssertionError):
    """The computed condition does not support the verdict."""


@dataclass(frozen=True)
class Item:
    """One item of the papers, as listed in ``book/claims.yml``.

    Args:
        id: such as "theorem-1".
        kind: definition, assumption, theorem, table, ...
        title: the paper's own name of it, such as "Theorem 1".
        name: its subject.
        section: its place in the paper.
        statement: its content, in our words.
        reading: the basis of our reading.
        corrected: the correct statement, if the stated one is false, unclear or too weak.
        work: "the paper" or "Global-QSGD".
        quoted: True if the statement was not read in the work itself, but only as others quote it.
    """

    id: str
    kind: str
    title: str
    name: str
    section: str
    statement: str
    reading: str
    corrected: str = ""
    work: str = "the paper"
    quoted: bool = False


@dataclass(frozen=True)
class Evidence:
    """A verdict on an item, with the statement and the finding behind it."""

    id: str
    verdict: str
    stated: str
    measured: str
    note: str = ""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the verdict for a notebook; its metadata lets the book link to the cell."""
        title = ledger()[self.id].title
        rows = [("stated", self.stated), ("measured", self.measured), ("note", self.note)]
        lines = [f"{label}: {text}" for label, text in rows if text]
        body = "".join(f"<br>{html.escape(line)}" for line in lines)
        head = f"<strong>{html.escape(title)}: {html.escape(self.verdict)}</strong>"
        bundle = {
            "text/plain": "\n  ".join([f"{title}: {self.verdict}", *lines]),
            "text/html": f'<div class="cqlib-claim">{head}{body}</div>',
        }
        return bundle, {"cqlib": {"claim": self.id}}


@cache
def ledger() -> dict[str, Item]:
    """Return all items by id, in the paper's order.

    >>> ledger()["theorem-1"].title
    'Theorem 1'
    """
    entries = strict_yaml.read(paths.root() / "book" / "claims.yml")
    items = [Item(**entry) for entry in entries]
    return {item.id: item for item in items}


def check(
    id: str,
    verdict: str,
    *,
    holds: bool | np.bool_,
    stated: str,
    measured: str,
    note: str = "",
) -> Evidence:
    """Record a verdict: shown in the notebook and appended to the run's claims file.

    Args:
        id: an id of ``book/claims.yml``.
        verdict: one of ``VERDICTS``; "implemented" is for definitions, assumptions, algorithms.
        holds: the computed condition that supports the verdict, never a literal.
        stated: the paper's statement, in a few words.
        measured: the finding, with numbers from this run.
        note: a remark for the reader.

    Returns:
        The evidence; as a cell's last expression it is displayed.

    Raises:
        ClaimError: if ``holds`` is false, which fails the notebook.
        ValueError: if the id or verdict is unknown, ``holds`` is not a boolean, or the verdict says
            that a statement that was only quoted fails as stated.
    """
    if id not in ledger():
        raise ValueError(f"unknown claim {id!r}; ids are those of book/claims.yml")
    if verdict not in VERDICTS:
        raise ValueError(f"unknown verdict {verdict!r}; known: {', '.join(VERDICTS)}")
    if verdict == "implemented" and ledger()[id].kind not in _IMPLEMENTABLE:
        raise ValueError(f"{id} is a claim; 'implemented' is for {', '.join(_IMPLEMENTABLE)}")
    if verdict in ("fails as stated", AS_QUOTED) and ledger()[id].quoted != (verdict == AS_QUOTED):
        known = "was only quoted" if ledger()[id].quoted else "is from the work itself"
        raise ValueError(f"the statement of {id} {known}, so that it does not '{verdict}'")
    if not isinstance(holds, (bool, np.bool_)):
        raise ValueError(f"holds must be a boolean, got {type(holds).__name__}")
    if not holds:
        raise ClaimError(f"{id}: the condition behind {verdict!r} is false; measured {measured}")
    evidence = Evidence(id, verdict, stated, measured, note)
    if file := os.environ.get("CQLIB_CLAIMS"):
        with open(file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(evidence), sort_keys=True) + "\n")
    return evidence


def read(file: Path) -> list[Evidence]:
    """Return the evidence in the claims file of a run; none if the file does not exist.

    Raises:
        RecordError: if a line is not what :func:`check` writes.
    """
    if not file.exists():
        return []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{file} cannot be read: {error}") from None
    *whole, last = text.split("\n")
    found = [_evidence(line, f"{file}, line {number}") for number, line in enumerate(whole, 1)]
    if last:
        raise RecordError(f"{file}, line {len(whole) + 1}: it is cut off")
    return found


def _evidence(line: str, where: str) -> Evidence:
    """Return the evidence in a line of a claims file."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise RecordError(f"{where}: it is not JSON") from None
    names = {field.name for field in fields(Evidence)}
    texts = isinstance(told, dict) and all(isinstance(value, str) for value in told.values())
    if not texts or set(told) != names:
        wanted = ", ".join(sorted(names))
        raise RecordError(f"{where}: expected texts for {wanted}")
    evidence = Evidence(**told)
    if evidence.id not in ledger():
        raise RecordError(f"{where}: {evidence.id!r} is no item of book/claims.yml")
    if evidence.verdict not in VERDICTS:
        raise RecordError(f"{where}: {evidence.verdict!r} is no verdict")
    return evidence


def verdict(evidence: Sequence[Evidence]) -> str:
    """Return the common verdict of all evidence on an item; "open" without evidence.

    Raises:
        ValueError: if two pieces of evidence disagree.
    """
    found = {e.verdict for e in evidence}
    if len(found) > 1:
        ids = {e.id for e in evidence}
        raise ValueError(f"{', '.join(ids)}: notebooks disagree: {', '.join(sorted(found))}")
    return found.pop() if found else OPEN
