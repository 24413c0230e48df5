"""Figures of comparisons: squared gradient norm against bits, a panel per setting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from cqbook.cells.plotting import COLORS, DASHES

# A method has one style in all figures; two methods may share it if no figure has both.
_STYLE = {"GD": 0, "MARINA + IQ": 1, "MARINA + CQ": 2, "MARINA + DRIVE": 3, "DCGD + CQ": 4}
_STYLE |= {"MARINA + PermK": 1, "MARINA + ISCC(DRIVE)": 2}


def panels(
    curves: pd.DataFrame,
    *,
    by: Sequence[str],
    title: Callable[[Mapping[str, Any]], str],
    across: int,
) -> Figure:
    """Draw the median of every method, and a band between the quartiles over the seeds.

    Args:
        curves: tables of :meth:`Comparison.curves`, for one or more settings.
        by: columns that identify a setting; each setting has a panel.
        title: function from a setting to the title of its panel.
        across: number of panels in a row.
    """
    names = list(dict.fromkeys(curves.method))
    settings = curves.groupby(list(by), sort=False, dropna=False)
    fig, axes = _grid(settings.ngroups, across)
    for ax, (key, part) in zip(axes, settings, strict=False):
        for name, style in _styles(names).items():
            line = part[part.method == name]
            kilobits = line.bits_per_client / 1e3
            ax.plot(kilobits, line["median"], label=name, **style)
            low, high = line.lower_quartile, line.upper_quartile
            ax.fill_between(kilobits, low, high, color=style["color"], alpha=0.18, linewidth=0)
        _finish(ax, title(dict(zip(by, key, strict=True))), part["median"])
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=min(len(names), 5), fontsize=9)
    return fig


def candidates(curves: pd.DataFrame, *, across: int) -> Figure:
    """Draw the median of every candidate stepsize, a panel for every method.

    The chosen stepsize is bold. The label at the end of a line is the stepsize's power of two.
    A line that leaves the panel at the top belongs to a divergent run.

    Args:
        curves: table of :meth:`Comparison.candidates`, for one setting.
        across: number of panels in a row.
    """
    names = list(dict.fromkeys(curves.method))
    fig, axes = _grid(len(names), across, sharey=True)
    start = curves["median"].iloc[0]
    lowest = curves["median"][curves["median"] > 0].min()
    for ax, name in zip(axes, names, strict=False):
        color = _styles(names)[name]["color"]
        part = curves[curves.method == name]
        ends = []
        for multiple, line in part.groupby("multiple"):
            chosen = bool(line.chosen.iloc[0])
            shown = line[np.isfinite(line["median"])]
            ax.plot(
                shown.bits_per_client / 1e3,
                shown["median"],
                color=color if chosen else "#6f6f6f",
                linestyle="-" if chosen else "--",
                linewidth=2.4 if chosen else 1.0,
                zorder=3 if chosen else 2,
            )
            end = shown[shown["median"] <= 30 * start].iloc[-1]
            ends.append((multiple, end.bits_per_client / 1e3, end["median"], chosen))
        _label_ends(ax, ends, ratio=(300 * start / lowest) ** 0.055)
        _finish(ax, name, part["median"])
        ax.set_xlim(0, curves.bits_per_client.max() / 1e3 * 1.1)
        ax.set_ylim(lowest / 3, 100 * start)
    return fig


def _label_ends(ax: Axes, ends: list[tuple[float, float, float, bool]], ratio: float) -> None:
    """Label the ends of lines with powers of two; labels at the same place are stacked."""
    place = 0.0, 0.0
    for multiple, x, y, chosen in sorted(ends, key=lambda end: (end[1], end[2])):
        place = x, max(y, place[1] * ratio) if x == place[0] else y
        text = rf"$2^{{{int(np.log2(multiple))}}}$"
        ax.annotate(
            text if not chosen else rf"$\mathbf{{2^{{{int(np.log2(multiple))}}}}}$",
            place,
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=10 if chosen else 8,
            va="center",
        )


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    free = [k for k in range(len(COLORS)) if k not in {_STYLE.get(name) for name in names}]
    others = itertools.cycle(free or range(len(COLORS)))
    order = [_STYLE[name] if name in _STYLE else next(others) for name in names]
    return {
        name: {"color": COLORS[k], "linestyle": DASHES[k]}
        for name, k in zip(names, order, strict=True)
    }


def _grid(count: int, across: int, **shared: Any) -> tuple[Figure, list[Axes]]:
    rows = -(-count // across)
    width = min(across, count)
    fig, axes = plt.subplots(
        rows,
        width,
        figsize=(max(5.0, 2.6 * width), 0.6 + 2.3 * rows),
        squeeze=False,
        layout="constrained",
        **shared,
    )
    for ax in axes.ravel()[count:]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel(r"$\|\nabla f(x)\|^2$")
    for column in range(width):
        last = axes[(count - 1 - column) // across, column]
        last.set_xlabel("kilobits sent per client")
    return fig, list(axes.ravel())


def _finish(ax: Axes, title: str, values: pd.Series[float]) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.minorticks_off()
    ax.set_title(title, fontsize=9.5)
    ax.set_xlim(left=0)
    finite = values[np.isfinite(values) & (values > 0)]
    if len(finite):
        ax.set_ylim(bottom=finite.min() / 5)
