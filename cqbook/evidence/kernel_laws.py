"""Probabilities of the rounding kernels, by counting over a regular grid of random words.

If the words form a regular grid, and positions are multiples of a coarser step, the number of words
that round up is exactly the probability times the number of words.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence.quantizer_laws import dithering_levels, rounding
from cqlib import Key
from cqlib.compressors import make
from cqlib.kernels.reference import rounding as kernel

WORDS = 2**10  # random words on the grid
FINE = 2**8  # positions k / FINE


def grid_words() -> NDArray[np.int64]:
    """Return the regular grid of 32-bit words.

    >>> grid_words()[:2].tolist()
    [0, 4194304]
    """
    return np.arange(WORDS, dtype=np.int64) << 22


def dithering_laws(name: str, s: int) -> list[bool]:
    """Return, for each position k / 256, True if the kernel of a dithering has the exact law.

    Args:
        name: "standard_dithering" or "natural_dithering".
        s: number of levels.

    Source: Definitions 2 and 3.

    >>> laws = dithering_laws("standard_dithering", 2)
    >>> len(laws), all(laws)
    (257, True)
    """
    compressor: Any = make(name, s=s)
    levels = dithering_levels(name, s)
    positions, words = np.tile(np.arange(FINE + 1) / FINE, (WORDS, 1)), grid_words()[:, None]
    if name == "standard_dithering":
        rounded = kernel.round_linear(positions, words, s)
    else:
        rounded = kernel.round_exponential(positions, words, 1 - s)
    values = compressor.spacing.values(rounded)
    right = []
    for k in range(FINE + 1):
        found, times = np.unique(values[:, k], return_counts=True)
        law = {float(v): p * WORDS for p, v in rounding(Fraction(k, FINE), levels) if p}
        right.append(law == dict(zip(found.tolist(), times.tolist(), strict=True)))
    return right


def one_bit_laws(n: int) -> list[bool]:
    r"""Return, for each position k / 256, True if IQ and CQ round up with the right probability.

    The probability is y for IQ, and $\mathrm{clip}(ny-r,0,1)$ for CQ with rank r.

    Args:
        n: number of clients, a power of two.

    Returns:
        A list of length 257 (n + 1).

    Source: Definition 5 and Algorithm 2.

    >>> laws = one_bit_laws(2)
    >>> len(laws), all(laws)
    (771, True)
    """
    words, right = grid_words(), []
    for k in range(FINE + 1):
        y = Fraction(k, FINE)
        g = kernel.grid(np.array([[float(2 * y - 1)]]), np.ones(1, dtype=np.float32))[0, 0]
        right.append(bool(kernel.round_independent(g, words).sum() == WORDS * y))
        for rank in range(n):
            ups = kernel.round_correlated(g, words, np.full(WORDS, rank), n).sum()
            right.append(bool(ups == WORDS * min(max(n * y - rank, Fraction(0)), Fraction(1))))
    return right


def sends_neighbouring_levels(
    name: str, x: NDArray[np.float64], q: float, s: int, *, seed: int, clients: int = 64
) -> bool:
    """Return True if a dithering sends sign times norm times a neighbouring level, and 0 for 0.

    Args:
        name: "standard_dithering" or "natural_dithering".
        x: vector, the same for all clients.
        q: index of the norm.
        s: number of levels.
        seed: seed of the key.
        clients: number of clients, each with its own randomness.

    >>> sends_neighbouring_levels("natural_dithering", np.array([0.5, -1.0, 0.0]), 2, 3, seed=0)
    True
    """
    compressor = make(name, p=q, s=s)
    R = np.linalg.norm(x, ord=q)
    levels = np.array([float(v) for v in dithering_levels(name, s)])
    above = np.clip(np.searchsorted(levels, np.abs(x) / R, side="right"), 1, len(levels) - 1)
    X = torch.from_numpy(np.tile(x, (clients, 1)))
    sent = compressor.compress(X, key=Key(seed)).numpy()
    low, high = (np.sign(x) * R * levels[above - 1 + k] for k in (0, 1))
    distance = np.minimum(np.abs(sent - low), np.abs(sent - high)).max()
    zeros = torch.zeros(2, len(x), dtype=torch.float64)
    silent = bool((compressor.compress(zeros, key=Key(seed)) == 0).all())
    return bool(distance < 1e-5 * R) and silent
