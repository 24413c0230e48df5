"""Figure of Algorithm 3: bits against error for every number of blocks."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from cqbook.cells import plotting
from cqlib import theory
from cqlib.compressors import make

Array = NDArray[np.float64]

_ZERO = 1e-12  # smaller errors are rounding errors
_ERRORS = ["PermK_CQ", "PermK_IQ", "b_d_over_n2"]


def errors_given_permutations(X: Array, b: int, *, draws: int, rng: np.random.Generator) -> Array:
    """Return the errors of Algorithm 3 given random permutations: exact means over the rounding.

    Args:
        X: the clients' vectors, shape (n, d).
        b: number of blocks, a divisor of n and d.
        draws: number of permutations; for b = 1 and b = n only one is drawn.
        rng: generator of the permutations.
    """
    (n, d), found = X.shape, []
    for _ in range(draws if 1 < b < n else 1):
        by_client = rng.permutation(n).reshape(b, -1)
        by_place = rng.permutation(d).reshape(b, -1)
        error = 0.0
        for clients, places in zip(by_client, by_place, strict=True):
            part = X[np.ix_(clients, places)]
            error += theory.cq_mse(part)  # the scale gives b^2, the share of clients 1 / b^2
            error += float(((part.mean(axis=0) - X.mean(axis=0)[places]) ** 2).sum())
        found.append(error)
    return np.array(found)


def curves(n: int, d: int, *, draws: int, seed: int) -> pd.DataFrame:
    r"""Return bits and errors over $\frac1n\sum_i\|a_i\|^2$ for every b that divides n and d.

    Args:
        n: number of clients.
        d: number of coordinates.
        draws: number of permutations for the average errors with CQ.
        seed: seed of the permutations and of the inputs, equal and unequal Gaussian ones.

    Returns:
        Columns ``inputs``, ``blocks`` (0: PermK), ``bits``, ``PermK_CQ``, ``PermK_IQ``,
        ``b_d_over_n2`` (the bound for equal inputs), ``standard_error`` (relative).
    """
    rng = np.random.default_rng(seed)
    common, own = rng.standard_normal(d), rng.standard_normal((n, d))
    rows = []
    for kind, X in (("equal", np.tile(common, (n, 1))), ("unequal", common + own)):
        unit = (X**2).sum(axis=1).mean()
        for b in [v for v in range(1, n + 1) if n % v == 0 and d % v == 0]:
            bits = make("permk_cq", b=b).bits(d, n)
            iq = theory.permk_iq_mse(X, b) / unit
            errors = errors_given_permutations(X, b, draws=draws, rng=rng) / unit
            cq = iq if b == n else errors.mean()
            off = errors.std() / np.sqrt(len(errors)) / cq if cq > 0 else 0.0
            rows.append((kind, b, bits, cq, iq, b * d / n**2, off))
        plain = theory.perm_k_mse(X) / unit
        rows.append((kind, 0, make("perm_k").bits(d, n), plain, *[np.nan] * 3))
    columns = ["inputs", "blocks", "bits", *_ERRORS, "standard_error"]
    return pd.DataFrame(rows, columns=columns)


def draw(curve: pd.DataFrame) -> Figure:
    """Draw a panel for each kind of inputs, without zero errors, since axes are logarithmic."""
    shown = curve.copy()
    shown[_ERRORS] = shown[_ERRORS].where(shown[_ERRORS] > _ZERO)
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 4.2), sharey=True, layout="constrained")
    for ax, (kind, own) in zip(axes, shown.groupby("inputs", sort=False), strict=True):
        lines = _draw_lines(ax, own[own.blocks > 0], with_bound=kind == "equal")
        if kind == "equal":
            legend = lines
        _draw_perm_k(ax, own[own.blocks == 0].iloc[0])
        ax.set_title(f"{kind} inputs", fontsize=10)
        _set_axes(ax, shown)
    axes[0].set_ylabel("error over the mean of $\\|a_i\\|^2$")
    fig.legend(handles=legend, loc="outside lower center", ncols=4)
    return fig


def _draw_lines(ax: Axes, blocks: pd.DataFrame, *, with_bound: bool) -> list[Line2D]:
    lines = []
    bits = blocks["bits"].to_numpy()
    for column, number, ls, marker in (("PermK_IQ", 1, "-.", "s"), ("PermK_CQ", 2, "-", "o")):
        style: dict[str, Any] = {"color": plotting.COLORS[number], "ls": ls, "marker": marker}
        name = column.replace("_", "+")
        lines += ax.plot(bits, blocks[column].to_numpy(), label=name, ms=5, **style)
    for row in blocks[blocks.PermK_CQ.notna()].to_dict("records"):
        where: dict[str, Any] = {"xytext": (-4, -6), "textcoords": "offset points"}
        spot = (row["bits"], row["PermK_CQ"])
        ax.annotate(f"b = {row['blocks']}", spot, ha="right", va="top", fontsize=8.5, **where)
    if with_bound:
        bound = blocks["b_d_over_n2"].to_numpy()
        style = {"color": plotting.COLORS[0], "ls": "--", "lw": 1}
        lines += ax.plot(bits, bound, label="bound $bd/n^2$", **style)
        style = {"color": plotting.COLORS[5], "ls": ":", "lw": 1.4}
        lines += ax.plot(bits, bound / 4, label="constant as read", **style)
    return lines


def _draw_perm_k(ax: Axes, perm_k: pd.Series[Any]) -> None:
    bits, error, color = perm_k["bits"], perm_k["PermK_CQ"], plotting.COLORS[3]
    if np.isnan(error):
        style: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center"}
        arrow = {"arrowstyle": "->", "color": color}
        text, low, high = "PermK:\nno error", (bits, 0.01), (bits, 0.13)
        ax.annotate(text, low, high, arrowprops=arrow, fontsize=9, **style)
    else:
        ax.plot(bits, error, "D", color=color, ms=6)
        style = {"xytext": (-7, 0), "textcoords": "offset points", "fontsize": 9}
        ax.annotate("PermK", (bits, error), ha="right", va="center", **style)


def _set_axes(ax: Axes, shown: pd.DataFrame) -> None:
    ticks: list[float] = []
    for value in sorted(set(shown.bits)):
        if not ticks or value > 1.2 * ticks[-1]:
            ticks.append(value)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    lowest, highest = (shown.b_d_over_n2 / 4).min(), np.nanmax(shown[_ERRORS].to_numpy())
    ax.set_ylim(lowest / 1.6, highest * 1.8)
    ax.set_xlim(shown.bits.min() / 1.4, shown.bits.max() * 1.3)
    ax.set_xticks(ticks, [f"{value:.0f}" for value in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("bits per client")


def in_words(curve: pd.DataFrame, n: int, d: int) -> str:
    """Return a caption that describes the curves."""
    blocks = curve[curve.blocks > 0]
    equal, unequal = (blocks[blocks.inputs == kind] for kind in ("equal", "unequal"))
    sentences = [f"n = {n}, d = {d}, Gaussian vectors.", *_equal_in_words(equal, n)]
    if n > 1 and d % n == 0:
        sentences.append(
            "At b = n, where clients are alone in their blocks, the error is that of IQ."
        )
    sentences += _unequal_in_words(unequal, n)
    sentences.append("PermK sends floats.")
    if (blocks.PermK_CQ <= _ZERO).any():
        sentences.append("Errors of zero are not drawn.")
    sampled = blocks.standard_error[(blocks.blocks > 1) & (blocks.blocks < n)]
    if len(sampled):
        percent = np.ceil(1000 * sampled.max()) / 10
        sentences.append(f"Points with CQ and 1 < b < n: standard error below {percent:g} %.")
    return " ".join(sentences)


def _equal_in_words(equal: pd.DataFrame, n: int) -> list[str]:
    sentences = []
    below_n = equal[(equal.blocks < n) | (equal.blocks == 1)]
    first, last = below_n.iloc[0], below_n.iloc[-1]
    if last.blocks > 1 and first.PermK_CQ > _ZERO:
        growth = below_n.PermK_CQ[1:] / first.PermK_CQ
        slow = bool((growth < below_n.blocks[1:]).all())
        sentences.append(
            f"For equal inputs PermK+CQ with b = {last.blocks} needs "
            f"{first.bits / last.bits:.2g} times fewer bits than "
            f"CQ (b = 1), at {growth.iloc[-1]:.2g} times the error"
            + ("; the error grows more slowly than b." if slow else ".")
        )
    share = (below_n.PermK_CQ / below_n.b_d_over_n2).to_numpy()
    span = f"{share.min():.2g} to {share.max():.2g}" if len(share) > 1 else f"{share[0]:.2g}"
    which = "< n" if n > 1 else "= 1"
    sentences.append(
        f"The error of equal inputs is {span} of its bound for b {which} "
        "(the constant as read: 0.25)."
    )
    return sentences


def _unequal_in_words(unequal: pd.DataFrame, n: int) -> list[str]:
    iq = unequal.PermK_IQ
    if not iq.min() > _ZERO:
        return []
    part = (unequal.PermK_CQ / iq)[unequal.blocks < n]
    share = f", and CQ has {part.min():.2g} to {part.max():.2g} of it for b < n."
    return [
        "PermK+IQ is also the bound for all inputs; for unequal ones it is the same for all b "
        f"within a factor of {iq.max() / iq.min():.2f}" + (share if len(part) else ".")
    ]
