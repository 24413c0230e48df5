"""Integers of a fixed length, packed plane by plane, and sums of powers of two."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.loops.compile import compiled
from cqlib.kernels.loops.levels import _pack_planes, _unpack_planes
from cqlib.kernels.packing import TILE

_MOST_DOUBLINGS = 31


@compiled
def pack(values, width, first, last, out):
    """Pack tiles first .. last - 1; as ``packing.pack_integers``."""
    symbols = np.empty(TILE, np.uint32)
    for tile in range(first, last):
        part = values[tile * TILE : (tile + 1) * TILE]
        for j in range(part.size):
            symbols[j] = part[j]
        _pack_planes(symbols, part.size, width, out[tile * (TILE // 8) * width :])


@compiled
def unpack(codes, width, first, last, out):
    """Undo ``pack``."""
    symbols = np.empty(TILE, np.uint32)
    for tile in range(first, last):
        part = out[tile * TILE : (tile + 1) * TILE]
        _unpack_planes(codes[tile * (TILE // 8) * width :], part.size, width, symbols)
        for j in range(part.size):
            part[j] = symbols[j]


@compiled
def add_powers(a, b, words, first, last, out):
    """Add signed powers of two in tiles; as ``powers.add_powers``."""
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
