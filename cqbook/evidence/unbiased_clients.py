"""Assumption 4: the mean of each client's message, exact for some compressors, sampled for all."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence import exact
from cqbook.evidence.exact import BitLaw
from cqbook.evidence.laws import client_means
from cqbook.evidence.sampling import bernstein_radius
from cqbook.evidence.vectors import Rows, Vector
from cqlib import Key
from cqlib.compressors import Compressor

Array = NDArray[np.float64]


def one_bit_means(rows: Rows, bits: BitLaw) -> list[Vector]:
    """Return the exact mean of each client's decoded vector, for a joint law of bits.

    Args:
        rows: the clients' vectors, with rational norms; a zero vector is decoded to zero.
        bits: law of the bits of one coordinate, such as :func:`exact.cq_bits`.

    >>> one_bit_means([[Fraction(3), Fraction(4)], [Fraction(0), Fraction(0)]], exact.cq_bits)[0]
    [Fraction(3, 1), Fraction(4, 1)]
    """
    d = len(rows[0])
    norms = [exact.norm(row) for row in rows]
    live = [i for i, R in enumerate(norms) if R]
    means = [[Fraction(0)] * d for _ in rows]
    for j in range(d):
        law = bits([(1 + rows[i][j] / norms[i]) / 2 for i in live])
        for place, i in enumerate(live):
            up = sum((chance * outcome[place] for chance, outcome in law), Fraction(0))
            means[i][j] = norms[i] * (2 * up - 1)
    return means


def perm_k_means(X: Rows) -> list[Vector]:
    """Return the exact mean of each client's message under PermK.

    >>> perm_k_means([[Fraction(1), Fraction(2)], [Fraction(3), Fraction(4)]])[1]
    [Fraction(3, 1), Fraction(4, 1)]
    """
    n, d = len(X), len(X[0])
    factors = client_means(exact.perm_k(n, d), n, d)
    return [
        [f * v for f, v in zip(fs, row, strict=True)] for fs, row in zip(factors, X, strict=True)
    ]


def permk_cq_means(X: Rows) -> list[Vector]:
    """Return the exact mean of each client of Algorithm 3 with b = 2 blocks, over all partitions.

    Args:
        X: an even number of clients and of coordinates; halves of rows have rational norms.
    """
    n, d = len(X), len(X[0])
    means = [[Fraction(0)] * d for _ in X]
    by_client, by_place = _halves(n), _halves(d)
    for blocks in product(by_client, by_place):
        for clients, places in zip(*blocks, strict=True):
            kept = [[2 * X[i][j] for j in places] for i in clients]
            for i, row in zip(clients, one_bit_means(kept, exact.cq_bits), strict=True):
                for j, value in zip(places, row, strict=True):
                    means[i][j] += value / (len(by_client) * len(by_place))
    return means


def _halves(size: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return all partitions of 0, ..., size - 1 into two ordered halves."""
    firsts = combinations(range(size), size // 2)
    return [(S, tuple(k for k in range(size) if k not in S)) for S in firsts]


def iscc_means(X: Rows, probabilities: Sequence[Fraction]) -> list[Vector]:
    """Return the exact mean of each client of ISCC of one-bit rounding, with two draws.

    Args:
        X: rows with rational norms.
        probabilities: $q_i$, of sum 1.

    Source: Lemma 4 of the paper.
    """
    means = [[Fraction(0)] * len(X[0]) for _ in X]
    for drawn in product(range(len(X)), repeat=2):
        chance = probabilities[drawn[0]] * probabilities[drawn[1]]
        for i in drawn:
            scaled = [v / (2 * probabilities[i]) for v in X[i]]
            sent = one_bit_means([scaled], exact.iq_bits)[0]
            means[i] = [old + chance * new for old, new in zip(means[i], sent, strict=True)]
    return means


def rounded_rand_k_mean(x: Sequence[Fraction], K: int) -> Vector:
    """Return the exact mean of RandK followed by one-bit rounding.

    Args:
        x: vector; the norm of any K of its coordinates is rational.
        K: number of kept coordinates.
    """
    d = len(x)
    subsets = list(combinations(range(d), K))
    mean = [Fraction(0)] * d
    for S in subsets:
        sent = one_bit_means([[Fraction(d, K) * x[j] for j in S]], exact.iq_bits)[0]
        for j, value in zip(S, sent, strict=True):
            mean[j] += value / len(subsets)
    return mean


def value_ranges(X: Array) -> dict[str, Array]:
    r"""Return, by compressor, the length of an interval that contains all values of a coordinate.

    For ``rand_k`` with k = 4, ``permk_cq`` with b = 2, ``iscc`` of ``iq``, and ``compose`` of
    ``rand_k`` (k = 4) and natural compression; d a power of two.

    Args:
        X: the clients' vectors, shape (n, d).

    Returns:
        Shape (n, d) each.
    """
    n, d = X.shape
    size = np.abs(X)
    norm = np.linalg.norm(X, axis=1, keepdims=True) * np.ones(d)
    sent = size > 0
    return {
        "identity": 0 * size,
        "top_k": 0 * size,
        "rand_k": d / 4 * size,
        "perm_k": n * size,
        "standard_dithering": norm * sent,
        "natural_dithering": norm * sent,
        "natural_compression": size,
        "terngrad": size.max(axis=1, keepdims=True) * sent,
        "iq": 2 * norm,
        "cq": 2 * norm,
        "drive": 2 * np.sqrt(d) * norm,
        "drive_plus": 2 * np.sqrt(d) * norm,  # since its error is at most that of DRIVE
        "permk_cq": 2 * 2 * norm,  # the norm of the kept part is at most the norm
        "iscc": 2 * n * norm,
        "global_qsgd": size.max() * sent,
        "compose": d / 4 * 2 * size,  # the power of two above a kept value
    }


class Deviation(NamedTuple):
    """Distances of means over rounds from the inputs, shape (n, d), and their limits."""

    found: Array
    allowed: Array
    in_range: bool  # the values of every coordinate lie in an interval of the assumed length


def deviation(
    compressor: Compressor, X: Array, spread: Array, *, rounds: int, seed: int, level: float
) -> Deviation:
    r"""Compare the mean of each coordinate of each client with its input (Assumption 4).

    Args:
        compressor: any.
        X: the clients' vectors, shape (n, d), representable in float32.
        spread: lengths of intervals that contain all values, shape (n, d).
        rounds: number of rounds.
        seed: seed of the keys.
        level: probability that an unbiased coordinate exceeds its limit.

    Returns:
        Distances and limits. The limits are those of the empirical Bernstein inequality, plus
        $10^{-6}\|a_i\|$ for rounding.
    """
    tensor = torch.from_numpy(X)
    sent = [compressor.compress(tensor, key=Key(seed, r)).numpy() for r in range(rounds)]
    values = np.stack(sent).astype(np.float64)
    rounding = 1e-6 * np.linalg.norm(X, axis=1, keepdims=True) * np.ones(X.shape[1])
    return Deviation(
        np.abs(values.mean(axis=0) - X),
        bernstein_radius(values, spread, level) + rounding,
        bool((np.ptp(values, axis=0) <= spread + rounding).all()),
    )
