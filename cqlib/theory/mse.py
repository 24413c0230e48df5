r"""Exact mean squared errors of the mean, $\mathbb E\|\frac1n\sum_i C_i(a_i)-\bar a\|^2$.

Closed forms for arbitrary inputs: sampled errors are compared with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.theory.vectors import Vectors, rows_and_unit


def iq_mse(X: Vectors) -> float:
    r"""Exact total MSE of the mean of IQ (Definition 6), for any inputs.

    $\frac1{n^2}\sum_i\sum_j(\|a_i\|^2-a_{ij}^2)=\frac{d-1}{n^2}\sum_i\|a_i\|^2$: each coordinate
    is $\pm\|a_i\|$ with mean $a_{ij}$, and clients are independent.

    Args:
        X: shape (n, d), one row a client.

    Returns:
        The MSE, in the square of X's unit.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.

    Source: sum of the variances of Definition 5; the equality behind Corollary 1.

    >>> iq_mse(np.ones((2, 4)))  # |a|^2 = 4: 3 (4 + 4) / 4
    6.0
    """
    rows, unit = rows_and_unit(X)
    n, d = rows.shape
    return float((d - 1) * np.sum(rows**2) / n**2) * unit * unit


def cq_mse(X: Vectors, norm: float = 2) -> float:
    r"""Exact total MSE of the mean of CQ (Definition 7), for any inputs.

    Per coordinate, with $w_i=2R_i$ and $y_i=\frac12(1+a_{ij}/R_i)$, $R_i=\|a_i\|$,
    $\frac1{n^2}[\sum_iw_i^2y_i(1-y_i)+\sum_{i\ne k}w_iw_k\mathrm{Cov}_{ik}]$, where
    :func:`cq_covariance` gives $\mathrm{Cov}_{ik}$. The double sum takes O(n) operations here.

    Args:
        X: shape (n, d), one row a client; zero rows are sent exactly.
        norm: index of the norm that sets the range; the paper's is 2.

    Returns:
        The MSE, in the square of X's unit.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.

    Source: derived from Algorithm 2: given the permutation, roundings are independent.

    >>> cq_mse(np.ones((2, 4)))  # = |a|^2: four times the bound of Corollary 2
    4.0
    """
    rows, unit = rows_and_unit(X)
    n = rows.shape[0]
    norms = np.linalg.norm(rows, ord=norm, axis=1, keepdims=True)
    y = 0.5 * (1 + np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))
    weights = 2 * np.broadcast_to(norms, rows.shape)
    return float(np.sum(weighted_count_variance(y, weights)) / n**2) * unit * unit


def cq_mse_equal(a: NDArray[Any], n: int) -> NDArray[np.float64]:
    r"""Exact total MSE of the mean of CQ where all n clients have the same vector.

    $\frac{4\|a\|^2}{n^2}\sum_j\varphi_j(1-\varphi_j)$, $\varphi_j$ the fractional part of
    $\frac n2(1+a_j/\|a\|)$.

    Args:
        a: shape (..., d): one vector, or many at once.
        n: number of clients, at least 1.

    Returns:
        Shape (...), in the square of a's unit.

    Raises:
        ValueError: if n is below 1.

    Source: Theorem 1 in every coordinate of Definition 7; the equality behind Corollary 2.

    >>> float(cq_mse_equal(np.ones(4), n=2))  # = |a|^2
    4.0
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    a = np.asarray(a, dtype=np.float64)
    norms = np.linalg.norm(a, axis=-1, keepdims=True)
    y = 0.5 * (1 + np.divide(a, norms, out=np.zeros_like(a), where=norms > 0))
    fraction = n * y % 1.0
    return np.asarray(np.sum(fraction * (1 - fraction), axis=-1) * (2 * norms[..., 0] / n) ** 2)


def iq_variance(y: NDArray[Any]) -> float:
    r"""Variance of the mean of IQ's bits: $\frac1{n^2}\sum_iy_i(1-y_i)$.

    The MSE of Definition 5 for inputs $a_i=l+(r-l)y_i$ is $(r-l)^2$ times this.

    Args:
        y: shape (n,), the clients' positions in their range, in [0, 1].

    Raises:
        ValueError: if a position is outside [0, 1], or y is not of shape (n,).

    Source: proof of Proposition 3.

    >>> iq_variance(np.full(4, 0.5))  # = 1 / (4 n), the bound of Proposition 3
    0.0625
    """
    y = _positions(y)
    return float(np.sum(y * (1 - y)) / y.size**2)


