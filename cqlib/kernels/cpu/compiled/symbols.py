"""Packing and unpacking of symbols of any alphabet, and rounding to symbols."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled
from cqlib.kernels.cpu.compiled.levels import (
    FRACTION,
    STRIP,
    _pack_planes,
    _pack_trits,
    _unpack_planes,
    _unpack_trits,
)
from cqlib.kernels.cpu.compiled.words import ONE, TILE_BYTES, half_tile_words
from cqlib.kernels.reference.packing import TILE, TRIT_TILE


@compiled
def pack(values, width, like, first, last, out):
    """Pack strips first .. last - 1 of symbols in the dtype of ``like``; width 0 means trits."""
    symbols = np.zeros(STRIP, like.dtype)
    for strip in range(first, last):
        part = values[strip * STRIP : (strip + 1) * STRIP]
        for j in range(part.size):
            symbols[j] = part[j]
        if width == 0:
            codes = out[strip * (STRIP // 5) :]
            for t in range(0, part.size, TRIT_TILE):
                _pack_trits(symbols[t:], min(TRIT_TILE, part.size - t), codes[t // 5 :])
        else:
            codes = out[strip * (STRIP // 8) * width :]
            for t in range(0, part.size, TILE):
                m = min(TILE, part.size - t)
                _pack_planes(symbols[t:], m, width, codes[t // 8 * width :])


@compiled
def unpack(codes, width, like, first, last, out):
    """Undo ``pack``; return the largest symbol, for trits the largest byte."""
    symbols, largest = np.empty(STRIP, like.dtype), np.int64(0)
    for strip in range(first, last):
        part = out[strip * STRIP : (strip + 1) * STRIP]
        if width == 0:
            data = codes[strip * (STRIP // 5) :]
            for t in range(0, part.size, TRIT_TILE):
                _unpack_trits(data[t // 5 :], min(TRIT_TILE, part.size - t), symbols[t:])
            for l in range((part.size + 4) // 5):
                largest = max(largest, np.int64(data[l]))
        else:
            data = codes[strip * (STRIP // 8) * width :]
            for t in range(0, part.size, TILE):
                m = min(TILE, part.size - t)
                _unpack_planes(data[t // 8 * width :], m, width, symbols[t:])
            for j in range(part.size):
                largest = max(largest, np.int64(symbols[j]))
        for j in range(part.size):
            part[j] = symbols[j]
    return largest


@compiled
def dither(y, s, k0, k1, first, last, out):
    """Fill tiles first .. last - 1 of out with the symbols of y as ``reference.dither``.

    Tiles are numbered row by row, ceil(d / 1024) per row; row r uses key r mod c.
    """
    w = np.empty((4, TILE_BYTES), np.uint64)
    values, symbols = np.zeros(TILE, y.dtype), np.empty(TILE, out.dtype)
    top, tiles = np.float64(s << 31), (y.shape[1] + TILE - 1) // TILE
    for at in range(first, last):
        row, tile = at // tiles, at % tiles
        part = out[row, tile * TILE : (tile + 1) * TILE]
        values[: part.size] = y[row, tile * TILE : tile * TILE + part.size]
        values[part.size :] = 0.0
        length = (part.size + 7) // 8
        for half in range(2):
            half_tile_words(tile, half, length, k0[row % k0.size], k1[row % k1.size], w)
            for k in range(4):
                place = (4 * half + k) * length
                word, v, symbol = w[k], values[place:], symbols[place:]
                for l in range(length):
                    g = np.int64(min(np.floor(abs(np.float64(v[l])) * top), top))
                    level = (g >> 31) + (np.int64(word[l] >> ONE) < (g & FRACTION))
                    symbol[l] = max(2 * level - (v[l] >= 0), 0)
        for j in range(part.size):
            part[j] = symbols[j]
