"""The pages of verdicts, made from what notebooks found: the ledger of all items, the errata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cqbook.cells import claims

Found = Mapping[str, list[tuple[str, claims.Evidence]]]  # by item: notebook, what it recorded

AS_STATED = ("implemented", "holds", "reproduced")


class PageError(RuntimeError):
    """The records do not make a page."""


def claim_label(id: str) -> str:
    """Return the anchor of an item on the ledger page."""
    return f"claim-{id.replace('.', '-')}"


def evidence_label(id: str, notebook: str) -> str:
    """Return the anchor of the cell of a notebook that has evidence on an item."""
    return re.sub(r"[^a-z0-9]+", "-", f"evidence-{id}-{notebook}")  # what Sphinx makes of it too


def stated_in(text: str) -> set[str]:
    """Return the items that a chapter states in a box of its own, by the label of the box.

    >>> stated_in("```{prf:theorem} Theorem 1 of the paper :label: theorem-1")
    {'theorem-1'}
    """
    return set(re.findall(r":label: ([\w.-]+)", text)) & set(claims.ledger())


def ledger_page(
    evidence: Mapping[str, Iterable[claims.Evidence]], stated: Iterable[str] = ()
) -> str:
    """Return the ledger as a page: every item, its verdict, and links to what shows it.

    Args:
        evidence: what each notebook recorded.
        stated: items that a chapter states, and proves if they are statements.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    found, verdicts = _by_item(evidence)
    counts = {v: list(verdicts.values()).count(v) for v in (*claims.VERDICTS, claims.OPEN)}
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    head = [
        "# The claims ledger",
        "",
        "Every numbered item of the paper, restated in our words, every finding of ours about it, "
        "and what Global-QSGD states, with the verdict that the notebooks of this book reached "
        "when this page was made. An item that no notebook has looked at is open. Where a "
        "statement had to be reconstructed, its entry says from what.",
        "",
        f"{len(verdicts)} items: {tally}.",
        "",
        *_table(verdicts),
        "",
        *_exceptions(found, verdicts),
    ]
    boxes = set(stated)
    entries = [
        _entry(item, verdicts[item.id], found[item.id], item.id in boxes)
        for item in claims.ledger().values()
    ]
    return "\n".join([*head, *entries])


def errata_page(evidence: Mapping[str, Iterable[claims.Evidence]]) -> str:
    """Return the errata as a page: what is false, unclear or too weak, and what is true instead.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    found, verdicts = _by_item(evidence)
    items = [item for item in claims.ledger().values() if item.corrected]
    head = [
        "# Errata",
        "",
        "What is false, unclear or weaker than it could be in the papers, with the corrected "
        "statement and a link to its evidence. The papers' printed formulas could not be read, "
        "only its words and plain numbers: each entry says what its reading rests on, and a "
        "formula that a paper prints differently may be right there. None of this touches the "
        "papers' ideas. At n = d the corrected constants raise the gain of correlation over "
        "independent quantization; for n well below d they can lower it.",
        "",
        *_table({item.id: verdicts[item.id] for item in items}),
        "",
    ]
    return "\n".join([*head, *(_erratum(item, found[item.id]) for item in items)])


def _by_item(
    evidence: Mapping[str, Iterable[claims.Evidence]],
) -> tuple[dict[str, list[tuple[str, claims.Evidence]]], dict[str, str]]:
    found: dict[str, list[tuple[str, claims.Evidence]]] = {id: [] for id in claims.ledger()}
    for notebook, records in evidence.items():
        for record in records:
            found[record.id].append((notebook, record))
    return found, {id: _verdict(id, pairs) for id, pairs in found.items()}


def _verdict(id: str, records: Iterable[tuple[str, claims.Evidence]]) -> str:
    pairs = list(records)
    try:
        return claims.verdict([evidence for _, evidence in pairs])
    except ValueError:
        said = "; ".join(f"{notebook}: {evidence.verdict}" for notebook, evidence in pairs)
        raise PageError(f"notebooks disagree on {id}: {said}") from None


def _table(verdicts: Mapping[str, str]) -> list[str]:
    rows = []
    for id, verdict in verdicts.items():
        item = claims.ledger()[id]
        rows.append(f"| {_link(item)} | {item.name} | {_badge(verdict)} |")
    return ["| item | about | verdict |", "|---|---|---|", *rows]


def _link(item: claims.Item) -> str:
    return f"{{ref}}`{item.title} <{claim_label(item.id)}>`"


def _exceptions(found: Found, verdicts: Mapping[str, str]) -> list[str]:
    """What was looked at and is not as stated, a line of evidence each."""
    ids = [id for id, verdict in verdicts.items() if verdict not in (*AS_STATED, claims.OPEN)]
    if not ids:
        return []
    lines = [
        f"- {_link(claims.ledger()[id])}, *{verdicts[id]}*: {_plain(found[id][0][1].measured)}."
        for id in ids
    ]
    return ["## Not as stated", "", *lines, "", "{doc}`/book/made/errata` has the corrections.", ""]


def _entry(
    item: claims.Item, verdict: str, records: Iterable[tuple[str, claims.Evidence]], stated: bool
) -> str:
    lines = [
        f"({claim_label(item.id)})=",
        f"## {item.title}: {item.name}",
        "",
        f"{_badge(verdict)} {_place(item)}"
        + (f" In this book: {{prf:ref}}`{item.id}`." if stated else ""),
        "",
        item.statement,
        "",
        f"*What this reading rests on:* {item.reading}.",
        "",
        *([f"*Corrected:* {item.corrected}.", ""] if item.corrected else []),
    ]
    for notebook, record in records:
        lines += [f"- Stated: {_plain(record.stated)}", f"- Measured: {_plain(record.measured)}"]
        lines += [f"- Note: {_plain(record.note)}"] if record.note else []
        lines += [f"- Shown in {_evidence_link(item, notebook)}", ""]
    return "\n".join(lines)


def _place(item: claims.Item) -> str:
    if item.work == "the paper":
        return f"Section {item.section} of the paper."
    return f"{item.work}: {item.section}."


def _erratum(item: claims.Item, records: Iterable[tuple[str, claims.Evidence]]) -> str:
    lines = [
        f"## {item.title}: {item.name}",
        "",
        f"*{'Found' if item.kind == 'finding' else 'As stated'}:* {item.statement}",
        "",
        f"*Correct:* {item.corrected}.",
        "",
        f"*What this reading rests on:* {item.reading}.",
        "",
    ]
    lines += [
        f"- {_plain(record.measured)} ({_evidence_link(item, notebook)})"
        for notebook, record in records
    ]
    return "\n".join([*lines, ""])


def _evidence_link(item: claims.Item, notebook: str) -> str:
    return f"{{ref}}`{notebook} <{evidence_label(item.id, notebook)}>`"


def _badge(verdict: str) -> str:
    kind = "muted" if verdict == claims.OPEN else "success"
    if verdict in ("fails as stated", "not reproduced"):
        kind = "danger"
    elif verdict not in (*AS_STATED, claims.OPEN):
        kind = "warning"
    return f"{{bdg-{kind}}}`{verdict}`"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|$#])", r"\\\1", text)
