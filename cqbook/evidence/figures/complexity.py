"""Predicted bits of IQ and CQ: their ratio at n = d, and the maps of Figure 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from cqbook.cells.plotting import COLORS, DASHES
from cqbook.evidence.gains import speedups
from cqlib import theory

Array = NDArray[np.float64]


def approach(
    d: Array, ratios: Mapping[str, Array], limits: Mapping[str, float], sets: Mapping[str, int]
) -> Figure:
    """Draw the bits of IQ over those of CQ at n = d, and the limits of this ratio.

    Args:
        d: dimensions.
        ratios: ratios by kind of constants, each of the shape of d.
        limits: limits of the ratios, by kind of constants.
        sets: dimension of each data set, by name.
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for k, (kind, ratio) in enumerate(ratios.items()):
        ax.plot(d, ratio, color=COLORS[1 + k], ls=DASHES[2 * (1 - k)])
        ax.axhline(limits[kind], color=COLORS[5], lw=0.9, ls=":")
        text = f"{kind}\n(limit {limits[kind]:.2f})"
        ax.text(2e9, ratio[-1], text, va="center", fontsize=9)
    for name, size in sets.items():
        ax.axvline(size, color=COLORS[5], lw=0.7)
        ax.text(size, 0.4, name, rotation=90, ha="right", va="bottom", fontsize=8)
    ax.set_xscale("log")
    ax.set_xlim(10, 2e11)
    ax.set_xticks([10**k for k in range(1, 10, 2)])
    ax.minorticks_off()
    ax.set_ylim(0, 14)
    ax.set_xlabel("n = d, number of clients and of coordinates")
    ax.set_ylabel("bits of IQ over bits of CQ")
    return fig


class Maps(NamedTuple):
    """Gains over dimensions and numbers of clients.

    Args:
        d: 10 to 1e7, shape (resolution,).
        n: 1 to 1e7, shape (resolution,).
        iq: gain of IQ over gradient descent, shape (resolution, resolution), n first.
        cq: gain of CQ.
        thresholds: by quantizer, the smallest number of clients with a gain, for each d.
    """

    d: Array
    n: Array
    iq: Array
    cq: Array
    thresholds: dict[str, Array]

    def table(self) -> pd.DataFrame:
        """Return columns d, n, iq, cq."""
        D, N = np.meshgrid(self.d, self.n)
        columns = {"d": D, "n": N, "iq": self.iq, "cq": self.cq}
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()})


def gain_maps(kappa: float, resolution: int) -> Maps:
    """Return the gains on a logarithmic grid.

    Args:
        kappa: factor of the constants; 1 valid, 1/4 as read.
        resolution: points along each axis.
    """
    d, n = np.geomspace([10, 1], 1e7, resolution).T
    D, N = np.meshgrid(d, n)
    iq, cq, _ = speedups(D, N, kappa)
    thresholds = {
        name: theory.fewest_useful_clients(d, correlated=name == "CQ", kappa=kappa)
        for name in ("IQ", "CQ")
    }
    return Maps(d, n, iq, cq, thresholds)


def figure_4(maps: Maps) -> Figure:
    """Draw the three maps of Figure 4, with the thresholds as white lines."""
    panels = {
        "(a) IQ against gradient descent": maps.iq,
        "(b) CQ against gradient descent": maps.cq,
        "(c) CQ against IQ": maps.cq / maps.iq,
    }
    fig, axes = plt.subplots(1, 3, figsize=(9.8, 3.7), sharey=True, layout="constrained")
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        picture = _map(ax, values)
        for name, style in (("IQ", "-"), ("CQ", "--")):
            if name in title:
                line = np.log10(maps.thresholds[name])
                ax.plot(np.log10(maps.d), line, style, color="white", lw=1.8)
        ax.set_title(title, fontsize=10)
        _decades(ax)
    axes[0].set_ylabel("clients n")
    bar = fig.colorbar(picture, ax=axes, ticks=[1, 2, 4, 8, 16, 32], format="%g")
    bar.set_label("times fewer bits")
    bar.ax.minorticks_off()
    return fig


def _map(ax: Axes, values: Array) -> AxesImage:
    """Draw gains from 1 to 32; samples are the centres of pixels."""
    half = np.array([3, 3.5]) / (len(values) - 1)
    return ax.imshow(
        values,
        origin="lower",
        extent=(1 - half[0], 7 + half[0], -half[1], 7 + half[1]),
        aspect="auto",
        interpolation="none",
        norm=LogNorm(1, 32),
        cmap="cividis",
    )


def _decades(ax: Axes) -> None:
    ax.set_xlabel("coordinates d")
    ax.set_xticks(range(1, 8, 2), [f"$10^{k}$" for k in range(1, 8, 2)])
    ax.set_yticks(range(0, 8, 2), [f"$10^{k}$" for k in range(0, 8, 2)])
    ax.set_xlim(1, 7)
    ax.set_ylim(0, 7)
    ax.grid(visible=False)
