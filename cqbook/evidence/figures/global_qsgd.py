"""Errors of Global-QSGD: against the dimension, and against the number of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cqbook.cells.plotting import COLORS

_CURVES: dict[str, dict[str, Any]] = {
    "flat": {"marker": "s", "ls": "", "ms": 4, "color": COLORS[2]},
    "Gaussian": {"marker": "o", "ls": "", "ms": 4, "color": COLORS[1]},
    "bound, sqrt(nd)": {"ls": "-", "color": COLORS[0]},
    "as noted, sqrt(d)": {"ls": "--", "color": COLORS[5]},
}


def theta(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw exact errors, bound and noted value against the dimension, a panel per kind of levels.

    Args:
        table: columns levels, curve, d, theta.
        titles: titles of the panels, by kind of levels.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 3.8), layout="constrained", sharey=True)
    for ax, (levels, title) in zip(axes, titles.items(), strict=True):
        for name, style in _CURVES.items():
            own = table[(table.levels == levels) & (table.curve == name)]
            ax.loglog(own.d, own.theta, label=name, **style)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("dimension d")
    axes[0].set_ylabel(r"$\theta$: error over mean $\|x_i\|^2$")
    axes[0].legend(fontsize=9)
    return fig


def reductions(table: pd.DataFrame) -> Figure:
    """Draw errors by kind of reduction, a panel for equal and one for independent vectors.

    Args:
        table: columns inputs, n, sums, error.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 3.8), layout="constrained", sharey=True)
    names = {"sum": "exact sum", "tree": "tree", "fold": "one after the other"}
    for ax, inputs in zip(axes, ("equal", "independent"), strict=True):
        for (sums, label), marker, color in zip(names.items(), "os^", COLORS[:3], strict=True):
            own = table[(table.inputs == inputs) & (table["sums"] == sums)]
            ax.loglog(own.n, own.error, marker=marker, color=color, label=label)
        ax.set_title(f"{inputs} vectors", fontsize=10)
        ax.set_xlabel("clients n")
    axes[0].set_ylabel(r"error of the mean")
    axes[1].legend(fontsize=9)
    return fig
