"""Figures of correlated quantization: the steps of Algorithm 2, and errors against n."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cqbook.cells import plotting
from cqlib import theory

Array = NDArray[np.float64]


def example_of_steps() -> pd.DataFrame:
    """Return one draw of Algorithm 2, and one of independent thresholds, for six clients.

    >>> example_of_steps().columns.tolist()[2:]
    ['cell', 'correlated_threshold', 'independent_threshold']
    """
    order = np.array([3, 0, 5, 1, 4, 2])
    offsets = np.array([0.62, 0.35, 0.20, 0.80, 0.45, 0.28]) / len(order)
    return pd.DataFrame(
        {
            "client": range(len(order)),
            "position": 0.55,
            "cell": order,
            "correlated_threshold": order / len(order) + offsets,
            "independent_threshold": [0.31, 0.48, 0.12, 0.66, 0.90, 0.40],
        }
    )


def draw_steps(example: pd.DataFrame) -> Figure:
    """Draw positions, cells, thresholds in their cells, and independent thresholds."""
    fig, axes = plt.subplots(1, 4, figsize=(9.6, 2.9), sharey=True, layout="constrained")
    positions, cells, compare, coins = axes
    _set_panel(positions, "step 1: positions", example)
    for i, y in enumerate(example["position"]):
        positions.plot(y, i, "|", color=plotting.COLORS[1], ms=16, mew=3)
    _set_panel(cells, "step 2: a cell each", example)
    _draw_cells(cells, example)
    _set_panel(compare, "step 3: compare", example)
    _draw_cells(compare, example)
    _draw_thresholds(compare, example, "correlated_threshold")
    _set_panel(coins, "independent coins", example)
    _draw_thresholds(coins, example, "independent_threshold")
    positions.set_ylabel("client")
    return fig


def _set_panel(ax: Axes, title: str, example: pd.DataFrame) -> None:
    ax.set_title(title, fontsize=10)
    ax.axvline(example["position"].iloc[0], color=plotting.COLORS[1], lw=1.4, ls="-")
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1])
    ax.set_ylim(len(example) - 0.4, -0.6)
    ax.grid(axis="y", alpha=0)
    ax.set_xlabel("threshold, position")


def _draw_cells(ax: Axes, example: pd.DataFrame) -> None:
    n = len(example)
    for i, cell in enumerate(example["cell"]):
        ax.barh(i, width=1 / n, left=cell / n, height=0.8, color="#d5dde8")


def _draw_thresholds(ax: Axes, example: pd.DataFrame, column: str) -> None:
    up = example[column] < example["position"]
    for i, (threshold, above) in enumerate(zip(example[column], up, strict=True)):
        ax.plot(threshold, i, "o" if above else "x", color=plotting.COLORS[2], ms=6)
    text = f"{int(up.sum())} of {len(example)} up"
    ax.text(0.99, -0.42, text, ha="right", va="center", fontsize=9)


def shares_of_bound(a: Array, most: int) -> pd.DataFrame:
    r"""Return the exact error of CQ for n equal clients over $\frac d{n^2}\|a\|^2$.

    Args:
        a: the vector of all clients, shape (d,), d >= 2.
        most: about the largest n.

    Returns:
        Columns ``n`` (from 2, about a geometric series, with odd and even numbers) and
        ``share_of_bound``.

    Raises:
        ValueError: if d = 1, where IQ and CQ have no error.
    """
    if len(a) < 2:
        raise ValueError(f"d_curve must be at least 2, got {len(a)}")
    ns = np.unique(np.round(np.geomspace(2, most, 60)).astype(int))
    ns = np.unique(np.concatenate([ns, ns + 1]))
    errors = np.array([float(theory.cq_mse_equal(a, n)) for n in ns])
    return pd.DataFrame({"n": ns, "share_of_bound": errors * ns**2 / (len(a) * (a**2).sum())})


def draw_shares(table: pd.DataFrame, d: int) -> Figure:
    """Draw the shares of the bound for even and odd n, and the constants of the chapter.

    Args:
        table: result of :func:`shares_of_bound`.
        d: number of coordinates, marked by a line at its square root.
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    ns, share = table["n"].to_numpy(), table["share_of_bound"].to_numpy()
    for parity, marker, label in ((0, "o", "even n"), (1, "s", "odd n")):
        own = ns % 2 == parity
        color = plotting.COLORS[1 + parity]
        ax.plot(ns[own], share[own], marker, ms=4, ls="-", lw=1, color=color, label=label)
    levels = ((1, "bound $d/n^2$"), (2 / 3, "typical 2/3"), (1 / 4, "constant as read"))
    for (level, _), k, ls in zip(levels, (0, 5, 4), ("--", ":", "-."), strict=True):
        ax.axhline(level, color=plotting.COLORS[k], lw=1, ls=ls)
    for level, text in levels:
        box = {"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none"}
        ax.text(ns[-1] * 1.15, level, text, va="center", fontsize=9, bbox=box)
    ax.axvline(d**0.5, color=plotting.COLORS[5], lw=0.8)
    ax.set_xscale("log")
    ax.set_xlim(1.8, ns[-1] * 3.2)
    ax.set_ylim(0, 1.08)
    ax.text(d**0.5 * 0.95, 0.05, r"$n=\sqrt{d}$", ha="right", fontsize=9)
    ax.set_xlabel("number of clients n")
    ax.set_ylabel(r"error of CQ over $\frac{d}{n^2}\|a\|^2$")
    ax.legend(loc="lower right", bbox_to_anchor=(0.72, 0.0))
    return fig
