"""One bit a coordinate: IQ and CQ, message by message and all clients at once.

The decisions of ``rounding``, rearranged for few instructions. With s = R 2^-30, a power of two
away from R, x / s is x 2^30 / R to the last bit.

IQ goes up if word div 2 < floor(x / s) + 2^30, that is if m <= x / s for the integer
m = word div 2 + 1 - 2^30. The quotient of two float32 is never rounded up to m: it is off m by
more than half a unit in the last place, or is m. So m s - x <= 0 says the same; its sign is exact
in a fused multiply-add.

CQ goes up if rank 2^32 + word < 2 n g, for 2 n g is even; the rank stands in the upper half of
word n + place 2^32, reduced by one subtraction that wraps around where there is none to make.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from cqlib.kernels.loops.compile import compiled, inlined
from cqlib.kernels.loops.words import (
    LOW,
    ONE,
    TILE_BYTES,
    WORD,
    ZERO,
    half_tile_words,
    philox,
    u64,
)
from cqlib.kernels.packing import TILE
from cqlib.kernels.rounding import GRID_BITS

TWO, FOUR = u64(2), u64(4)
HIGH = LOW << WORD
HALF = 1 << GRID_BITS
MAGIC = float((1 << 52) + HALF)


@intrinsic
def _fma(typing_context, a, b, c):
    """Return a b + c, rounded once."""
    f64 = types.float64

    def code(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return f64(f64, f64, f64), code


def _iq_up(x, step, word):
    """Whether IQ goes up; for the compiler only."""
    raise NotImplementedError


@overload(_iq_up, jit_options={"forceinline": True, "error_model": "numpy"})
def _iq_up_of(x, step, word):
    if x == types.float32:

        def up(x, step, word):
            m = np.float64(np.int64((word >> ONE) + ONE) - HALF)
            return _fma(m, step, -np.float64(x)) <= 0.0
    else:

        def up(x, step, word):
            m = np.float64(np.int64((word >> ONE) + ONE) - HALF)
            return m <= x / step

    return up


@inlined
def _cq_threshold(word, shared_word, place, n):
    """Return rank 2^32 + word; place is the client's, shifted up by 32 bits; n < 2^31."""
    rank = (shared_word & LOW) * (n & LOW) + place
    rank = min(rank, rank - (n << WORD))
    return rank & HIGH | word & LOW


@inlined
def _cq_up(x, step, threshold, n):
    """Whether CQ goes up."""
    # The sum is an integer below 2^53, and its lowest 32 bits are g: no conversion is needed.
    g = np.float64(np.floor(np.float64(x) / step) + MAGIC).view(np.uint64)
    return threshold < (g & LOW) * ((n + n) & LOW)


@inlined
def _store(half, byte, bits, codes):
    """Keep the bits of the first half, or add those of the second."""
    if half == 0:
        codes[byte] = np.uint8(bits)
    else:
        codes[byte] |= np.uint8(bits << FOUR)


@inlined
def _iq_tile(x, step, k0, k1, tile, length, w, codes):
    """Round and pack 8 length coordinates."""
    for half in range(2):
        half_tile_words(tile, half, length, k0, k1, w)
        xh = x[4 * half * length :]
        x0, x1, x2, x3 = xh[:length], xh[length:], xh[2 * length :], xh[3 * length :]
        for l in range(length):
            low = u64(_iq_up(x0[l], step, w[0, l])) | u64(_iq_up(x1[l], step, w[1, l])) << ONE
            high = u64(_iq_up(x2[l], step, w[2, l])) | u64(_iq_up(x3[l], step, w[3, l])) << ONE
            _store(half, l, low | high << TWO, codes)


@inlined
def _cq_tile(x, step, k0, k1, s0, s1, place, n, tile, length, codes):
    """Round and pack 8 length coordinates; two words a coordinate are best kept in registers."""
    for half in range(2):
        xh = x[4 * half * length :]
        x0, x1, x2, x3 = xh[:length], xh[length:], xh[2 * length :], xh[3 * length :]
        block = u64(256 * tile + 128 * half)
        for l in range(length):
            c = (block + u64(l)) & LOW
            w0, w1, w2, w3 = philox(c, ZERO, ZERO, ZERO, k0, k1)
            v0, v1, v2, v3 = philox(c, ZERO, ZERO, ZERO, s0, s1)
            low = u64(_cq_up(x0[l], step, _cq_threshold(w0, v0, place, n), n))
            low |= u64(_cq_up(x1[l], step, _cq_threshold(w1, v1, place, n), n)) << ONE
            high = u64(_cq_up(x2[l], step, _cq_threshold(w2, v2, place, n), n))
            high |= u64(_cq_up(x3[l], step, _cq_threshold(w3, v3, place, n), n)) << ONE
            _store(half, l, low | high << TWO, codes)


