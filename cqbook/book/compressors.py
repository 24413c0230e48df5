"""The table of compressors, made from the registry."""

from __future__ import annotations

from collections.abc import Callable

from cqbook.book.tables import table
from cqbook.book.templates import render
from cqlib import compressors

_N = _D = 64  # of the table


def compressor_table() -> str:
    """Return the tables of compressors as Markdown: constants for n = d = 64, default options."""
    rows = compressor_rows(_N, _D)
    symbols = (r"$\omega$", "$A$", "$B$", "$A$ equal", "$A$ paper")
    facts = [(f"`{name}`", *numbers) for name, _, *numbers in rows]
    options = [(f"`{name}`", f"`{given}`") for name, given, *_ in rows]
    return render(
        "compressor_table",
        n=_N,
        d=_D,
        facts=table(("name", "joint", "bits", *symbols), facts),
        options=table(("name", "options and their defaults"), options),
    )


def compressor_rows(n: int, d: int) -> list[list[str]]:
    """Return, for each compressor: name, options, joint, bits, omega and its constants A and B.

    A dash stands for a missing constant. Biased compressors have none.
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
