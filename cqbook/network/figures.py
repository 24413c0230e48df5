"""Figures of training between processes, and of means over slow links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from cqbook.cells.plotting import COLORS, DASHES
from cqbook.network.training import METHODS

_MARKERS = dict(zip(METHODS, "oosvD^P<X*d", strict=True))
_MEASURES = {"loss": "training loss", "accuracy": "test accuracy"}


def training(table: pd.DataFrame, x: str, label: str) -> Figure:
    """Draw medians and extremes over the seeds, a row per measure, a column per data set.

    Args:
        table: columns dataset, method, step, loss, accuracy, and x; step 0 is left out.
        x: column of the horizontal axis.
        label: label of this axis.
    """
    datasets = list(dict.fromkeys(table.dataset))
    fig, axes = plt.subplots(
        len(_MEASURES),
        len(datasets),
        figsize=(4.6 * len(datasets) + 2.4, 3.4 * len(_MEASURES)),
        layout="constrained",
        squeeze=False,
        sharex="col",
    )
    for column, dataset in enumerate(datasets):
        own = table[(table.dataset == dataset) & (table.step > 0)]
        for ax, measure in zip(axes[:, column], _MEASURES, strict=True):
            _methods(ax, own, x, measure)
        axes[0, column].set_yscale("log")
        axes[0, column].set_ylim(top=10)
        axes[0, column].set_title(dataset, fontsize=10)
        axes[-1, column].set_xlabel(label)
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside right center", fontsize=8)
    return fig


def _methods(ax: Axes, table: pd.DataFrame, x: str, measure: str) -> None:
    for number, (method, marker) in enumerate(_MARKERS.items()):
        by = table[table.method == method].groupby("step")
        at, band = by[x].median(), by[measure].agg(["min", "median", "max"])
        color, dash = COLORS[number % 6], DASHES[number % 6]
        style: dict[str, Any] = {"color": color, "ls": dash, "marker": marker, "ms": 4}
        ax.plot(at, band["median"], lw=1.3, label=method, **style)
        ax.fill_between(at, band["min"], band["max"], color=color, alpha=0.15, lw=0)
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())  # labels of minor ticks overlap
    ax.set_ylabel(_MEASURES[measure])


def predictions(predicted: pd.DataFrame, schemes: Sequence[str]) -> Figure:
    """Draw predicted against measured times of means, with a band of a factor of 1.5.

    Args:
        predicted: result of ``link_times.predict``.
        schemes: the schemes, at most nine.
    """
    fig, ax = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
    ends = np.array([predicted.least.min() / 1.5, predicted.least.max() * 1.5]) * 1e3
    ax.fill_between(ends, ends / 1.5, ends * 1.5, color=COLORS[5], alpha=0.25, lw=0)
    ax.plot(ends, ends, "-", color=COLORS[5], lw=1)
    for scheme, marker in zip(schemes, "osDv^<>PX", strict=True):
        own = predicted[predicted.scheme == scheme]
        for rate, color, fill in ((1e8, COLORS[2], "full"), (1e9, COLORS[1], "none")):
            some = own[own.rate == rate]
            style: dict[str, Any] = {"marker": marker, "color": color, "fillstyle": fill}
            label = scheme if rate == 1e8 else None
            ax.plot(1e3 * some.least, 1e3 * some.predicted, ls="", ms=6, label=label, **style)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("measured, ms")
    ax.set_ylabel("predicted, ms")
    ax.legend(fontsize=8, title="filled: 100 Mbit/s, open: 1 Gbit/s", title_fontsize=8)
    return fig


def extrapolations(model: pd.DataFrame, titles: Mapping[float, str]) -> Figure:
    """Draw extrapolated times of a mean against the number of clients.

    Args:
        model: columns rate, n, scheme, seconds.
        titles: titles of the panels, by rate.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 4.2), layout="constrained", sharey=True)
    names = list(dict.fromkeys(model.scheme))
    for ax, (rate, title) in zip(axes, titles.items(), strict=True):
        for number, (name, marker) in enumerate(zip(names, "osDv^PX", strict=True)):
            own = model[(model.rate == rate) & (model.scheme == name)]
            style: dict[str, Any] = {"color": COLORS[number % 6], "ls": DASHES[number % 6]}
            ax.loglog(own.n, own.seconds, marker=marker, ms=5, label=name, **style)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("clients n")
    axes[0].set_ylabel("seconds of a mean")
    axes[1].legend(fontsize=8)
    return fig
