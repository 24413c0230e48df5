"""Signed powers of two: rounding, packing, and addition."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.levels import STRIP, pack_strip
from cqlib.kernels.cpu.compiled.words import ONE, TILE_BYTES, half_tile_words
from cqlib.kernels.reference.packing import TILE

_MANTISSA = 52  # bits of the fraction of a float64
_EXPONENT_BIAS = 1023
_GRID = 31
_MOST_DOUBLINGS = 31


@inlined
def _round_strip(x, R, lowest, k0, k1, strip, w, sizes, out):
    """Fill out, shape (STRIP,), with a strip's signed levels as ``rounding.round_exponential``.

    The exponent of a float64 gives the power of two below it, the fraction the probability of the
    next one.
    """
    start = strip * STRIP
    count = min(STRIP, x.size - start)
    unit = 2.0 ** (_GRID - lowest)
    bits = sizes.view(np.int64)
    for t in range(0, count, TILE):
        m = min(TILE, count - t)
        length = (m + 7) // 8
        for j in range(m):
            sizes[j] = abs(np.float64(x[start + t + j])) / R
        for half in range(2):
            half_tile_words((start + t) // TILE, half, length, k0, k1, w)
            for k in range(4):
                a = min((4 * half + k) * length, m)
                word = w[k]
                for l in range(min(length, m - a)):
                    j = a + l
                    level = (bits[j] >> _MANTISSA) - _EXPONENT_BIAS - lowest + 1
                    fraction = (bits[j] & ((1 << _MANTISSA) - 1)) >> (_MANTISSA - _GRID)
                    if level <= 0:
                        level, fraction = np.int64(0), np.int64(sizes[j] * unit)
                    level += np.int64(word[l] >> ONE) < fraction
                    out[t + j] = -level if x[start + t + j] < 0 else level
    return count


@compiled
def encode(x, R, lowest, width, like, k0, k1, first, last, out):
    """Round strips first .. last - 1 and pack the symbols; width 0 means trits."""
    w = np.empty((4, TILE_BYTES), np.uint64)
    sizes, levels = np.empty(TILE, np.float64), np.empty(STRIP, np.int32)
    symbols = np.zeros(STRIP, like.dtype)
    for strip in range(first, last):
        count = _round_strip(x, R, lowest, k0, k1, strip, w, sizes, levels)
        pack_strip(levels, count, width, symbols, strip, out)


@compiled
def add_powers(a, b, words, first, last, out):
    """Add signed powers of two of tiles first .. last - 1 as ``powers.add_powers``."""
    for i in range(first * TILE, min(last * TILE, a.size)):
        x, y = np.int64(a[i]), np.int64(b[i])
        if x == 0 or y == 0:
            out[i] = x + y
            continue
        gap = abs(x) - abs(y)
        larger, gap = (x, gap) if gap >= 0 else (y, -gap)
        opposite = (x < 0) != (y < 0)
        if opposite and gap == 0:
            out[i] = 0
            continue
        doublings = min(gap - opposite, _MOST_DOUBLINGS)
        hit = (np.int64(words[i]) & ((1 << doublings) - 1)) == 0
        step = (-1 if opposite else 1) * (1 if larger > 0 else -1)
        out[i] = larger + step * hit
