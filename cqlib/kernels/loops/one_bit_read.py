"""Reading one bit a coordinate: one message, or the mean of several."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.loops.compile import compiled, inlined
from cqlib.kernels.loops.words import ONE, TILE_BYTES, u64
from cqlib.kernels.packing import TILE

u8 = np.uint8


@compiled
def one_bit_decode(codes, R, first, last, out):
    """Fill tiles first .. last - 1 of out, shape (d,), with R where the bit is set, else -R."""
    for t in range(first, last):
        m = min(TILE, out.size - t * TILE)
        length = (m + 7) // 8
        byte = codes[t * TILE_BYTES : t * TILE_BYTES + length]
        for k in range(8):
            part = out[t * TILE + min(k * length, m) : t * TILE + min((k + 1) * length, m)]
            for l in range(part.size):
                part[l] = R if (byte[l] >> k) & 1 else -R


@inlined
def _count_tile(codes, t, length, count, total):
    """Count the set bits of a tile, in bytes for 255 messages at most; total has 8 length."""
    n = codes.shape[0]
    for j in range(8 * length):
        total[j] = 0.0
    for some in range(0, n, 255):
        for j in range(8 * length):
            count[j] = u8(0)
        for i in range(some, min(some + 255, n)):
            byte = codes[i, t * TILE_BYTES : t * TILE_BYTES + length]
            c0, c1, c2 = count[:length], count[length:], count[2 * length :]
            c3, c4, c5 = count[3 * length :], count[4 * length :], count[5 * length :]
            c6, c7 = count[6 * length :], count[7 * length :]
            for l in range(length):
                b = byte[l]
                c0[l] += b & u8(1)
                c1[l] += (b >> u8(1)) & u8(1)
                c2[l] += (b >> u8(2)) & u8(1)
                c3[l] += (b >> u8(3)) & u8(1)
                c4[l] += (b >> u8(4)) & u8(1)
                c5[l] += (b >> u8(5)) & u8(1)
                c6[l] += (b >> u8(6)) & u8(1)
                c7[l] += (b >> u8(7)) & u8(1)
        for j in range(8 * length):
            total[j] += np.float64(count[j])


@inlined
def _add_tile(codes, scales, t, length, total):
    """Add up a tile, two messages at a time, so that half as much is loaded and stored."""
    n = codes.shape[0]
    for j in range(8 * length):
        total[j] = 0.0
    for i in range(0, n - 1, 2):
        even = codes[i, t * TILE_BYTES : t * TILE_BYTES + length]
        odd = codes[i + 1, t * TILE_BYTES : t * TILE_BYTES + length]
        R, S = np.float64(scales[i]), np.float64(scales[i + 1])
        for k in range(8):
            part, bit = total[k * length : (k + 1) * length], ONE << u64(k)
            for l in range(length):
                one = part[l] + (R if u64(even[l]) & bit else -R)
                part[l] = one + (S if u64(odd[l]) & bit else -S)
    if n % 2:
        alone = codes[n - 1, t * TILE_BYTES : t * TILE_BYTES + length]
        R = np.float64(scales[n - 1])
        for k in range(8):
            part, bit = total[k * length : (k + 1) * length], ONE << u64(k)
            for l in range(length):
                part[l] += R if u64(alone[l]) & bit else -R


@compiled
def one_bit_mean_of_equal(codes, R, first, last, out):
    """Fill out, shape (d,), with the mean of n messages that share their range.

    Set bits are counted. What is then computed is what adding up in float64 gives, for multiples
    of R below 2^29 R are exact.
    """
    n = np.float64(codes.shape[0])
    count, total = np.empty(TILE, np.uint8), np.empty(TILE, np.float64)
    full = min(last, out.size // TILE)
    for t in range(first, full):
        _count_tile(codes, t, TILE_BYTES, count, total)
        part = out[t * TILE : (t + 1) * TILE]
        for j in range(TILE):
            part[j] = (2.0 * total[j] - n) * R / n
    if full < last:
        part = out[full * TILE :]
        _count_tile(codes, full, (part.size + 7) // 8, count, total)
        for j in range(part.size):
            part[j] = (2.0 * total[j] - n) * R / n


@compiled
def one_bit_mean(codes, scales, first, last, out):
    """Fill out, shape (d,), with the mean of n messages, added up in their order in float64."""
    n = np.float64(codes.shape[0])
    total = np.empty(TILE, np.float64)
    full = min(last, out.size // TILE)
    for t in range(first, full):
        _add_tile(codes, scales, t, TILE_BYTES, total)
        part = out[t * TILE : (t + 1) * TILE]
        for j in range(TILE):
            part[j] = total[j] / n
    if full < last:
        part = out[full * TILE :]
        _add_tile(codes, scales, full, (part.size + 7) // 8, total)
        for j in range(part.size):
            part[j] = total[j] / n