def cq_variance(y: NDArray[Any]) -> float:
    r"""Variance of the mean of CQ's bits, for any positions.

    Equal $y_i=y$ give $\varphi(1-\varphi)/n^2$ with $\varphi$ the fractional part of $ny$. The MSE
    of Algorithm 2 for inputs $a_i=l+(r-l)y_i$ is $(r-l)^2$ times this.

    Args:
        y: shape (n,), the clients' positions in their range, in [0, 1].

    Raises:
        ValueError: if a position is outside [0, 1], or y is not of shape (n,).

    Source: sharpens Theorem 1, whose bound is $1/(4n^2)$ for equal inputs.

    >>> cq_variance(np.full(5, 0.5))  # odd n: 2 or 3 of 5 bits are 1; = 1 / (4 n^2)
    0.01
    >>> cq_variance(np.full(4, 0.5))  # even n: always 2 of 4 bits are 1
    0.0
    """
    y = _positions(y)[:, None]
    return float(weighted_count_variance(y, np.ones_like(y))[0]) / y.size**2


def cq_covariance(y: float, z: float, n: int) -> float:
    r"""Covariance of two clients' bits under CQ: never positive.

    $\frac1{n-1}(yz-\frac1n\sum_kh_y(k)h_z(k))$, where $h_y(k)=\mathrm{clip}(ny-k,0,1)$ is the
    chance that a threshold in cell k lies below y.

    Args:
        y: position of one client in its range, in [0, 1].
        z: position of the other client.
        n: number of clients, at least 2.

    Raises:
        ValueError: if a number is outside its range.

    Source: derived. Given the permutation, the bits are independent; the pair of ranks is uniform
    over ordered pairs of distinct cells.

    >>> cq_covariance(0.5, 0.5, 2)
    -0.25
    """
    if not (0 <= y <= 1 and 0 <= z <= 1 and n >= 2):
        raise ValueError(f"need y and z in [0, 1] and n >= 2; got {y}, {z}, {n}")
    cells = np.arange(n)
    h_y = np.clip(n * y - cells, 0, 1)
    h_z = np.clip(n * z - cells, 0, 1)
    return float((y * z - h_y @ h_z / n) / (n - 1))


def _positions(y: NDArray[Any]) -> NDArray[np.float64]:
    positions = np.asarray(y, dtype=np.float64)
    if positions.ndim != 1 or not ((positions >= 0) & (positions <= 1)).all() or not len(positions):
        raise ValueError(f"y must be one or more numbers in [0, 1], got {y!r}")
    return positions


def weighted_count_variance(y: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Variance of sum_i w_i 1{U_i < y_i} for each column of y and w, both of shape (n, d)."""
    n, d = y.shape
    independent = np.sum(weights**2 * y * (1 - y), axis=0)
    if n == 1:
        return np.asarray(independent)
    cell = np.minimum(np.floor(n * y), n - 1).astype(np.int64)
    fraction = n * y - cell
    # mass[k] = sum_i w_i h_i(k), where h_i is 1 below client i's cell, a fraction in it, 0 above.
    start, partial = np.zeros((n, d)), np.zeros((n, d))
    columns = np.broadcast_to(np.arange(d), (n, d))
    np.add.at(start, (cell, columns), weights)
    np.add.at(partial, (cell, columns), weights * fraction)
    whole = np.cumsum(start[::-1], axis=0)[::-1] - start  # weight of clients in higher cells
    mass = whole + partial
    # Deviations from the mean mass, since a difference of two large sums would lose digits.
    mean_mass = np.sum(weights * y, axis=0)
    own = np.sum(weights**2 * ((cell + fraction**2) / n - y**2), axis=0)
    spread = np.sum((mass - mean_mass) ** 2, axis=0) / n
    variance = independent - (spread - own) / (n - 1)
    return np.asarray(np.maximum(variance, 0.0))  # rounding may make it negative
