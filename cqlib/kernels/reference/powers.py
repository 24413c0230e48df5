"""Signed powers of two: rounding to them, and sums that are rounded to them again.

The value 0 is stored as the integer 0, the value +-2^e as +-l, l = 1 + e - lowest, where lowest is
the smallest exponent. The sum of two values is rounded, without bias, to one of the two
neighbouring powers of two. So sums need no floats: this is Global-QSGD's reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.reference.buffers import check_vector, empty_codes, output
from cqlib.kernels.reference.packing import code_bytes, levels_of, pack, symbols_of, unpack
from cqlib.kernels.reference.rounding import round_exponential
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream

LOWEST, MOST = -126, 254  # smallest exponent and number of the normal float32 powers of two
Signed = Array  # int16 in the results
_MOST_DOUBLINGS = 31  # the smallest probability that a 32-bit word can decide is 2^-31


def add_powers(a: Signed, b: Signed, words: NDArray[Any]) -> Signed:
    """Round by the lowest bits of a word: each bit halves the probability."""
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
    scale: Array | float,
    *,
    lowest: int,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round absolute values, apply the signs, then pack."""
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
    scale: Array | float,
    *,
    d: int,
    lowest: int,
    levels: int,
    out: Array | None = None,
) -> Array:
    """Unpack, then look values up in a table."""
    check_powers(lowest, levels)
    symbols = unpack(codes, d, 2 * levels + 1)
    values = output((d,), np.float32, out)
    values[:] = power_values(scale, lowest, levels)[symbols]
    return values


def power_values(scale: Array | float, lowest: int, levels: int) -> NDArray[np.float32]:
    """Return the values of all 2 levels + 1 symbols, rounded once from float64."""
    signed = levels_of(np.arange(2 * levels + 1))
    powers = np.sign(signed) * np.ldexp(1.0, np.abs(signed) - 1 + lowest)
    with np.errstate(over="ignore", under="ignore"):
        values = (powers * np.float64(scale)).astype(np.float32)
        return np.asarray(values + np.float32(0.0), dtype=np.float32)


def check_powers(lowest: int, levels: int) -> None:
    """Raise ValueError unless all levels above 0 are normal float32."""
    if not (LOWEST <= lowest and levels >= 1 and lowest + levels <= LOWEST + MOST):
        raise ValueError(
            f"levels must be powers of two from 2^{LOWEST} to 2^{LOWEST + MOST - 1}, got {levels} "
            f"from 2^{lowest} on"
        )
