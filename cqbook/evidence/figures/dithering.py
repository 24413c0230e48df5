"""Figure of the ditherings: variances of a coordinate, and constants against bits."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cqbook.cells import plotting
from cqbook.evidence.dithering_constants import sharp
from cqbook.evidence.quantizer_laws import dithering_levels
from cqlib.compressors import make

MARKERS = {
    "RandK": "o",
    "standard dithering": "^",
    "natural dithering": "s",
    "natural compression": "D",
    "TernGrad": "P",
    "one-bit rounding": "v",
    "DRIVE, uniform": "X",
}
_LABELS = {  # offsets in points from the first member
    "RandK": (6, 4),
    "standard dithering": (-2, 8),
    "natural dithering": (-88, -14),
    "one-bit rounding": (8, -4),
    "TernGrad": (-56, -5),
    "natural compression": (-2, 6),
    "DRIVE, uniform": (8, -3),
}


def coordinate_variances(s: int) -> pd.DataFrame:
    r"""Return $(u-y)(y-\ell)$ of both ditherings with s levels at 401 positions y in [0, 1].

    >>> coordinate_variances(4).columns.tolist()
    ['y', 'standard_dithering', 'natural_dithering']
    """
    y = np.linspace(0, 1, 401)
    table = {"y": y}
    for name in ("standard_dithering", "natural_dithering"):
        levels = np.array([float(v) for v in dithering_levels(name, s)])
        above = np.clip(np.searchsorted(levels, y, side="right"), 1, len(levels) - 1)
        table[name] = (levels[above] - y) * (y - levels[above - 1])
    return pd.DataFrame(table)


def constants_and_bits(d: int) -> pd.DataFrame:
    """Return bits per coordinate and omega of the unbiased compressors, with their options.

    Args:
        d: number of coordinates.

    >>> constants_and_bits(64).compressor.nunique()
    7
    """
    points = [("RandK", f"K = {K}", 32 * K / d, d / K - 1) for K in (16, 64, 256, 512) if K < d]
    for s in (1, 3, 7, 15, 31, 63):
        bits = make("standard_dithering", s=s).bits(d, 1) / d
        points.append(("standard dithering", f"s = {s}", bits, sharp("standard_dithering", d, s)))
    for s in (1, 3, 7, 15):
        bits, omega = (
            make("natural_dithering", s=s).bits(d, 1) / d,
            sharp("natural_dithering", d, s),
        )
        best = min(omega, sharp("standard_dithering", d, 1)) if s == 1 else omega
        points.append(("natural dithering", f"s = {s}", bits, best))
    for label, compressor in (
        ("natural compression", make("natural_compression")),
        ("TernGrad", make("terngrad")),
        ("one-bit rounding", make("iq")),
        ("DRIVE, uniform", make("drive", rotation="uniform")),
    ):
        points.append((label, "", compressor.bits(d, 1) / d, compressor.omega(d)))
    return pd.DataFrame(points, columns=["compressor", "option", "bits_per_coordinate", "omega"])


def draw(variances: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """Draw variances of a coordinate on the left, constants against bits on the right."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
    _draw_variances(left, variances)
    _draw_costs(right, costs)
    return fig


def _draw_variances(ax: Axes, variances: pd.DataFrame) -> None:
    y = variances["y"].to_numpy()
    for name, label, color, ls in (
        ("standard_dithering", "standard, s = 4", plotting.COLORS[1], "-."),
        ("natural_dithering", "natural, s = 4", plotting.COLORS[2], "-"),
    ):
        ax.plot(y, variances[name].to_numpy(), color=color, ls=ls, lw=1.4, label=label)
    ax.plot(y, y**2 / 8, color=plotting.COLORS[0], ls="--", lw=1, label=r"$y^2/8$")
    ax.set_ylim(0, 0.085)
    ax.set_xlabel(r"position $y=|x_j|/\|x\|_q$")
    ax.set_ylabel(r"variance over $\|x\|_q^2$")
    ax.legend(loc="upper left")


def _draw_costs(ax: Axes, costs: pd.DataFrame) -> None:
    for k, (label, group) in enumerate(costs.groupby("compressor", sort=False)):
        bits, omega = group.bits_per_coordinate.to_numpy(), group.omega.to_numpy()
        ls, color = ":" if len(group) > 1 else "", plotting.COLORS[k % 6]
        ax.plot(bits, omega, MARKERS[str(label)], ls=ls, color=color, lw=1, ms=6)
        named = 2 if label == "natural dithering" else 0  # index of the member next to the name
        ax.annotate(
            str(label),
            (bits[named], omega[named]),
            xytext=_LABELS[str(label)],
            textcoords="offset points",
            fontsize=9,
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(0.4, 40)
    ax.set_xlabel("bits per coordinate")
    ax.set_ylabel(r"$\omega$")
