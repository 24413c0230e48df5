"""Exact errors of compressors for many inputs: the first axis, of length k, runs over inputs.

Each function sums over all outcomes with their probabilities, in float64.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from cqlib.theory.mse import weighted_count_variance

Array = NDArray[np.float64]


def iq_mse(X: Array) -> Array:
    """Return the exact MSE of the mean of IQ: X of shape (k, n, d) to (k,)."""
    _, n, d = X.shape
    return np.asarray((d - 1) / n**2 * np.sum(X**2, axis=(1, 2)))


def cq_variance(y: Array, weights: Array | None = None) -> Array:
    """Return the exact variance of the weighted number of clients that round up under CQ.

    Args:
        y: positions in the range, shape (k, n, c), for c coordinates.
        weights: weights of the clients, of a shape that broadcasts; 1 by default.

    Returns:
        Shape (k, c).
    """
    k, n, c = y.shape
    columns = np.ascontiguousarray(y.transpose(1, 0, 2)).reshape(n, -1)
    w = np.broadcast_to(1.0 if weights is None else weights, y.shape)
    w = np.ascontiguousarray(w.transpose(1, 0, 2)).reshape(n, -1)
    return weighted_count_variance(columns, w).reshape(k, c)


def cq_mse(X: Array) -> Array:
    """Return the exact MSE of the mean of CQ for any inputs: X of shape (k, n, d) to (k,)."""
    norms = np.linalg.norm(X, axis=-1, keepdims=True)
    y = 0.5 * (1 + np.divide(X, norms, out=np.zeros_like(X), where=norms > 0))
    return np.asarray(cq_variance(np.clip(y, 0, 1), 2 * norms).sum(axis=-1) / X.shape[1] ** 2)


def permk_cq_mse(X: Array, b: int) -> Array:
    """Return the exact MSE of the mean of PermK+CQ (Algorithm 3), over all permutations.

    Args:
        X: shape (k, n, d), with small n and d.
        b: number of blocks, a divisor of n and d.

    Returns:
        Shape (k,).
    """
    _, n, d = X.shape
    rows, columns = _partitions(n, b), _partitions(d, b)
    # Only the pairing of row blocks with column blocks matters: fix the order of the row blocks.
    rows = [parts for parts in rows if parts == sorted(parts)]
    pairs = list(product(rows, columns))
    clients = np.array([part for parts, _ in pairs for part in parts])  # (pairs b, n / b)
    places = np.array([part for _, parts in pairs for part in parts])
    kept = b * X[:, clients[:, :, None], places[:, None, :]]  # (k, pairs b, n / b, d / b)
    flat = kept.reshape(-1, n // b, d // b)
    rounding = cq_mse(flat).reshape(len(X), len(pairs), b).sum(axis=-1) / b**2
    masks = np.zeros((len(pairs), n, d))
    for mask, (parts, cuts) in zip(masks, pairs, strict=True):
        for part, cut in zip(parts, cuts, strict=True):
            mask[np.ix_(part, cut)] = b
    means = np.einsum("cnd,knd->kcd", masks, X) / n
    choice = np.sum((means - X.mean(axis=1)[:, None]) ** 2, axis=-1)
    return np.asarray((rounding + choice).mean(axis=-1))


def _partitions(n: int, b: int) -> list[list[tuple[int, ...]]]:
    """Return all partitions of 0, ..., n - 1 into b ordered blocks of equal size."""
    if b == 1:
        return [[tuple(range(n))]]
    found = []
    for first in combinations(range(n), n // b):
        rest = [i for i in range(n) if i not in first]
        for others in _partitions(len(rest), b - 1):
            found.append([first, *(tuple(rest[i] for i in part) for part in others)])
    return found


def drive_hadamard(X: Array) -> tuple[Array, Array]:
    """Return mean and mean squared error of DRIVE with a Hadamard rotation, over all signs.

    Args:
        X: shape (k, D), where D is a small power of two.

    Returns:
        The mean of the decoded vectors, (k, D), and E|C(x) - x|^2, (k,).
    """
    D = X.shape[1]
    H = hadamard(D) / np.sqrt(D)
    signs = np.array(list(product((1.0, -1.0), repeat=D)))
    y = (X[:, None] * signs) @ H
    bits = np.where(y >= 0, 1.0, -1.0)
    sums = np.abs(y).sum(axis=-1, keepdims=True)
    scale = np.divide(
        (y**2).sum(axis=-1, keepdims=True), sums, out=np.zeros_like(sums), where=sums > 0
    )
    decoded = scale * bits @ H * signs
    error = np.sum((decoded - X[:, None]) ** 2, axis=-1).mean(axis=1)
    return decoded.mean(axis=1), error
