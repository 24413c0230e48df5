"""Pages of the book that are made from records: the ledger, the compressors, the versions used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cqlib import claims, compressors


class PageError(RuntimeError):
    """The records do not make a page."""


def claim_label(id: str) -> str:
    """Return the anchor of an item on the ledger page."""
    return f"claim-{id.replace('.', '-')}"


def evidence_label(id: str, notebook: str) -> str:
    """Return the anchor of the cell of a notebook that has evidence on an item."""
    return re.sub(r"[^a-z0-9]+", "-", f"evidence-{id}-{notebook}")  # what Sphinx makes of it too


def ledger_page(evidence: Mapping[str, Iterable[claims.Evidence]]) -> str:
    """Return the ledger as a page: every item, its verdict, and links to what shows it.

    Args:
        evidence: what each notebook recorded.

    Raises:
        PageError: if two notebooks disagree on an item.
    """
    found: dict[str, list[tuple[str, claims.Evidence]]] = {id: [] for id in claims.ledger()}
    for notebook, records in evidence.items():
        for record in records:
            found[record.id].append((notebook, record))
    verdicts = {id: _verdict(id, pairs) for id, pairs in found.items()}
    counts = {v: list(verdicts.values()).count(v) for v in (*claims.VERDICTS, claims.OPEN)}
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    head = [
        "# The claims ledger",
        "",
        "Every numbered item of the paper, restated in our words, with the verdict that the "
        "notebooks of this book reached when this page was made. An item that no notebook has "
        "looked at is open. Where a statement had to be reconstructed, its entry says from what.",
        "",
        f"{len(verdicts)} items: {tally}.",
        "",
        "| item | about | verdict |",
        "|---|---|---|",
        *(
            f"| {{ref}}`{item.title} <{claim_label(item.id)}>` | {item.name} "
            f"| {_badge(verdicts[item.id])} |"
            for item in claims.ledger().values()
        ),
        "",
    ]
    entries = [_entry(item, verdicts[item.id], found[item.id]) for item in claims.ledger().values()]
    return "\n".join([*head, *entries])


def _verdict(id: str, records: Iterable[tuple[str, claims.Evidence]]) -> str:
    pairs = list(records)
    try:
        return claims.verdict([evidence for _, evidence in pairs])
    except ValueError:
        said = "; ".join(f"{notebook}: {evidence.verdict}" for notebook, evidence in pairs)
        raise PageError(f"notebooks disagree on {id}: {said}") from None


def _entry(item: claims.Item, verdict: str, records: Iterable[tuple[str, claims.Evidence]]) -> str:
    lines = [
        f"({claim_label(item.id)})=",
        f"## {item.title}: {item.name}",
        "",
        f"{_badge(verdict)} Section {item.section} of the paper.",
        "",
        item.statement,
        "",
        f"*What this reading rests on:* {item.reading}.",
        "",
    ]
    for notebook, record in records:
        link = f"{{ref}}`{notebook} <{evidence_label(item.id, notebook)}>`"
        lines += [f"- Stated: {_plain(record.stated)}", f"- Measured: {_plain(record.measured)}"]
        lines += [f"- Note: {_plain(record.note)}"] if record.note else []
        lines += [f"- Shown in {link}", ""]
    return "\n".join(lines)


def _badge(verdict: str) -> str:
    kind = "muted" if verdict == claims.OPEN else "success"
    if verdict in ("fails as stated", claims.STAND_IN):
        kind = "danger" if verdict == "fails as stated" else "warning"
    elif "corrected" in verdict or "partly" in verdict:
        kind = "warning"
    return f"{{bdg-{kind}}}`{verdict}`"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|$#])", r"\\\1", text)


def compressor_table() -> str:
    """Return the tables of compressors as Markdown: facts for n = d = 64, and default options."""
    n = d = 64
    facts = [
        r"| name | joint | bits | $\omega$ | $A$ | $B$ | $A$ equal | $A$ paper |",
        "|---|---|---|---|---|---|---|---|",
    ]
    options = ["| name | options and their defaults |", "|---|---|"]
    for name, given, *numbers in compressor_rows(n, d):
        facts.append(" | ".join([f"| `{name}`", *numbers]) + " |")
        options.append(f"| `{name}` | `{given}` |")
    return "\n".join(
        [*facts, "", f"For n = {n} clients and d = {d} coordinates.", "", *options, ""]
    )


def compressor_rows(n: int, d: int) -> list[list[str]]:
    """Return, for each compressor: name, options, joint, bits, omega and its constants A and B.

    A dash stands where the compressor has no such constant, as biased ones do not.
    """
    rows = []
    for name in compressors.names():
        c = compressors.make(name)
        options = ", ".join(f"{k}={v}" for k, v in vars(c).items()) or "none"
        facts = [name, options, "yes" if c.joint else "no", f"{c.bits(d, n):.6g}"]
        rows.append([*facts, *map(_or_dash, _constants(c, n, d))])
    return rows


def _constants(c: compressors.Compressor, n: int, d: int) -> list[Callable[[], float]]:
    return [
        lambda: c.omega(d, n),
        lambda: c.ab(n, d).A,
        lambda: c.ab(n, d).B,
        lambda: c.ab(n, d, constants="homogeneous").A,
        lambda: c.ab(n, d, constants="paper").A,
    ]


def _or_dash(constant: Callable[[], float]) -> str:
    try:
        return f"{constant():.4g}"
    except ValueError:
        return "–"


def versions_page(profile: str, runs: Mapping[str, Path]) -> str:
    """Return the page that says with what every notebook of this book was run."""
    lines = [
        "# Versions used",
        "",
        f"This book was made with the **{profile}** profile.",
        "",
        "| notebook | commit | Python | NumPy | PyTorch | processor | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, folder in runs.items():
        facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        v = facts["versions"]
        lines.append(
            f"| {{doc}}`/notebooks/{name}` | `{facts['commit']}` | {v['python']} | {v['numpy']} "
            f"| {v['torch']} | {facts['device']} | {facts['seconds']} |"
        )
    return "\n".join([*lines, ""])
