"""Signed powers of two: rounding to them, and adding them up without leaving them.

A number 0 or +-2^e is an integer: 0, or its sign times l = 1 + e - lowest, counted from the lowest
exponent that occurs. The sum of two is rounded, without bias, to one of the two neighbouring powers
of two, so that it is such an integer again: Global-QSGD's floatless reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.reference.buffers import check_vector, empty_codes, output
from cqlib.kernels.reference.packing import code_bytes, levels_of, pack, symbols_of, unpack
from cqlib.kernels.reference.rounding import round_exponential
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream

LOWEST, MOST = -126, 254  # exponent and number of the levels that are normal 32-bit floats
Array = NDArray[Any]
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


def encode_powers(
    x: Array,
    scale: float,
    *,
    lowest: int,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round a vector over R to signed powers of two and pack the symbols: natural dithering.

    Args:
        x: finite, shape (d,), float32 or float64.
        scale: R, a float32, with |x_j| / R up to the largest level; for 0 all symbols are 0.
        lowest: exponent of the smallest level, in [-126, 127].
        levels: how many there are above 0, so that the largest is 2^127 at most.
        key: the round's key.
        client: its id.
        out: uint8 array of ``packing.code_bytes(d, 2 levels + 1)`` bytes to fill.

    Raises:
        ValueError: for other levels, or if ``out`` does not fit.
    """
    check_vector(x)
    check_powers(lowest, levels)
    codes = empty_codes(code_bytes(x.size, 2 * levels + 1), out)
    words = stream_words(key.private(Stream.ROUNDING, np.array([client])), x.size)
    y = np.abs(x) / np.float64(scale if scale > 0 else 1.0)
    above = round_exponential(y, words[0], lowest) * (scale > 0)
    codes[:] = pack(symbols_of(np.where(x < 0, -above, above)), 2 * levels + 1)
    return codes


def decode_powers(
    codes: NDArray[np.uint8],
    scale: float,
    *,
    d: int,
    lowest: int,
    levels: int,
    out: Array | None = None,
) -> Array:
    """Return R times the power of two, with its sign, that each symbol stands for.

    Args:
        codes: uint8, as :func:`encode_powers` gives.
        scale: R, a float32.
        d: number of coordinates.
        lowest: exponent of the smallest level, in [-126, 127].
        levels: how many there are above 0.
        out: float32 or float64 array of shape (d,) to fill; by default a new one of float32.

    Raises:
        ValueError: for the wrong number of bytes, padding that is not zero, or a symbol too large.
    """
    check_powers(lowest, levels)
    symbols = unpack(codes, d, 2 * levels + 1)
    values = output((d,), np.float32, out)
    values[:] = power_values(scale, lowest, levels)[symbols]
    return values


def power_values(scale: float, lowest: int, levels: int) -> NDArray[np.float32]:
    """Return the values of all 2 levels + 1 symbols, rounded once from float64."""
    signed = levels_of(np.arange(2 * levels + 1))
    powers = np.sign(signed) * np.ldexp(1.0, np.abs(signed) - 1 + lowest)
    with np.errstate(over="ignore", under="ignore"):
        return (powers * np.float64(scale)).astype(np.float32) + np.float32(0.0)


def check_powers(lowest: int, levels: int) -> None:
    """Refuse levels that are no normal 32-bit floats."""
    if not (LOWEST <= lowest and levels >= 1 and lowest + levels <= LOWEST + MOST):
        raise ValueError(
            f"levels must be powers of two from 2^{LOWEST} to 2^{LOWEST + MOST - 1}, got {levels} "
            f"from 2^{lowest} on"
        )
