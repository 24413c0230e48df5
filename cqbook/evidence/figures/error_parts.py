"""Figure of the parts of the error, variances and covariances, by kind of shared randomness."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cqbook.cells import plotting
from cqlib import theory

Array = NDArray[np.float64]

_OWN = "#c9d3e0"
_INK = "#1f1f1f"
_NAMES = {  # position along the curve, offset in points
    "one threshold for all": (22, (0, -14)),
    "IQ": (10, (0, 5)),
    "CQ": (24, (-4, -14)),
    "PermK": (8, (8, -4)),
}


def one_threshold_mse(X: Array) -> float:
    r"""Return the exact error of one-bit rounding with one threshold for all clients.

    $\frac1{n^2}\sum_{i,k,j}4\|a_i\|\|a_k\|(\min\{y_{ij},y_{kj}\}-y_{ij}y_{kj})$.

    Args:
        X: nonzero rows $a_i$, shape (n, d).

    >>> one_threshold_mse(np.ones((2, 4)))
    12.0
    """
    R = np.linalg.norm(X, axis=1)
    y = (1 + X / R[:, None]) / 2
    covariances = np.minimum(y[:, None], y[None]) - y[:, None] * y[None]
    return float(np.einsum("i,k,ikj->", 2 * R, 2 * R, covariances)) / len(X) ** 2


def directions(n: int, d: int, seed: int) -> tuple[Array, Array]:
    """Return a unit vector, and n vectors of mean square 1 and mean 0, orthogonal to it.

    Args:
        n: number of clients, at least 2.
        d: number of coordinates, at least 2.
        seed: seed of all vectors.

    Raises:
        ValueError: if n or d is below 2.
    """
    if min(n, d) < 2:
        raise ValueError(f"the figure needs two clients and two coordinates at least: {n=}, {d=}")
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(d)
    common /= np.linalg.norm(common)
    apart = rng.standard_normal((n, d))
    apart -= apart @ common[:, None] * common
    apart -= apart.mean(axis=0)
    apart /= np.sqrt((apart**2).sum() / n)
    return common, apart


def curves(n: int, d: int, shares: Array, *, seed: int) -> pd.DataFrame:
    """Return exact errors in units of the mean error of one client.

    Args:
        n: number of clients.
        d: number of coordinates.
        shares: variances among the clients, for inputs of mean square 1.
        seed: seed of the inputs.

    Returns:
        A row per share, with the column ``heterogeneity`` and a column per kind of randomness.
    """
    common, apart = directions(n, d, seed)
    inputs = [np.sqrt(1 - share) * common + np.sqrt(share) * apart for share in shares]
    kinds = {
        "one threshold for all": (d - 1, one_threshold_mse),
        "IQ": (d - 1, theory.iq_mse),
        "CQ": (d - 1, theory.cq_mse),
        "PermK": (theory.perm_k_omega(d, n), theory.perm_k_mse),
    }
    table = {
        name: np.array([mse(X) for X in inputs]) / omega for name, (omega, mse) in kinds.items()
    }
    return pd.DataFrame({"heterogeneity": shares, **table})


def draw(table: pd.DataFrame, n: int) -> Figure:
    """Draw the parts at equal inputs on the left, and the curves on the right."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.7), layout="constrained")
    _draw_parts(left, table, n)
    _draw_curves(right, table)
    return fig


def _draw_parts(ax: Axes, table: pd.DataFrame, n: int) -> None:
    red = plotting.COLORS[1]
    line: dict[str, Any] = {"color": plotting.COLORS[0], "ls": "-", "lw": 2}
    kinds = table.columns[1:]
    for k, name in enumerate(kinds):
        own, total = 1 / n, float(table[name].iloc[0])
        ax.bar(k - 0.2, own, 0.36, color=_OWN, edgecolor=_INK, lw=0.8)
        ax.bar(k + 0.2, total - own, 0.36, color=red, edgecolor=_INK, lw=0.8, hatch="//")
        ax.plot([k - 0.4, k + 0.4], [total, total], **line)
        text = f"{total:.3g}" if total > 1e-9 else "0"
        ax.text(k, max(total, own) + 0.03, text, ha="center", fontsize=9)
    ax.axhline(0, color=_INK, lw=0.8, ls="-")
    ax.set_xticks(range(len(kinds)), ["one threshold\nfor all", "IQ", "CQ", "PermK"])
    ax.set_ylabel("parts of the error, over one client's")
    ax.bar(0, 0, color=_OWN, edgecolor=_INK, label="own variances")
    ax.bar(0, 0, color=red, edgecolor=_INK, hatch="//", label="covariances")
    ax.plot([], [], label="error, their sum", **line)
    ax.legend(loc="upper right")
    ax.set_ylim(min(-0.2, -1 / n - 0.06), 1.15)


def _draw_curves(ax: Axes, table: pd.DataFrame) -> None:
    shares = table["heterogeneity"].to_numpy()
    for k, name in enumerate(table.columns[1:]):
        curve = table[name].to_numpy()
        ax.plot(shares, curve, color=plotting.COLORS[k], ls=plotting.DASHES[k], label=name)
    ax.set_yscale("log")
    ax.set_ylim(min(1e-3, table["CQ"].iloc[0] / 2), 1.5)
    ax.set_xlim(0, 1)
    for name, (place, offset) in _NAMES.items():
        spot = shares[place], table[name].iloc[place]
        ax.annotate(name, spot, xytext=offset, textcoords="offset points", fontsize=9)
    ax.set_xlabel(r"heterogeneity $\mathrm{Var}(a)\,/\,\frac{1}{n}\sum_i\|a_i\|^2$")
    ax.set_ylabel("error, over one client's")
