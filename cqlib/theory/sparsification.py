r"""Sparsification: constants and exact errors of RandK, PermK, its compositions, and sampling.

Exact errors are total mean squared errors of the mean,
$\mathbb E\|\frac1n\sum_iC_i(a_i)-\bar a\|^2$, for any inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cqlib.theory.mse import cq_mse_equal
from cqlib.theory.vectors import Vectors, mean_and_spread, squared_norms


def rand_k_mse(X: Vectors, k: int) -> float:
    r"""Exact MSE of the mean of RandK: $\frac{d/k-1}{n^2}\sum_i\|a_i\|^2$.

    Args:
        X: shape (n, d), one row a client.
        k: coordinates that a client keeps, in [1, d].

    Raises:
        ValueError: if k is outside its range, or X holds NaN or infinity.

    Source: the variance of RandK, $\omega=\frac dk-1$ exactly, of independent clients.

    >>> rand_k_mse(np.ones((2, 4)), k=1)  # 3 (4 + 4) / 4
    6.0
    """
    n, d = X.shape
    if not 1 <= k <= d:
        raise ValueError(f"k must be in [1, {d}], got {k}")
    return (d / k - 1) * float(np.sum(squared_norms(X))) / n**2


def perm_k_omega(d: int, n: int | None = None) -> float:
    r"""Return omega of PermK for n clients, or the largest over all n.

    $n\,\mathbb E[1/m]-1$, where m is the number of clients that send a coordinate: n - 1 for
    n <= d, d - 1 for n a multiple of d.

    Args:
        d: dimension, at least 1.
        n: number of clients; None for the largest value over all n.

    Raises:
        ValueError: if a number is below 1.

    Source: Szlendak et al. 2022 for n <= d and n = qd; derived for other n.

    >>> perm_k_omega(12, 3), perm_k_omega(3, 12), perm_k_omega(2, 3)
    (2.0, 2.0, 1.25)
    >>> perm_k_omega(4)  # at n = 6
    3.5
    """
    if d < 1 or (n is not None and n < 1):
        raise ValueError(f"d and n must be at least 1, got {d=}, {n=}")
    if n is None:  # it grows up to n = d, then peaks between multiples of d, first highest
        n = d + d // 2
    if n <= d:
        return n - 1.0
    q, r = divmod(n, d)  # r coordinates, drawn at random, have q + 1 clients; the others q
    return n * ((1 - r / d) / q + (r / d) / (q + 1)) - 1


def perm_k_mse(X: Vectors) -> float:
    r"""Exact MSE of the mean of PermK: $A(\frac1n\sum_i\|a_i\|^2-\|\bar a\|^2)$.

    $A=\omega/(n-1)$: 1 for n <= d, $\frac{d-1}{n-1}$ for n a multiple of d.

    Args:
        X: shape (n, d), one row a client.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.

    Source: equality in Szlendak, Tyurin, Richtárik 2022, for PermK; derived for other n.

    >>> perm_k_mse(np.array([[1.0, 0.0], [0.0, 1.0]]))  # 1 - 1/2
    0.5
    """
    n, d = X.shape
    if n == 1:
        return 0.0
    return perm_k_omega(d, n) / (n - 1) * mean_and_spread(X)[1]


def block_sizes(d: int, b: int) -> list[int]:
    """Return the sizes of b blocks of d columns, which differ by at most one.

    >>> block_sizes(5, 2)
    [3, 2]
    """
    small, more = divmod(d, b)
    return [small + 1] * more + [small] * (b - more)


def permk_cq_constants(n: int, d: int, b: int) -> tuple[float, float]:
    r"""Return A and B of PermK+CQ with b blocks (Algorithm 3), for all inputs.

    $A=\frac1n(\frac bd\sum_kd_k^2-b)+\frac{b-1}{n-1}$, $B=\frac{b-1}{n-1}$, where $d_k$ are the
    sizes of the column blocks: $A=\frac{d-b}n+\frac{b-1}{n-1}$ where b divides d.

    Args:
        n: number of clients, a multiple of b.
        d: dimension, at least 1.
        b: number of blocks, at least 1.

    Raises:
        ValueError: if b does not divide n, or a number is below 1.

    Source: derived; equality where IQ replaces CQ, whose covariances are never positive.

    >>> permk_cq_constants(4, 8, 2)  # 6/4 + 1/3, 1/3
    (1.8333333333333333, 0.3333333333333333)
    """
    if not (n >= 1 and d >= 1 and b >= 1) or n % b:
        raise ValueError(f"need d >= 1 and b >= 1 that divides n >= 1; got {n=}, {d=}, {b=}")
    B = (b - 1) / (n - 1) if n > 1 else 0.0
    return permk_cq_rounding(d, b) / n + B, B


def permk_cq_rounding(d: int, b: int) -> float:
    r"""Return $\frac bd\sum_kd_k^2-b$: the rounding error of a client of PermK+CQ over $\|x\|^2$.

    >>> permk_cq_rounding(8, 2)  # d - b
    6.0
    """
    return b / d * sum(size**2 for size in block_sizes(d, b)) - b


def permk_iq_mse(X: Vectors, b: int) -> float:
    r"""Exact MSE of the mean where IQ replaces CQ in PermK+CQ with b blocks.

    Algorithm 3 with independent rounding: the AB-inequality of :func:`permk_cq_constants` is an
    equality, so that the correlated version is never worse.

    Args:
        X: shape (n, d), one row a client.
        b: number of blocks, a divisor of n.

    Raises:
        ValueError: if b does not divide n, or X holds NaN or infinity.

    Source: derived by the law of total variance over the permutations.

    >>> permk_iq_mse(np.ones((2, 4)), b=1) == 3 * 4 / 2  # IQ
    True
    """
    n, d = X.shape
    mean_square, spread = mean_and_spread(X)
    B = permk_cq_constants(n, d, b)[1]
    return permk_cq_rounding(d, b) / n * mean_square + B * spread


def permk_cq_mse_equal(a: NDArray[np.float64], n: int, b: int) -> NDArray[np.float64]:
    r"""Exact MSE of the mean of PermK+CQ where all n clients have the same vector (Algorithm 3).

    The blocks together hold every coordinate, so that only rounding makes an error. It is b times
    the average, over subsets S of d / b coordinates, of CQ's error of $a_S$ with n / b clients: a
    client sends $b\,a_S$, and the sum over n / b clients is divided by n.

    Args:
        a: shape (..., d), d a multiple of b and small: all subsets are enumerated.
        n: number of clients, a multiple of b.
        b: number of blocks.

    Returns:
        Shape (...), in the square of a's unit.

    Raises:
        ValueError: if b does not divide n and d.

    Source: Corollary 3, whose bound (valid form) is $\frac{bd}{n^2}\|a\|^2$.

    >>> float(permk_cq_mse_equal(np.ones(4), n=4, b=1)) == float(cq_mse_equal(np.ones(4), n=4))
    True
    """
    a = np.asarray(a, dtype=np.float64)
    d = a.shape[-1]
    if n % b or d % b:
        raise ValueError(f"b = {b} must divide n = {n} and d = {d}")
    subsets = np.array(list(combinations(range(d), d // b)))
    return np.asarray(cq_mse_equal(a[..., subsets], n // b).mean(axis=-1) * b)


def importance_sampling_mse(
    X: Vectors, probabilities: Sequence[float], tau: int = 1, omega: float = 0.0
) -> float:
    r"""Exact MSE of the mean where tau clients, drawn with given probabilities, send their vectors.

    $\frac{1+\omega}{\tau n}\sum_i\frac1{nq_i}\|a_i\|^2-\frac1\tau\|\bar a\|^2$ for independent
    compressors whose error is omega |x|^2 for every x, compressed afresh in every draw.

    Args:
        X: shape (n, d), one row a client.
        probabilities: $q_i$, shape (n,), positive, of sum 1.
        tau: number of independent draws.
        omega: relative error of a client's compressor; 0 for no compression.

    Raises:
        ValueError: unless probabilities are n positive numbers of sum 1, tau >= 1 and omega >= 0.

    Source: Appendix C.2; the equality behind Lemma 4.

    >>> importance_sampling_mse(np.ones((2, 4)), [0.5, 0.5])  # equal clients: no error
    0.0
    """
    n = len(X)
    q = np.asarray(probabilities, dtype=np.float64)
    if q.shape != (n,) or not (q > 0).all() or abs(q.sum() - 1) > 1e-6:
        raise ValueError(f"probabilities must be {n} positive numbers of sum 1, got {q.tolist()}")
    if tau < 1 or not omega >= 0:
        raise ValueError(f"need tau >= 1 and omega >= 0, got {tau}, {omega}")
    mean_square, spread = mean_and_spread(X)
    weighted = float(np.sum(squared_norms(X) / q)) / n**2
    return ((1 + omega) * weighted - (mean_square - spread)) / tau
