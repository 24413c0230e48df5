"""The figures: speed against the dimension, and against the number of clients."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.ours import FLAT
from benchmarks.row import Row
from cqbook.cells.plotting import use_style

_OURS = ("cq encode", "cq call", "mean, equal ranges", "one-bit decode", "drive encode")
_PEERS = ("torch fp16", "torch rand and pack", "fedjax IQ", "fedjax DRIVE", "MiniFL CQ")
_BY_CLIENTS = (FLAT.name, "mean by n", "cq simulated mean by n")


def throughput(rows: Iterable[Row]) -> str:
    """Draw the speed of cqlib and of others, with memcpy, against d; one thread. Return SVG."""
    use_style()
    found = _measured(rows)
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), sharey=True)
    for ax, title, names in zip(axes, ("cqlib", "others"), (_OURS, _PEERS), strict=True):
        _copies(ax, found)
        for name in names:
            _line(ax, [r for r in found if r.name == name], "d", name)
        ax.set(title=title, xlabel="coordinates d", xscale="log", yscale="log")
        ax.set_xscale("log", base=2)
        ax.legend(fontsize=8.5, ncols=2, loc="lower center")
    low, high = axes[0].get_ylim()
    axes[0].set(ylabel="10⁹ coordinates a second (median)", ylim=(low / 30, high))
    return _svg(fig)


def clients(rows: Iterable[Row]) -> str:
    """Draw our speed against the number of clients, one thread. Return SVG."""
    use_style()
    found = _measured(rows)
    fig, ax = plt.subplots()
    for name in _BY_CLIENTS:
        _line(ax, [r for r in found if r.name == name], "n", name)
    ax.set(xlabel="clients n", ylabel="10⁹ coordinates of clients a second (median)", yscale="log")
    ax.set_xscale("log", base=2)
    ax.legend()
    return _svg(fig)


def _measured(rows: Iterable[Row]) -> list[Row]:
    return [r for r in rows if r.best is not None and r.threads == 1 and r.who != "triton"]


def _line(ax: Axes, rows: Sequence[Row], variable: str, label: str) -> None:
    """Draw one line, with the quartiles as a band."""
    rows = sorted(rows, key=lambda r: getattr(r, variable))
    if not rows:
        return
    x = [getattr(r, variable) for r in rows]
    middle, low, high = (
        [_processed(r) / (getattr(r, seconds) or 1) / 1e9 for r in rows]
        for seconds in ("median", "quartile3", "quartile1")
    )
    (line,) = ax.plot(x, middle, marker="o", markersize=3, label=label)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def _processed(r: Row) -> int:
    """Coordinates that a call processes; those of all messages, where n is varied."""
    of_all = r.name in _BY_CLIENTS and r.name != FLAT.name
    return (r.n or 0) * (r.d or 0) if of_all else r.coordinates or 0


def _copies(ax: Axes, rows: Sequence[Row]) -> None:
    """Draw the line of memcpy, as timed with the CQ encoder."""
    timed = sorted((r for r in rows if r.name == "cq encode"), key=lambda r: r.d or 0)
    speed = [(r.coordinates or 0) / (r.memcpy_median or 1) / 1e9 for r in timed]
    ax.plot([r.d or 0 for r in timed], speed, label="memcpy")


def _svg(fig: Figure) -> str:
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(fig)
    return buffer.getvalue()
