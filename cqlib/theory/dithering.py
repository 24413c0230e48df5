r"""Dithering: constants and exact errors of the rounding to levels.

A compressor that rounds $|x_j|/R$ to one of its two neighbouring levels $\ell\le u$, without bias,
has the error $R^2(u-y)(y-\ell)$ at a coordinate with $y=|x_j|/R$.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cqlib.theory.vectors import Vectors, rows_and_unit

SMALLEST_POWER = -126  # exponent of the smallest normal 32-bit float


def standard_dithering_omega(d: int, p: float = 2.0, s: int = 1) -> float:
    r"""Bound on omega of standard dithering with the p-norm and s levels (Definition 2).

    For p = 2 it is $\frac{\sqrt d}s-1$, attained by equal entries, if s = 1 or $2s\le\sqrt d$, and
    $\frac d{4s^2}$ otherwise. In general let $R=\|x\|_p\le c\|x\|_2$, $c=d^{\max(0,1/p-1/2)}$. The
    error is at most $\frac{R^2d}{4s^2}\le\frac{c^2d}{4s^2}\|x\|^2$, since a rounding between levels
    1/s apart has a variance of at most $\frac1{4s^2}$. It is also at most
    $\frac{R\|x\|_1}s\le\frac ms\|x\|^2$ with $m=d^{1/p}$ for $p\le2$, $\sqrt d$ for $p>2$ and
    $\frac12(1+\sqrt d)$ for $p=\infty$. For s = 1 it is exactly $R\|x\|_1-\|x\|^2$, so that $m-1$
    is a bound; some x attains it for $p\le2$ and $p=\infty$.

    Args:
        d: dimension, at least 1.
        p: index of the norm, in [1, inf].
        s: number of levels above 0, at least 1.

    Raises:
        ValueError: if a number is outside its range.

    Source: sharpens Alistarh et al. 2017, Lemma 3.1, $\min(d/s^2,\sqrt d/s)$ for p = 2; proved in
        the book's chapter on unbiased compressors.

    >>> standard_dithering_omega(16, p=2, s=1)  # sqrt(d) - 1
    3.0
    >>> standard_dithering_omega(16, p=math.inf, s=1)  # TernGrad: (sqrt(d) - 1) / 2
    1.5
    """
    _check(d, p, s)
    c = d ** max(0.0, 1 / p - 0.5)
    m = 0.5 * (1 + math.sqrt(d)) if p == math.inf else d ** max(1 / p, 0.5)
    if s == 1:
        return float(m - 1)
    if p == 2:
        return float(m / s - 1 if 2 * s <= m else d / (4 * s**2))
    return float(min(c**2 * d / (4 * s**2), m / s))


def natural_dithering_omega(d: int, p: float = 2.0, s: int = 1) -> float:
    r"""Bound on omega of natural dithering with the p-norm and s levels (Definition 3).

    With $\tau=2^{1-s}$, for p = 2: $\sqrt d\,\tau-1$, attained by equal entries, if
    $\sqrt d\,\tau\ge\frac94$, and $\frac18+\frac29d\tau^2$ otherwise. In general
    $\frac18+d^{1/r}\tau\min\{1,d^{1/r}\tau\}$, $r=\min\{p,2\}$. One level is standard dithering.

    Args:
        d: dimension, at least 1.
        p: index of the norm, in [1, inf].
        s: number of levels above 0, at least 1.

    Raises:
        ValueError: if a number is outside its range.

    Source: Horváth et al. 2022, Natural compression; sharpened for p = 2, with a proof in the
        book's chapter on unbiased compressors.

    >>> natural_dithering_omega(16, p=2, s=3)  # 1/8 + 2/9
    0.3472222222222222
    >>> natural_dithering_omega(16, p=1, s=3)  # 1/8 + 16/4
    4.125
    """
    _check(d, p, s)
    if s == 1:
        return standard_dithering_omega(d, p)
    t = d ** (1 / min(p, 2.0)) * 2.0 ** (1 - s)
    if p == 2:
        return float(t - 1 if t >= 2.25 else 0.125 + 2 / 9 * t**2)
    return float(0.125 + t * min(1.0, t))


def standard_dithering_variance(
    X: Vectors, p: float = 2.0, s: int = 1, *, joint: bool = False
) -> NDArray[np.float64]:
    r"""Exact $\mathbb E\|C(a_i)-a_i\|^2$ of standard dithering, for each client (Definition 2).

    $\frac{R^2}{s^2}\sum_j\varphi_j(1-\varphi_j)$, $\varphi_j$ the fractional part of $s|a_{ij}|/R$.

    Args:
        X: shape (n, d), one row a client.
        p: index of the norm, in [1, inf].
        s: number of levels above 0.
        joint: whether all clients use one norm, over all nd coordinates, as in Global-QSGD.

    Returns:
        Shape (n,), in the square of X's unit.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.

    Source: the variance of a rounding between neighbours, summed over Definition 2.

    >>> standard_dithering_variance(np.array([[3.0, 4.0]]), p=2, s=1)  # R |a|_1 - |a|^2 = 35 - 25
    array([10.])
    """
    y, R = _positions(X, p, joint)
    fraction = s * y % 1.0
    return np.asarray(np.sum(fraction * (1 - fraction), axis=1) * (R / s) ** 2)


def natural_dithering_variance(
    X: Vectors, p: float = 2.0, s: int = 1, *, joint: bool = False
) -> NDArray[np.float64]:
    r"""Exact $\mathbb E\|C(a_i)-a_i\|^2$ of natural dithering, for each client (Definition 3).

    $R^2\sum_j(u_j-y_j)(y_j-\ell_j)$ with the neighbouring levels of $0,2^{1-s},\dots,\frac12,1$.

    Args:
        X: shape (n, d), one row a client.
        p: index of the norm, in [1, inf].
        s: number of levels above 0.
        joint: whether all clients use one norm, over all nd coordinates, as in Global-QSGD.

    Returns:
        Shape (n,), in the square of X's unit.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.

    Source: the variance of a rounding between neighbours, summed over Definition 3.

    >>> natural_dithering_variance(np.array([[3.0, 4.0]]), p=2, s=1)  # one level: as standard
    array([10.])
    """
    y, R = _positions(X, p, joint)
    return np.asarray(np.sum(_power_rounding(y, 1 - s), axis=1) * R**2)


def natural_compression_variance(X: Vectors) -> NDArray[np.float64]:
    r"""Exact $\mathbb E\|C(a_i)-a_i\|^2$ of natural compression, for each client.

    $\sum_j(2^{e+1}-|a_{ij}|)(|a_{ij}|-2^e)\le\frac18\|a_i\|^2$; $e=\lfloor\log_2|a_{ij}|\rfloor$.
    Below the smallest normal float, $2^{-126}$, the neighbours are 0 and $2^{-126}$, and the bound
    does not hold.

    Args:
        X: shape (n, d), one row a client.

    Returns:
        Shape (n,), in the square of X's unit.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.

    Source: Horváth et al. 2022, Natural compression.

    >>> natural_compression_variance(np.array([[3.0, 4.0]]))  # (4 - 3) (3 - 2); 4 stays
    array([1.])
    """
    rows, unit = rows_and_unit(X)
    return np.asarray(np.sum(_power_rounding(np.abs(rows * unit), SMALLEST_POWER), axis=1))


def _check(d: int, p: float, s: int) -> None:
    if not (d >= 1 and p >= 1 and s >= 1):
        raise ValueError(f"need d, p, s of at least 1; got {d=}, {p=}, {s=}")


def _positions(
    X: Vectors, p: float, joint: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absolute values divided by the norm of their client, or of all clients, and the norms."""
    rows, unit = rows_and_unit(X)
    vectors = rows.reshape(1, -1) if joint else rows
    norms = np.linalg.norm(vectors, ord=p, axis=1, keepdims=True)
    y = np.divide(np.abs(rows), norms, out=np.zeros_like(rows), where=norms > 0)
    return np.minimum(y, 1.0), norms[:, 0] * unit


def _power_rounding(y: NDArray[np.float64], lowest: int) -> NDArray[np.float64]:
    """Variance of the unbiased rounding of y >= 0 to 0 and the powers of two from 2^lowest on."""
    _, exponent = np.frexp(y)
    low = np.ldexp(1.0, np.maximum(exponent - 1, lowest))
    between = y >= np.ldexp(1.0, lowest)
    return np.asarray(np.where(between, (2 * low - y) * (y - low), (2.0**lowest - y) * y))
