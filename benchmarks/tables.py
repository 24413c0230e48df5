"""The printed tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.bars import ratio_bar
from benchmarks.row import Row
from cqbook.book.performance import verdict

WIDTH = 150
_HEADERS = ("n", "d", "threads", "rounds", "median ms", "quartiles", "Gc/s best", "median",
            "x memcpy best", "median", "bar", "cores", "bits")  # fmt: skip


def speeds(rows: Iterable[Row]) -> Table:
    """Return the table of measured rows."""
    title = "Speed in 10^9 coordinates a second; x memcpy: 1 is as fast as copying the floats"
    table = Table("what", title=title, box=box.SIMPLE_HEAD, padding=0)
    for header in _HEADERS:
        table.add_column(header, justify="right", no_wrap=True)
    for r in sorted(rows, key=_order):
        if r.best is None:
            continue
        bar = ratio_bar(r.name) if r.who == "cqlib" else None
        numbers = (r.gcoords_best, r.gcoords_median, r.ratio_best, r.ratio_median)
        table.add_row(
            *(r.name, str(r.n), _power(r.d), str(r.threads), str(r.rounds), _ms(r.median)),
            f"{_ms(r.quartile1)} to {_ms(r.quartile3)}",
            *(f"{number:.3g}" for number in numbers),
            *("" if bar is None else f"{bar:g}", f"{r.cores:.1f}", f"{r.bits:g}"),
        )
    return table


def unmeasured(rows: Iterable[Row]) -> Table:
    """Return the table of rows that were not measured, with the reasons."""
    table = Table("not measured", "n", "d", "why", box=box.SIMPLE_HEAD, padding=0)
    for r in sorted(rows, key=_order):
        if r.best is None:
            n = "" if r.n is None else str(r.n)
            table.add_row(r.name, n, _power(r.d), f"{r.status}: {r.why}")
    return table


def _order(r: Row) -> tuple[object, ...]:
    return r.who != "cqlib", r.who, r.name, r.threads or 0, r.n or 0, r.d or 0


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.4g}"


def bars(records: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of bars and measured values."""
    table = Table("what", "quantity", "bar", "measured", "met", title="Bars, one thread")
    for bar in records:
        value = bar["measured"]
        shown = "not measured" if value is None else f"{value:.3g}"
        limit = f"{bar['sense']} {bar['limit']:g}"
        table.add_row(bar["name"], bar["quantity"], limit, shown, verdict(bar))
    return table


def children(first: Iterable[Mapping[str, Any]], memory: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of first calls and memory."""
    table = Table("what", "measured", title="In processes of their own")
    for row in first:
        shown = row.get("error") or (
            f"import {row['import_s']:.2f} s, first call {row['first_s']:.2f} s, "
            f"second {row['second_s'] * 1e3:.2f} ms"
        )
        table.add_row(f"{row['name']}, {row['cache']} cache", shown)
    for row in memory:
        shown = row.get("error") or (
            f"resident peak +{row['resident_growth'] / 1e6:.1f} MB, "
            f"NumPy peak {row['traced_peak'] / 1e6:.1f} MB, result {row['result'] / 1e6:.1f} MB"
        )
        table.add_row(f"{row['name']}, d = {_power(row['d'])}", shown)
    return table


def _power(d: int | None) -> str:
    if d is None:
        return ""
    return f"2^{d.bit_length() - 1}" if d & (d - 1) == 0 else str(d)
