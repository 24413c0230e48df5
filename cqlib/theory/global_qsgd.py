r"""Global-QSGD: one norm for all clients; integers or powers of two that are added on their way.

The vectors of all clients are taken as one vector of nd coordinates, and dithered with its norm. If
dithering has the relative variance $\omega(D)$ in dimension D, the error of the mean is at most
$\frac\theta n\sum_i\|x_i\|^2$ with $\theta=\omega(nd)/n$: the class $\mathbb U(\theta)$.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cqlib.theory.dithering import (
    natural_dithering_omega,
    natural_dithering_variance,
    standard_dithering_omega,
    standard_dithering_variance,
)
from cqlib.theory.vectors import Vectors, rows_and_unit

Levels = Literal["linear", "exponential"]
Reduction = Literal["sum", "tree", "fold"]


class Growth(NamedTuple):
    r"""Coefficients a and b of a bound on the error of a sum whose partial sums are rounded.

    The error is at most $a\sum_iv_i+b\sum_i\|x_i\|^2$, where $v_i$ is the variance of the message
    of client i.
    """

    of_errors: float  # a
    of_vectors: float  # b


def global_qsgd_theta(
    n: int,
    d: int,
    *,
    levels: Levels = "linear",
    s: int = 7,
    norm: float = math.inf,
    reduction: Reduction = "sum",
) -> float:
    r"""Bound on theta of Global-QSGD: $\mathbb E\|G-\bar x\|^2\le\frac\theta n\sum_i\|x_i\|^2$.

    $\theta=\frac1n\big(a\,\omega(nd)+b\big)$ with dithering's $\omega$, a = 1 and b = 0 for exact
    sums and :func:`reduction_growth` for rounded ones. The bounds on $\omega(nd)$ first published
    for the 2-norm, $\sqrt d/s$ and $\frac18+\sqrt d\,2^{1-s}$, do not hold: Gaussian vectors exceed
    them.

    Args:
        n: number of clients, at least 1.
        d: dimension, at least 1.
        levels: "linear" or "exponential".
        s: number of levels above 0.
        norm: index q of the norm over all nd coordinates, in [1, inf].
        reduction: "sum", or "tree" or "fold" for exponential levels.

    Raises:
        ValueError: if a number is outside its range.

    Source: Xin et al. 2023, the reduction to dithering of one vector; bounds corrected.

    >>> round(global_qsgd_theta(16, 1000, s=7, norm=2), 3)  # sqrt(nd)/s - 1, over n
    1.067
    >>> global_qsgd_theta(1, 4, levels="exponential", s=50) == 1 / 8
    True
    """
    _check(n, s)
    bound = standard_dithering_omega if levels == "linear" else natural_dithering_omega
    growth = reduction_growth(n, reduction)
    return (growth.of_errors * bound(n * d, norm, s) + growth.of_vectors) / n


def reduction_growth(n: int, reduction: Reduction) -> Growth:
    r"""Return the growth of errors where every sum of two is rounded to a power of two.

    Rounding S in this way has a variance of at most $\frac18S^2$. So the sum V of a subtree, with
    expectation S, has
    $\operatorname{Var}V\le\frac18\|S\|^2+\frac98(\operatorname{Var}V_L+\operatorname{Var}V_R)$,
    and $\|S\|^2$ is at most the number of leaves times the sum of their squares. For the tree over
    $n=2^D$ clients this gives $a=(9/8)^D$ and $b=\frac27(n-(9/8)^D)$.

    Args:
        n: number of clients, at least 1.
        reduction: "sum" for exact sums, "tree" or "fold".

    Raises:
        ValueError: if n is below 1 or the reduction is unknown.

    Source: derived; it refines the factor $(9/8)^{\log_2n}$ of Xin et al. 2023.

    >>> reduction_growth(4, "tree").of_vectors == 2 / 7 * (4 - (9 / 8) ** 2)
    True
    """
    _check(n, 1)
    if reduction == "sum":
        return Growth(1.0, 0.0)
    _check_rounded(reduction)
    errors, vectors, leaves = np.ones(n), np.zeros(n), np.ones(n)
    # For each partial sum: its largest coefficients over its leaves, and its number of leaves.
    while len(leaves) > 1:
        paired = len(leaves) // 2 * 2 if reduction == "tree" else 2
        e, v, m = (a[:paired].reshape(-1, 2) for a in (errors, vectors, leaves))
        total = m.sum(axis=1)
        errors = np.concatenate([1.125 * e.max(axis=1), errors[paired:]])
        vectors = np.concatenate([1.125 * v.max(axis=1) + total / 8, vectors[paired:]])
        leaves = np.concatenate([total, leaves[paired:]])
    return Growth(float(errors[0]), float(vectors[0]))


def global_qsgd_mse(
    X: Vectors,
    *,
    levels: Levels = "linear",
    s: int = 7,
    norm: float = math.inf,
    reduction: Reduction = "sum",
) -> float:
    r"""Exact error of the mean, $\mathbb E\|G-\bar x\|^2$.

    For exact sums it is $\frac1{n^2}$ times the error of dithering the vector of all nd
    coordinates. For rounded sums it comes from the distribution of every sum, :func:`sum_law`,
    which takes time in proportion to $nd(s+\log n)^2$.

    Args:
        X: shape (n, d), one row a client.
        levels: "linear" or "exponential".
        s: number of levels above 0.
        norm: index of the norm over all coordinates.
        reduction: "sum", "tree" or "fold".

    Raises:
        ValueError: if X is not of shape (n, d), X holds NaN or infinity, or a number is outside its
            range.

    Source: the variance of a rounding between neighbours; the distributions are derived.

    >>> global_qsgd_mse(np.array([[3.0], [4.0]]), s=1, norm=2)  # (5 * 7 - 25) / 4
    2.5
    """
    rows, unit = rows_and_unit(X)
    n = len(rows)
    _check(n, s)
    if reduction == "sum":
        exact = standard_dithering_variance if levels == "linear" else natural_dithering_variance
        return float(exact(X, norm, s, joint=True).sum()) / n**2
    R = np.linalg.norm(rows.reshape(-1), ord=norm)
    if R == 0:
        return 0.0
    values, law = sum_law(rows / R, s, reduction)
    second_moment = law @ values**2
    variance = float(np.sum(second_moment - (rows.sum(axis=0) / R) ** 2))
    return variance * float(R * unit / n) ** 2


def sum_law(
    Y: NDArray[np.float64], s: int, reduction: Reduction
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the exact distribution of the rounded sum of exponentially dithered numbers.

    Args:
        Y: numbers in [-1, 1], shape (n, d).
        s: number of levels above 0.
        reduction: "tree" or "fold".

    Returns:
        The values that occur, shape (v,), and their probabilities at each coordinate, (d, v).

    Raises:
        ValueError: if reduction is neither "tree" nor "fold", or s is below 1.

    Source: derived; the distribution of a sum of two follows from those of its two terms.

    >>> values, law = sum_law(np.array([[1.0], [0.25]]), s=3, reduction="tree")
    >>> {float(v): float(p) for v, p in zip(values, law[0]) if p}  # 2 or 1, of mean 1.25
    {1.0: 0.75, 2.0: 0.25}
    """
    n = len(Y)
    _check(n, s)
    _check_rounded(reduction)
    top = s + ((n - 1).bit_length() if reduction == "tree" else n - 1)  # largest symbol of a sum
    laws = [_leaf_law(row, s, top) for row in Y]
    table = _sum_table(top)

    def added(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        both = one[:, :, None] * other[:, None, :]
        return np.asarray((table.T @ both.reshape(len(both), -1).T).T)

    while len(laws) > 1:
        paired = len(laws) // 2 * 2 if reduction == "tree" else 2
        sums = [added(*laws[k : k + 2]) for k in range(0, paired, 2)]
        laws = sums + laws[paired:]
    return _values(s, top), laws[0]


def sum_bits(n: int, s: int, levels: Levels = "linear") -> int:
    r"""Bits of a signed number that holds the sum over all clients.

    $1+\lceil\log_2(ns+1)\rceil$ for integers up to ns;
    $1+\lceil\log_2(s+\lceil\log_2n\rceil+1)\rceil$ for zero or a signed power of two, after a
    tree.

    Args:
        n: number of clients, at least 1.
        s: number of levels above 0, at least 1.
        levels: "linear" or "exponential".

    Raises:
        ValueError: if a number is outside its range.

    Source: Xin et al. 2023, the bits of a running sum, rounded up to whole bits.

    >>> sum_bits(4, 31), sum_bits(4, 125, "exponential")
    (8, 8)
    """
    _check(n, s)
    most = n * s if levels == "linear" else s + math.ceil(math.log2(n))
    return 1 + most.bit_length()


def most_levels(n: int, bits: int = 8, levels: Levels = "linear") -> int:
    r"""Return the largest s for which every sum over n clients fits the given bits.

    $\lfloor(2^{b-1}-1)/n\rfloor$ linear levels, $2^{b-1}-1-\lceil\log_2n\rceil$ exponential ones
    with a tree.

    Args:
        n: number of clients, at least 1.
        bits: size of the signed number that holds a sum.
        levels: "linear" or "exponential".

    Raises:
        ValueError: if no s fits, or n is below 1.

    Source: derived, from the largest possible sum.

    >>> [most_levels(n) for n in (2, 4, 8, 16, 32, 64)]
    [63, 31, 15, 7, 3, 1]
    >>> most_levels(4, levels="exponential")
    125
    """
    _check(n, 1)
    largest = 2 ** (bits - 1) - 1
    s = largest // n if levels == "linear" else largest - math.ceil(math.log2(n))
    if s < 1:
        raise ValueError(f"sums over {n} clients do not fit {bits} bits with any {levels} levels")
    return s


def expected_nonzeros(
    X: Vectors, *, levels: Levels = "linear", s: int = 7, norm: float = math.inf
) -> float:
    r"""Expected number of nonzero coordinates in the messages of all clients.

    A coordinate is 0 with probability $1-\min\{1,y/\ell\}$, $y=|x_{ij}|/\|x\|$, $\ell$ the smallest
    level above 0. With the 2-norm the number is at most $\sqrt{nd}/\ell$; for QSGD, where each
    client has its own norm, it is up to $n\sqrt d/\ell$.

    Args:
        X: shape (n, d), one row a client.
        levels: "linear" or "exponential".
        s: number of levels above 0, at least 1.
        norm: index of the norm over all coordinates, in [1, inf].

    Raises:
        ValueError: if X is not of shape (n, d), X holds NaN or infinity, or s is below 1.

    Source: derived, from the rounding of each coordinate.

    >>> expected_nonzeros(np.array([[3.0, 4.0]]), s=1, norm=2)
    1.4
    """
    rows, _ = rows_and_unit(X)
    _check(len(rows), s)
    R = np.linalg.norm(rows.reshape(-1), ord=norm)
    smallest = 1 / s if levels == "linear" else 2.0 ** (1 - s)
    return float(np.sum(np.minimum(1.0, np.abs(rows) / (R * smallest)))) if R else 0.0


def _leaf_law(y: NDArray[np.float64], s: int, top: int) -> NDArray[np.float64]:
    """Distribution of a client's symbols -top .. top, shape (d, 2 top + 1)."""
    size = np.abs(y)
    mantissa, exponent = np.frexp(size)
    above = (exponent > 1 - s) & (size > 0)
    low = np.where(above, exponent + s - 1, 0)
    chance = np.where(above, 2 * mantissa - 1, size * 2.0 ** (s - 1))
    law = np.zeros((len(y), 2 * top + 1))
    at, sign = np.arange(len(y)), np.where(y < 0, -1, 1)
    law[at, top + sign * low] += 1 - chance
    law[at, top + sign * np.minimum(low + 1, s)] += chance
    return law


def _sum_table(top: int) -> sparse.csr_matrix:
    """Distribution of the rounded sum of two symbols, shape (pairs, symbols)."""
    symbols = np.arange(-top, top + 1)
    a, b = (grid.reshape(-1) for grid in np.meshgrid(symbols, symbols, indexing="ij"))
    value = np.where(a != 0, np.sign(a) * 2.0 ** np.abs(a), 0.0)
    value += np.where(b != 0, np.sign(b) * 2.0 ** np.abs(b), 0.0)
    mantissa, exponent = np.frexp(np.abs(value))
    low = np.where(value == 0, 0, exponent - 1)
    chance = np.where(value == 0, 0.0, 2 * mantissa - 1)
    high = np.minimum(low + 1, top)  # pairs with a larger sum do not occur
    low = np.minimum(low, top)
    sign = np.sign(value).astype(int)
    pairs = np.arange(len(a))
    weights = np.concatenate([1 - chance, chance])
    columns = top + np.concatenate([sign * low, sign * high])
    shape = (len(a), len(symbols))
    return sparse.csr_matrix((weights, (np.tile(pairs, 2), columns)), shape=shape)


def _values(s: int, top: int) -> NDArray[np.float64]:
    symbols = np.arange(-top, top + 1)
    return np.where(symbols != 0, np.sign(symbols) * 2.0 ** (np.abs(symbols) - s), 0.0)


def _check(n: int, s: int) -> None:
    if n < 1 or s < 1:
        raise ValueError(f"n and s must be at least 1, got {n} and {s}")


def _check_rounded(reduction: str) -> None:
    if reduction not in ("tree", "fold"):
        raise ValueError(f"reduction must be tree or fold, got {reduction!r}")
