"""The limits that the project wants to meet, with the measured values; a miss is no failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.case import D_BAR
from benchmarks.ours import FLAT
from benchmarks.row import MEASURED, Row

_RATIOS = {
    "iq encode": 0.5,
    "cq encode": 0.25,
    "cq call": 0.2,
    "mean, equal ranges": 0.4,
    "mean, own ranges": 0.2,
    "drive encode": 0.2,
}
_FLATNESS = 1.1
_MILLISECONDS = {"cq simulated mean": 0.25, "marina step": 0.5}
_TIMES_FASTER = {("marina step", "MiniFL CQ mean"): 500.0}
_AT = "n = 100, d = 1024"  # of the bars in milliseconds


@dataclass(frozen=True)
class Bar:
    """A limit on a number; ``measured`` is None where the run has no such number."""

    name: str
    quantity: str
    sense: str  # "at least" or "at most"
    limit: float
    measured: float | None


def ratio_bar(name: str) -> float | None:
    """Return the least ratio to memcpy that a case should reach, if there is one."""
    return _RATIOS.get(name)


def has_bar(name: str, d: int) -> bool:
    """Return whether a row of ours has a bar, so that it is measured more often."""
    return (name in _RATIOS and d == D_BAR) or name in _MILLISECONDS


def bars(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return all bars, with the values from the rows of one thread."""
    single = [r for r in rows if r.status == MEASURED and r.threads == 1]
    ours = [r for r in single if r.who == "cqlib"]
    found = [
        Bar(name, "speed over memcpy", "at least", limit, _ratio(ours, name))
        for name, limit in _RATIOS.items()
    ]
    found.append(
        Bar(
            FLAT.name,
            f"slowest over fastest, n = {FLAT.counts[0]} to {FLAT.counts[-1]}",
            "at most",
            _FLATNESS,
            _flatness(ours),
        )
    )
    for name, limit in _MILLISECONDS.items():
        best = _best(ours, name)
        milliseconds = None if best is None else best * 1e3
        found.append(Bar(name, f"milliseconds, {_AT}", "at most", limit, milliseconds))
    for (name, other), limit in _TIMES_FASTER.items():
        best, theirs = _best(ours, name), _best(single, other)
        times = None if best is None or theirs is None else theirs / best
        found.append(Bar(name, f"times as fast as {other}, {_AT}", "at least", limit, times))
    return [asdict(bar) for bar in found]


def _ratio(rows: list[Row], name: str) -> float | None:
    ratios = [r.ratio_best for r in rows if r.name == name and r.d == D_BAR]
    return ratios[0] if ratios else None


def _flatness(rows: list[Row]) -> float | None:
    best = [r.best for r in rows if r.name == FLAT.name and r.best is not None]
    return max(best) / min(best) if len(best) > 1 else None


def _best(rows: list[Row], name: str) -> float | None:
    best = [r.best for r in rows if r.name == name and r.best is not None]
    return best[0] if best else None
