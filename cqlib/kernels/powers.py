"""Adding up powers of two without leaving the powers of two: Global-QSGD's floatless reduction.

A number 0 or +-2^e is an integer: 0, or its sign times l = 1 + e - lowest, counted from the lowest
exponent that occurs. The sum of two is rounded, without bias, to one of the two neighbouring powers
of two, so that it is such an integer again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Signed = NDArray[Any]  # of 16 bits where they are made here
_MOST_DOUBLINGS = 31  # a word of 32 bits tells no smaller chance


def add_powers(a: Signed, b: Signed, words: NDArray[Any]) -> Signed:
    r"""Add signed powers of two, rounding to a neighbouring one without bias.

    With the larger at exponent e and the other $\delta$ below: of equal signs, e + 1 with
    probability $2^{-\delta}$ and e otherwise; of different signs e - 1 with probability
    $2^{1-\delta}$ and e otherwise, and 0 for $\delta=0$. A chance below $2^{-31}$ is taken as that.

    Args:
        a: signed exponents, any shape.
        b: the same of the others.
        words: random words in [0, 2^32), of a shape that broadcasts.

    Source: Xin, Canini, Richtarik, Horvath 2023, the reduction for exponential dithering; their
        published kernel, rewritten without floats.

    >>> four, one = np.array([3], dtype=np.int16), np.array([1], dtype=np.int16)
    >>> [int(add_powers(four, one, np.array([word]))[0]) for word in range(4)]  # 8 one time in 4
    [4, 3, 3, 3]
    """
    a, b = np.asarray(a, dtype=np.int16), np.asarray(b, dtype=np.int16)
    size_a, size_b = np.abs(a), np.abs(b)
    gap = np.abs(size_a - size_b)
    larger = np.where(size_a >= size_b, a, b)
    opposite = (a < 0) != (b < 0)
    doublings = np.clip(gap - opposite, 0, _MOST_DOUBLINGS).astype(np.uint32)
    hit = (words.astype(np.uint32) & ((np.uint32(1) << doublings) - np.uint32(1))) == 0
    step = np.where(opposite, -1, 1) * hit * np.sign(larger)
    total = np.where(opposite & (gap == 0), 0, larger + step)
    return np.where((a == 0) | (b == 0), a + b, total).astype(np.int16)
