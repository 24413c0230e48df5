"""Packing of integers of a fixed length, plane by plane."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled
from cqlib.kernels.cpu.compiled.levels import _pack_planes, _unpack_planes
from cqlib.kernels.reference.packing import TILE


@compiled
def pack(values, width, first, last, out):
    """Pack tiles first .. last - 1 as ``packing.pack_integers``."""
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
