"""Dithering: rounding to signed multiples of R / s, with or without packing, and unpacking.

Random words have tiles of 1024 coordinates, trits have tiles of 1280. A strip is 5120 coordinates:
whole tiles of both kinds.
"""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.words import ONE, TILE_BYTES, half_tile_words
from cqlib.kernels.reference.packing import TILE, TRIT_TILE

STRIP = 5120
FRACTION = (1 << 31) - 1


@inlined
def _round_tile(x, R, top, k0, k1, tile, length, w, out):
    """Fill out with the signed levels of 8 ``length`` coordinates as ``rounding.round_linear``."""
    for half in range(2):
        half_tile_words(tile, half, length, k0, k1, w)
        for k in range(4):
            xk = x[(4 * half + k) * length : (4 * half + k + 1) * length]
            part = out[(4 * half + k) * length : (4 * half + k + 1) * length]
            word = w[k]
            for l in range(length):
                v = np.float64(xk[l])
                g = np.int64(min(np.floor(abs(v) / R * top), top))
                level = (g >> 31) + (np.int64(word[l] >> ONE) < (g & FRACTION))
                part[l] = -level if v < 0 else level


@inlined
def _round_strip(x, R, s, k0, k1, strip, w, tile, out):
    """Fill out, shape (STRIP,), with the signed levels of a strip; return their number."""
    start = strip * STRIP
    count = min(STRIP, x.size - start)
    top = np.float64(s << 31)
    for t in range((count + TILE - 1) // TILE):
        m = min(TILE, count - t * TILE)
        xt, length = x[start + t * TILE : start + t * TILE + m], (m + 7) // 8
        for j in range(m):
            tile[j] = xt[j]
        part = out[t * TILE :]
        if m == TILE:  # a constant length, for the compiler
            _round_tile(tile, R, top, k0, k1, 5 * strip + t, TILE_BYTES, w, part)
        else:
            tile[m : 8 * length] = 0.0
            _round_tile(tile, R, top, k0, k1, 5 * strip + t, length, w, part)
    return count


@compiled
def quantize(x, R, s, k0, k1, first, last, out):
    """Fill strips first .. last - 1 of out, integers of shape (d,), with signed levels."""
    w = np.empty((4, TILE_BYTES), np.uint64)
    tile, levels = np.empty(TILE, x.dtype), np.empty(STRIP, np.int32)
    for strip in range(first, last):
        count = _round_strip(x, R, s, k0, k1, strip, w, tile, levels)
        part = out[strip * STRIP : strip * STRIP + count]
        for j in range(count):
            part[j] = levels[j]


@inlined
def _bit_place(i, bits):
    """Return byte and bit where ``packing.pack_bits`` puts bit i of a string of ``bits`` bits."""
    tile, place = i // TILE, i % TILE
    length = (min(TILE, bits - tile * TILE) + 7) // 8
    return tile * TILE_BYTES + place % length, place // length


@inlined
def _pack_planes(symbols, m, width, codes):
    """Pack m symbols of a tile, plane by plane, as ``packing.pack_integers``."""
    if m == TILE:
        for plane in range(width):
            byte = codes[plane * TILE_BYTES : (plane + 1) * TILE_BYTES]
            byte[:] = 0
            for k in range(8):
                part = symbols[k * TILE_BYTES : (k + 1) * TILE_BYTES]
                for l in range(TILE_BYTES):
                    byte[l] |= np.uint8(((part[l] >> plane) & 1) << k)
        return
    codes[: (width * m + 7) // 8] = 0
    for i in range(width * m):
        byte, k = _bit_place(i, width * m)
        codes[byte] |= np.uint8(((symbols[i % m] >> (i // m)) & 1) << k)


@inlined
def _pack_trits(symbols, m, codes):
    """Pack m symbols of a tile, five per byte, as ``packing.pack_trits``."""
    length = (m + 4) // 5
    symbols[m : 5 * length] = 0
    t0, t1, t2 = symbols[:length], symbols[length:], symbols[2 * length :]
    t3, t4 = symbols[3 * length :], symbols[4 * length :]
    for l in range(length):
        codes[l] = np.uint8(t0[l] + 3 * t1[l] + 9 * t2[l] + 27 * t3[l] + 81 * t4[l])


@inlined
def pack_strip(levels, count, width, symbols, strip, out):
    """Pack the signed levels of a strip as symbols into its part of out; width 0 means trits."""
    for j in range(count):
        symbols[j] = max(2 * levels[j] - 1, -2 * levels[j])
    if width == 0:
        codes = out[strip * (STRIP // 5) :]
        for t in range(0, count, TRIT_TILE):
            _pack_trits(symbols[t:], min(TRIT_TILE, count - t), codes[t // 5 :])
    else:
        codes = out[strip * (STRIP // 8) * width :]
        for t in range(0, count, TILE):
            _pack_planes(symbols[t:], min(TILE, count - t), width, codes[t // 8 * width :])


@compiled
def encode(x, R, s, width, like, k0, k1, first, last, out):
    """Round strips first .. last - 1 and pack the symbols; width 0 means trits.

    Symbols have the dtype of ``like``; uint8 is faster if it is wide enough.
    """
    w = np.empty((4, TILE_BYTES), np.uint64)
    tile, levels = np.empty(TILE, x.dtype), np.empty(STRIP, np.int32)
    symbols = np.zeros(STRIP, like.dtype)
    for strip in range(first, last):
        count = _round_strip(x, R, s, k0, k1, strip, w, tile, levels)
        pack_strip(levels, count, width, symbols, strip, out)


@inlined
def _unpack_planes(codes, m, width, symbols):
    """Undo ``_pack_planes``."""
    symbols[:m] = 0
    if m == TILE:
        for plane in range(width):
            byte = codes[plane * TILE_BYTES : (plane + 1) * TILE_BYTES]
            for k in range(8):
                part = symbols[k * TILE_BYTES : (k + 1) * TILE_BYTES]
                for l in range(TILE_BYTES):
                    part[l] |= ((byte[l] >> k) & 1) << plane
        return
    for i in range(width * m):
        byte, k = _bit_place(i, width * m)
        symbols[i % m] |= ((codes[byte] >> k) & 1) << (i // m)


@inlined
def _unpack_trits(codes, m, symbols):
    """Undo ``_pack_trits``."""
    length, power = (m + 4) // 5, 1
    for k in range(5):
        part = symbols[min(k * length, m) : min((k + 1) * length, m)]
        for l in range(part.size):
            part[l] = np.int64(codes[l]) // power % 3
        power *= 3


@compiled
def decode(codes, width, values, like, first, last, out):
    """Fill strips first .. last - 1 of out, shape (d,), with the values of the symbols.

    Return the largest symbol, for trits the largest byte; a symbol that is too large gives 0.
    """
    symbols, largest = np.empty(STRIP, like.dtype), 0
    for strip in range(first, last):
        start = strip * STRIP
        count = min(STRIP, out.size - start)
        if width == 0:
            data = codes[strip * (STRIP // 5) :]
            for t in range(0, count, TRIT_TILE):
                m = min(TRIT_TILE, count - t)
                _unpack_trits(data[t // 5 :], m, symbols[t:])
            for l in range((count + 4) // 5):
                largest = max(largest, np.int64(data[l]))
        else:
            data = codes[strip * (STRIP // 8) * width :]
            for t in range(0, count, TILE):
                m = min(TILE, count - t)
                _unpack_planes(data[t // 8 * width :], m, width, symbols[t:])
            for j in range(count):
                largest = max(largest, np.int64(symbols[j]))
        part = out[start : start + count]
        for j in range(count):
            symbol = np.int64(symbols[j])
            part[j] = values[symbol if symbol < values.size else 0]
    return largest
