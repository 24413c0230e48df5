"""One bit a coordinate, decided exactly: IQ and CQ, for one tile and for all clients at once.

These are the decisions of ``rounding``, rearranged so that they take few instructions. With steps
s = R 2^-30, x / s in float64 has the bits of x 2^30 / R, because 2^30 is a power of two.

IQ sets the bit if word div 2 < floor(x / s) + 2^30. For integers a < b means a + 1 <= b, so this is
m <= x / s with the integer m = word div 2 + 1 - 2^30. For x of float32 the division can be left
out: m s - x <= 0 is the same, and a fused multiply-add has the exact sign of m s - x. It is the
same because x / s, of two numbers of 24 bits, is either m or so far below that float64 does not
round it up to m.

CQ sets the bit if rank 2^31 + word div 2 < n g. Doubled, this is rank 2^32 + word < 2 n g; the last
bit of the word may stay, because 2 n g is even. The rank is (shift + place) mod n, and the shift is
the upper half of shared word times n. So the upper half of

    shared word n + place 2^32

is shift + place, from which n is to be subtracted once if it is n or more. It is subtracted always:
where it should not be, the unsigned difference wraps around to a huge number, and the smaller of
sum and difference is the right one. The lower half is replaced by the word.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.words import LOW, ONE, TILE_BYTES, WORD, half_tile_words
from cqlib.kernels.reference.packing import TILE
from cqlib.kernels.reference.rounding import GRID_BITS

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
    """Return True if IQ sets the bit: a name for Numba, which compiles a body by the type of x."""
    raise NotImplementedError("Numba replaces this by one of the functions below")


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
def cq_threshold(word, shared_word, place, n):
    """Return T = rank 2^32 + word, for n < 2^31; place is the client's, times 2^32."""
    rank = (shared_word & LOW) * (n & LOW) + place
    rank = min(rank, rank - (n << WORD))
    return rank & HIGH | word & LOW


@inlined
def _cq_up(x, step, threshold, n):
    """Return True if CQ sets the bit."""
    # steps + 2^30 + 2^52 is an integer in [2^52, 2^53): a float64 whose lowest 32 bits are those of
    # g = steps + 2^30. They are read as they stand, without a conversion.
    steps = max(min(np.floor(np.float64(x) / step), 1.0 * HALF), -1.0 * HALF)
    g = np.float64(steps + MAGIC).view(np.uint64)
    return threshold < (g & LOW) * ((n + n) & LOW)


# --- one tile of one client ----------------------------------------------------------------------


@inlined
def _tile_words(t, length, k0, k1, w):
    """Fill w, shape (1024,), with the words of a tile in the order of its coordinates."""
    half_tile_words(t, 0, length, k0, k1, w[: 4 * length].reshape((4, length)))
    half_tile_words(t, 1, length, k0, k1, w[4 * length : 8 * length].reshape((4, length)))


@compiled
def encode_tile(x, step, k0, k1, correlated, s0, s1, place, n, t, out):
    """Round tile t of x of shape (d,) and pack the bits into out; coordinate by coordinate."""
    xt, codes = x[t * TILE : min((t + 1) * TILE, x.size)], out[t * TILE_BYTES :]
    length = (xt.size + 7) // 8
    w, shared = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64)
    _tile_words(t, length, k0, k1, w)
    if correlated:
        _tile_words(t, length, s0, s1, shared)
    codes[:length] = 0
    for j in range(xt.size):
        if correlated:
            up = _cq_up(xt[j], step, cq_threshold(w[j], shared[j], place << WORD, n), n)
        else:
            up = _iq_up(xt[j], step, w[j])
        codes[j % length] |= np.uint8(np.uint8(up) << (j // length))


@compiled
def encode_tiles(x, step, k0, k1, correlated, s0, s1, places, n, first, last, out):
    """As encode_tile, for tiles first .. last - 1, with the client's place in each."""
    for t in range(first, last):
        encode_tile(x, step, k0, k1, correlated, s0, s1, places[t], n, t, out)


# --- all clients at once -------------------------------------------------------------------------


@compiled
def simulate(x, scales, k0, k1, correlated, s0, s1, places, n, first, last, out):
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
                    w[j] = cq_threshold(w[j], shared[j], place, n)
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
