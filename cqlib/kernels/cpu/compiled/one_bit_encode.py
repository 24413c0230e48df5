"""IQ and CQ for whole tiles of one client: in float32, and exactly if a comparison is close.

A bit is set if the following difference, in steps s = R 2^-30 of the grid, is negative:

    t - 2^30 - x / s,

The threshold t in [0, 2^31) is word / 2 for IQ and T / 2n for CQ, with T from ``cq_threshold``.
``one_bit`` computes the sign exactly, in float64 and integers. Here float32 is used, since a
register holds twice as many numbers. The sign is right if the difference is larger than its error.
Each rounding has a relative error of at most 2^-24; that of a sum below 2^k is at most 2^(k - 25):

    rounded                size in steps    error in steps
    word or T              t < 2^31         128
    factor 1 / 2n          t < 2^31         128
    t - 2^30, fused        2^30              32
    x                      2^30              64
    1 / s                  2^30              64
    the difference, fused  2^31              64
                                      sum   480

The exact comparison drops fractions of t and of x / s, which changes the difference by less than 2.
So the sign is right from 482 steps on; NEAR = 1024 is about twice that. A random threshold is
closer than NEAR with probability 2 NEAR / 2^31 = 2^-20. Then the tile is done again by ``one_bit``:
about one tile of 1024 coordinates in a thousand.

Random words are computed in 64-bit lanes and stored as float32 before the comparison.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.one_bit import cq_threshold, encode_tile
from cqlib.kernels.cpu.compiled.words import LOW, TILE_BYTES, WORD, ZERO, philox, u64
from cqlib.kernels.reference.packing import TILE
from cqlib.kernels.reference.rounding import GRID_BITS

f32, u8 = np.float32, np.uint8
MIDDLE = f32(1 << GRID_BITS)
NEAR = f32(1024.0)
HALF = f32(0.5)


@intrinsic
def _fma(typing_context, a, b, c):
    """Return a b + c, rounded once, in float32."""

    def code(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), code


@inlined
def _distance(x, reciprocal, threshold, factor):
    """Return t - 2^30 - x / s up to the error above; t is threshold * factor, reciprocal -1 / s."""
    return _fma(x, reciprocal, _fma(threshold, factor, -MIDDLE))


@inlined
def _pack_half(x, reciprocal, thresholds, factor, half, codes):
    """Set four bits in each byte of a tile; return 1 if a comparison was close, else 0."""
    x0, x1 = x[:TILE_BYTES], x[TILE_BYTES : 2 * TILE_BYTES]
    x2, x3 = x[2 * TILE_BYTES : 3 * TILE_BYTES], x[3 * TILE_BYTES : 4 * TILE_BYTES]
    t0, t1, t2, t3 = thresholds[0], thresholds[1], thresholds[2], thresholds[3]
    close = u8(0)
    for l in range(TILE_BYTES):
        a = _distance(x0[l], reciprocal, t0[l], factor)
        b = _distance(x1[l], reciprocal, t1[l], factor)
        c = _distance(x2[l], reciprocal, t2[l], factor)
        d = _distance(x3[l], reciprocal, t3[l], factor)
        bits = u8(u8(a < 0) | u8(b < 0) << u8(1) | u8(c < 0) << u8(2) | u8(d < 0) << u8(3))
        if half == 0:
            codes[l] = bits
        else:
            codes[l] |= u8(bits << u8(4))
        close |= u8(min(min(abs(a), abs(b)), min(abs(c), abs(d))) < NEAR)
    return close


@inlined
def _load(x, t, tile):
    """Copy a tile; reading it in order is twice as fast as reading 8 parts of it in turn."""
    xt = x[t * TILE : (t + 1) * TILE]
    for j in range(TILE):
        tile[j] = xt[j]


@compiled
def iq_encode(x, step, k0, k1, first, last, out):
    """Round full tiles first .. last - 1 of x of shape (d,), and pack the bits into out."""
    tile, thresholds = np.empty(TILE, np.float32), np.empty((4, TILE_BYTES), np.float32)
    t0, t1, t2, t3 = thresholds[0], thresholds[1], thresholds[2], thresholds[3]
    reciprocal = f32(-1.0 / step)
    for t in range(first, last):
        _load(x, t, tile)
        codes, close = out[t * TILE_BYTES : (t + 1) * TILE_BYTES], u8(0)
        for half in range(2):
            block = u64(256 * t + 128 * half)
            for l in range(TILE_BYTES):
                w0, w1, w2, w3 = philox((block + u64(l)) & LOW, ZERO, ZERO, ZERO, k0, k1)
                t0[l], t1[l], t2[l], t3[l] = f32(w0), f32(w1), f32(w2), f32(w3)
            xh = tile[4 * half * TILE_BYTES :]
            close |= _pack_half(xh, reciprocal, thresholds, HALF, half, codes)
        if close:
            encode_tile(x, step, k0, k1, False, ZERO, ZERO, ZERO, ZERO, t, out)


@compiled
def cq_encode(x, step, k0, k1, s0, s1, places, n, first, last, out):
    """As ``iq_encode``, with the shared stream s0, s1 and the client's place in each tile."""
    tile, thresholds = np.empty(TILE, np.float32), np.empty((4, TILE_BYTES), np.float32)
    t0, t1, t2, t3 = thresholds[0], thresholds[1], thresholds[2], thresholds[3]
    reciprocal, factor = f32(-1.0 / step), f32(0.5 / np.float64(n))
    for t in range(first, last):
        _load(x, t, tile)
        codes, close = out[t * TILE_BYTES : (t + 1) * TILE_BYTES], u8(0)
        place = places[t] << WORD
        for half in range(2):
            block = u64(256 * t + 128 * half)
            for l in range(TILE_BYTES):
                c = (block + u64(l)) & LOW
                w0, w1, w2, w3 = philox(c, ZERO, ZERO, ZERO, k0, k1)
                v0, v1, v2, v3 = philox(c, ZERO, ZERO, ZERO, s0, s1)
                t0[l] = f32(cq_threshold(w0, v0, place, n))
                t1[l] = f32(cq_threshold(w1, v1, place, n))
                t2[l] = f32(cq_threshold(w2, v2, place, n))
                t3[l] = f32(cq_threshold(w3, v3, place, n))
            xh = tile[4 * half * TILE_BYTES :]
            close |= _pack_half(xh, reciprocal, thresholds, factor, half, codes)
        if close:
            encode_tile(x, step, k0, k1, True, s0, s1, places[t], n, t, out)
