"""Decoding of one-bit messages: one message, or the average of several.

The average is computed for eight tiles at a time, so that the sums stay in the cache. Eight
messages are read at a time, because rows whose distance is a power of two compete for the same
cache lines.
"""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.words import ONE, TILE_BYTES, u64
from cqlib.kernels.reference.packing import TILE

u8 = np.uint8
TILES_AT_ONCE = 8
MESSAGES_AT_ONCE = 8


@compiled
def decode(codes, R, first, last, out):
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
def _tile_bytes(d, t):
    """Return the number of bytes of tile t of d bits."""
    return (min(TILE, d - t * TILE) + 7) // 8


@inlined
def _count_tile(codes, first, last, t, length, count):
    """Add the bits of messages first .. last - 1 to the counts of a tile, which are uint8."""
    c0, c1, c2 = count[:length], count[length:], count[2 * length :]
    c3, c4, c5 = count[3 * length :], count[4 * length :], count[5 * length :]
    c6, c7 = count[6 * length :], count[7 * length :]
    for i in range(first, last):
        byte = codes[i, t * TILE_BYTES : t * TILE_BYTES + length]
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


@compiled
def average_of_equal(codes, R, first, last, out):
    """Fill out, shape (d,), with the mean of n messages of the same range R.

    Set bits are counted in uint8, for at most 255 messages at a time, and added to int32 totals.
    With k set bits the sum is (2 k - n) R. Adding R and -R one by one in float64 would give the
    same, since all partial sums are multiples of R below 2^29 R, which are exact.
    """
    clients, n = codes.shape[0], np.float64(codes.shape[0])
    count, total = (
        np.empty(TILES_AT_ONCE * TILE, np.uint8),
        np.empty(TILES_AT_ONCE * TILE, np.int32),
    )
    for start in range(first, last, TILES_AT_ONCE):
        end = min(start + TILES_AT_ONCE, last)
        total[:] = 0
        for some in range(0, clients, 255):
            count[:] = 0
            for i in range(some, min(some + 255, clients), MESSAGES_AT_ONCE):
                until = min(i + MESSAGES_AT_ONCE, some + 255, clients)
                for t in range(start, end):
                    length, own = _tile_bytes(out.size, t), count[(t - start) * TILE :]
                    if length == TILE_BYTES:  # a constant length, for the compiler
                        _count_tile(codes, i, until, t, TILE_BYTES, own)
                    else:
                        _count_tile(codes, i, until, t, length, own)
            for j in range(total.size):
                total[j] += np.int32(count[j])
        part = out[start * TILE : min(end * TILE, out.size)]
        for j in range(part.size):
            part[j] = (2.0 * np.float64(total[j]) - n) * R / n


@inlined
def _add_tile(codes, scales, first, last, t, length, total):
    """Add messages first .. last - 1 of a tile to the totals, in order.

    It reads two messages at a time, which halves the loads and stores of totals.
    """
    for i in range(first, last - 1, 2):
        even = codes[i, t * TILE_BYTES : t * TILE_BYTES + length]
        odd = codes[i + 1, t * TILE_BYTES : t * TILE_BYTES + length]
        R, S = np.float64(scales[i]), np.float64(scales[i + 1])
        for k in range(8):
            part, bit = total[k * length : (k + 1) * length], ONE << u64(k)
            for l in range(length):
                one = part[l] + (R if u64(even[l]) & bit else -R)
                part[l] = one + (S if u64(odd[l]) & bit else -S)
    if (last - first) % 2:
        alone = codes[last - 1, t * TILE_BYTES : t * TILE_BYTES + length]
        R = np.float64(scales[last - 1])
        for k in range(8):
            part, bit = total[k * length : (k + 1) * length], ONE << u64(k)
            for l in range(length):
                part[l] += R if u64(alone[l]) & bit else -R


@compiled
def average(codes, scales, first, last, out):
    """Fill out, shape (d,), with the mean of n messages, added in order in float64."""
    clients, n = codes.shape[0], np.float64(codes.shape[0])
    tiles_at_once = TILES_AT_ONCE // 4
    total = np.empty(tiles_at_once * TILE, np.float64)
    for start in range(first, last, tiles_at_once):
        end = min(start + tiles_at_once, last)
        total[:] = 0.0
        for i in range(0, clients, MESSAGES_AT_ONCE):
            until = min(i + MESSAGES_AT_ONCE, clients)
            for t in range(start, end):
                length, own = _tile_bytes(out.size, t), total[(t - start) * TILE :]
                if length == TILE_BYTES:
                    _add_tile(codes, scales, i, until, t, TILE_BYTES, own)
                else:
                    _add_tile(codes, scales, i, until, t, length, own)
        part = out[start * TILE : min(end * TILE, out.size)]
        for j in range(part.size):
            part[j] = total[j] / n
