"""Shares of MARINA's guarantee: by compressor, and by stepsize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cqbook.cells.plotting import COLORS, DASHES
from cqbook.evidence import isotropic


def limit_curves(multiples: NDArray[np.float64], probabilities: Sequence[float]) -> pd.DataFrame:
    """Return limits of the share on isotropic tasks: columns p, stepsize_over_largest, share."""
    curves = [
        pd.DataFrame(
            {
                "p": p,
                "stepsize_over_largest": multiples,
                "share": isotropic.limit_curve(multiples, p),
            }
        )
        for p in probabilities
    ]
    return pd.concat(curves)


def shares(measured: pd.DataFrame, curves: pd.DataFrame, rounds: int) -> Figure:
    """Draw the shares of compressors, and the limits by stepsize.

    Args:
        measured: columns compressor, sampled, half, exact (NaN where unknown).
        curves: result of :func:`limit_curves`.
        rounds: number of rounds of the shares.
    """
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(9.6, 4.0), layout="constrained", width_ratios=(1.25, 1)
    )
    _by_compressor(left, measured.sort_values("sampled").reset_index(drop=True))
    left.set_xlabel(f"share of the guarantee used after {rounds} rounds")
    _by_stepsize(right, curves)
    return fig


def _by_compressor(ax: Axes, order: pd.DataFrame) -> None:
    style: dict[str, Any] = {"fmt": "o", "mfc": "white", "ms": 6, "lw": 1.2, "color": COLORS[2]}
    ax.errorbar(order.sampled, order.index, xerr=order.half, label="sampled", **style)
    ax.plot(order.exact, order.index, "x", ms=6, mew=1.8, color=COLORS[1], label="exact")
    ax.axvline(1, color=COLORS[0], lw=1.4, ls="--")
    ax.text(0.99, -0.35, "guarantee", ha="right", va="center", fontsize=9)
    ax.set_yticks(order.index, order.compressor)
    ax.set_xlim(0, 1.05)
    ax.legend(loc="upper left", fontsize=9)


def _by_stepsize(ax: Axes, curves: pd.DataFrame) -> None:
    for k, p in enumerate(dict.fromkeys(curves.p.tolist())):
        own = curves[curves.p == p]
        share, scaled = own.share.to_numpy(), own.stepsize_over_largest.to_numpy()
        ax.plot(scaled, share, color=COLORS[k], ls=DASHES[k], lw=1.6, label=f"p = {p:g}")
        stated = isotropic.stated_multiple(p)
        ax.plot(stated, np.interp(stated, scaled, share), "o", color=COLORS[k], ms=5)
    ax.axhline(1, color=COLORS[0], lw=1.4, ls="--")
    ax.axvline(1, color=COLORS[5], lw=0.9)
    ax.text(0.02, 1.01, "guarantee", fontsize=9, va="bottom")
    ax.set_ylim(0.45, 1.35)
    ax.set_xlim(0, 1.18)
    ax.set_xlabel(r"stepsize, as a multiple of $\gamma_*$")
    ax.set_ylabel("share, many rounds, isotropic task")
    ax.legend(loc="lower right", fontsize=9)
