"""Pages of the book that are made from records: the compressors and the versions used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from cqlib import compressors


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