@inlined
def _load_tile(x, start, m, length, tile):
    """Copy m coordinates, and zeros to fill the bytes; read in order, memory is twice as fast."""
    xt, padding = x[start : start + m], tile[m : 8 * length]
    for j in range(m):  # no offset in the index, or Numba would test it for being negative
        tile[j] = xt[j]
    for j in range(padding.size):
        padding[j] = 0.0


@inlined
def _clear_padding(m, length, codes):
    """Clear the bits of a tile that no coordinate has."""
    for j in range(m, 8 * length):
        codes[j % length] &= np.uint8(~(1 << (j // length)))


@compiled
def iq_encode(x, step, k0, k1, first, last, out):
    """Round tiles first .. last - 1 of x of shape (d,) and pack the bits into out."""
    w = np.empty((4, TILE_BYTES), np.uint64)
    tile = np.empty(TILE, x.dtype)
    full = min(last, x.size // TILE)
    for t in range(first, full):
        _load_tile(x, t * TILE, TILE, TILE_BYTES, tile)
        _iq_tile(tile, step, k0, k1, t, TILE_BYTES, w, out[t * TILE_BYTES :])
    if full < last:
        m, codes = x.size - full * TILE, out[full * TILE_BYTES :]
        _load_tile(x, full * TILE, m, codes.size, tile)
        _iq_tile(tile, step, k0, k1, full, codes.size, w, codes)
        _clear_padding(m, codes.size, codes)


@compiled
def cq_encode(x, step, k0, k1, s0, s1, places, n, first, last, out):
    """As iq_encode, with the shared stream s0, s1 and the client's place in each tile."""
    tile = np.empty(TILE, x.dtype)
    full = min(last, x.size // TILE)
    for t in range(first, full):
        _load_tile(x, t * TILE, TILE, TILE_BYTES, tile)
        place, codes = places[t] << WORD, out[t * TILE_BYTES :]
        _cq_tile(tile, step, k0, k1, s0, s1, place, n, t, TILE_BYTES, codes)
    if full < last:
        m, codes = x.size - full * TILE, out[full * TILE_BYTES :]
        place = places[full] << WORD
        _load_tile(x, full * TILE, m, codes.size, tile)
        _cq_tile(tile, step, k0, k1, s0, s1, place, n, full, codes.size, codes)
        _clear_padding(m, codes.size, codes)


# --- all clients at once -------------------------------------------------------------------------


@inlined
def _tile_words(t, length, k0, k1, w):
    """Fill w, shape (1024,), with the words of a tile in the order of its coordinates."""
    half_tile_words(t, 0, length, k0, k1, w[: 4 * length].reshape((4, length)))
    half_tile_words(t, 1, length, k0, k1, w[4 * length : 8 * length].reshape((4, length)))


@compiled
def one_bit_joint_mean(x, scales, k0, k1, correlated, s0, s1, places, n, first, last, out):
    """Fill out, shape (b, d), with the mean of all clients' rounded vectors.

    x has shape (b, n, d), scales (b, n), places (tiles, n); a batch shares its randomness. Sums run
    over the clients in order, in float64, and are divided last.
    """
    batch, clients, d = x.shape
    w = np.empty(TILE, np.uint64)
    shared = np.empty(TILE, np.uint64)
    total = np.empty((batch, TILE))
    for t in range(first, last):
        m = min(TILE, d - t * TILE)
        length = (m + 7) // 8
        total[:] = 0.0
        if correlated:
            _tile_words(t, length, s0, s1, shared)
        for i in range(clients):
            _tile_words(t, length, k0[i], k1[i], w)
            if correlated:
                place = places[t, i] << WORD
                for j in range(m):
                    w[j] = _cq_threshold(w[j], shared[j], place, n)
            for b in range(batch):
                R = np.float64(scales[b, i])
                if R == 0.0:
                    continue
                step = R / HALF
                xi, sum_b = x[b, i, t * TILE : t * TILE + m], total[b]
                if correlated:
                    for j in range(m):
                        sum_b[j] += R if _cq_up(xi[j], step, w[j], n) else -R
                else:
                    for j in range(m):
                        sum_b[j] += R if _iq_up(xi[j], step, w[j]) else -R
        for b in range(batch):
            part, sum_b = out[b, t * TILE : t * TILE + m], total[b]
            for j in range(m):
                part[j] = sum_b[j] / clients
