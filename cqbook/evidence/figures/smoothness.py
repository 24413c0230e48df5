"""Smoothness constants: against the noise of Algorithm 5, and against the number of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cqbook.cells.plotting import COLORS, DASHES


def constants(left: NDArray[np.float64], right: pd.DataFrame, titles: tuple[str, str]) -> Figure:
    """Draw the constants of quadratics, and L_pm / L_- of logistic regression.

    Args:
        left: columns s, L_-, L_+, L_pm.
        right: columns samples, n, lower, upper: a line per order of the samples.
        titles: titles of the two panels.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 3.7), layout="constrained")
    _against_noise(axes[0], left)
    _against_clients(axes[1], right)
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=10)
    return fig


def _against_noise(ax: Axes, table: NDArray[np.float64]) -> None:
    for k, label in enumerate(("$L_-$", "$L_+$", "$L_\\pm$")):
        ax.plot(table[:, 0], table[:, k + 1], color=COLORS[k], ls=DASHES[k])
        ax.text(2.04, table[-1, k + 1], label, va="center")
    ax.set_xlim(0, 2.25)
    ax.set_ylim(0)
    ax.set_xlabel("noise s of Algorithm 5")
    ax.set_ylabel("smoothness constant")


def _against_clients(ax: Axes, table: pd.DataFrame) -> None:
    names = list(dict.fromkeys(table.samples))
    for number, (name, marker) in enumerate(zip(names, ("s", "^", "o"), strict=True)):
        own = table[table.samples == name]
        style: dict[str, Any] = {"color": COLORS[number], "ms": 4, "lw": 1.2, "marker": marker}
        ax.plot(own.n, own.lower, ls="-", label=name, **style)
        ax.plot(own.n, own.upper, ls=":", **style)
    ax.axhline(1, color=COLORS[5], lw=0.8, ls="-")
    ax.set_xscale("log")
    ax.set_ylim(0)
    ax.set_xlabel("number of clients n")
    ax.set_ylabel(r"$L_\pm/L_-$")
    ax.legend(title="samples dealt out", loc="upper left")


def trend(lower: Mapping[str, NDArray[np.float64]]) -> str:
    """Return a sentence on how often the lower bound rises from one number of clients to the next.

    Args:
        lower: lower bounds of L_pm / L_- by order of the samples, for ascending n.

    >>> trend({"shuffled": np.array([1.0, 2.0, 1.5])})
    'From one n to the next they rise in 1 of 2 cases'
    """
    changes = np.concatenate([np.diff(values) for values in lower.values()])
    rises = int((changes > 0).sum())
    text = f"From one n to the next they rise in {rises} of {len(changes)} cases"
    if rises > 0.8 * len(changes):
        text += ": the fewer samples a client has, the less alike the clients are"
        text += "" if rises == len(changes) else ", on the whole"
    return text
