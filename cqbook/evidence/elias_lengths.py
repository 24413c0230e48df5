"""Lengths of QSGD's Elias codes for standard dithering with the 2-norm."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence.sampling import standard_error
from cqlib import Key, theory
from cqlib.compressors import make

Array = NDArray[np.float64]
FLOAT = 32  # bits of the norm


def expected_lengths(x: Array, s: int) -> tuple[float, float]:
    """Return the expected bits of QSGD's dense and sparse codes, including the norm.

    For every coordinate the dense code sends the level plus one, and the sign if the level is not
    0. The sparse code sends, for every nonzero coordinate, the gap to it, its sign and level.

    Args:
        x: vector, shape (d,), not zero.
        s: number of levels.

    Source: Alistarh et al. 2017; lengths of the Elias omega code.
    """
    scaled = s * np.abs(x) / np.linalg.norm(x)
    low = np.minimum(np.floor(scaled).astype(np.int64), s - 1)
    up = scaled - low
    chances, sizes = np.stack([1 - up, up]), np.stack([low, low + 1])
    nonzero = np.sum(chances * (sizes > 0), axis=0)  # probabilities
    dense = np.sum(chances * theory.elias_omega_bits(sizes + 1)) + nonzero.sum()
    lengths = theory.elias_omega_bits(np.maximum(sizes, 1)) * (sizes > 0)
    sparse = np.sum(chances * lengths) + nonzero.sum()
    last = np.ones(1)  # last[g - 1]: probability of a gap g to the previous nonzero coordinate
    gap_bits = theory.elias_omega_bits(np.arange(1, len(x) + 1))
    for p in nonzero:
        sparse += p * (last @ gap_bits[: len(last)])
        last = np.concatenate([[p], last * (1 - p)])
    return float(FLOAT + dense), float(FLOAT + sparse)


def enumerated_lengths(x: Array) -> tuple[float, float]:
    """Return the same for one level, over all outcomes: |x_j| is the probability of level 1.

    Args:
        x: a short vector of norm 1.
    """
    dense = sparse = 0.0
    for bits in product((0, 1), repeat=len(x)):
        factors = [p if bit else 1 - p for p, bit in zip(np.abs(x), bits, strict=True)]
        levels = np.array(bits) * np.sign(x).astype(int)
        dense += np.prod(factors) * theory.qsgd_dense_bits(levels)
        sparse += np.prod(factors) * theory.qsgd_sparse_bits(levels)
    return float(dense), float(sparse)


def sampled_sparse_length(
    a: Array, s: int, *, clients: int, seed: int, rounds: int = 20
) -> tuple[float, float]:
    """Return the mean length of the sparse code for sampled levels, and its standard error.

    Args:
        a: the vector of all clients, shape (d,).
        s: number of levels.
        clients: number of clients.
        seed: seed of the keys.
        rounds: number of rounds.
    """
    compressor, X = make("standard_dithering", s=s), torch.from_numpy(np.tile(a, (clients, 1)))
    decoded = [compressor.compress(X, key=Key(seed, round=r)).numpy() for r in range(rounds)]
    levels = np.rint(np.concatenate(decoded) * s / np.linalg.norm(a)).astype(np.int64)
    lengths = np.array([theory.qsgd_sparse_bits(row) for row in levels])
    return float(lengths.mean()), float(standard_error(lengths))
