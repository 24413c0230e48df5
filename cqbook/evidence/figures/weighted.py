"""Cost of MARINA with ISCC, against the clients' heterogeneity and against their number."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cqbook.cells.plotting import COLORS

# Column: colour, marker, dash, place of its label in points from the line's start.
_LINES: dict[str, tuple[int, str, str, tuple[int, int]]] = {
    "MARINA+IQ": (1, "o", "-", (0, 5)),
    "MARINA+DRIVE": (2, "s", "-", (0, 5)),
    "ISCC(IQ), Theorem 3": (1, "^", ":", (0, -12)),
    "ISCC(DRIVE), Theorem 3": (2, "v", ":", (0, 5)),
    "ISCC(DRIVE), sharper": (3, "D", "-.", (0, -11)),
}


def iscc_cost(costs: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """Draw bits relative to gradient descent, and gains over the original MARINA.

    Args:
        costs: columns noise, and a line each as from ``iscc_cost.relative_costs``.
        curves: columns n, root_n, and one for each of four messages.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
    _costs(left, costs)
    _gains(right, curves)
    return fig


def _costs(ax: Axes, costs: pd.DataFrame) -> None:
    for label, (color, marker, dash, shift) in _LINES.items():
        style: dict[str, Any] = {"color": COLORS[color], "marker": marker, "ls": dash}
        ax.plot(costs.noise, costs[label], ms=4, lw=1.4, **style)
        place = (0.05, costs[label].iloc[0])
        ax.annotate(label, place, shift, textcoords="offset points", fontsize=9)
    ax.axhline(1, color=COLORS[0], lw=1, ls="--")
    ax.text(0.05, 1.05, "gradient descent", fontsize=9)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.06, 1.35)
    ax.set_yticks([0.1, 0.2, 0.5, 1], ["0.1", "0.2", "0.5", "1"])
    ax.set_yticks([], minor=True)
    ax.set_xlabel("noise scale s of Algorithm 6")
    ax.set_ylabel("bits over those of gradient descent")


def _gains(ax: Axes, curves: pd.DataFrame) -> None:
    names = [name for name in curves.columns if name not in ("n", "root_n")]
    for name, marker, color in zip(names, "svoD", (2, 5, 1, 3), strict=True):
        style: dict[str, Any] = {"color": COLORS[color], "marker": marker, "ms": 3}
        ax.plot(curves.n, curves[name], label=name, ls="-", lw=1, **style)
    ax.plot(curves.n, curves.root_n, color=COLORS[0], lw=1, ls="--", label=r"$\sqrt{n}$")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("number of clients n, one of them not affine")
    ax.set_ylabel("times cheaper than the original")
    ax.legend(fontsize=9)
