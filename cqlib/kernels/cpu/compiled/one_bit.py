"""IQ and CQ by exact comparisons: for one tile, and for all clients together.

The comparisons are those of ``rounding``, rearranged to take few instructions. With the step
s = R 2^-30, x / s equals x 2^30 / R in float64, because 2^30 is a power of two.

IQ sets the bit if word div 2 < floor(x / s) + 2^30. For integers a < b means a + 1 <= b, so the
condition is m <= x / s with the integer m = word div 2 + 1 - 2^30. For float32 x it is replaced by
m s - x <= 0, which needs no division; a fused multiply-add gives the exact sign of m s - x. Both
conditions are the same, although x / s is rounded to float64: x and s have 24 bits, so x / s is
either at least m or too far below m to be rounded up to it.

CQ sets the bit if rank 2^31 + word div 2 < n g. Multiplied by 2, this is rank 2^32 + word < 2 n g;
the last bit of the word does not matter, because 2 n g is even. The rank is (shift + place) mod n,
and the shift is the upper half of the product of the shared word and n. So the upper half of

    shared word n + place 2^32

is shift + place < 2 n. The rank is the minimum of this sum and the sum minus n: if the sum is below
n, the unsigned difference wraps around to a huge number. The lower half is replaced by the word.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.permutation import sigma_of_many
from cqlib.kernels.cpu.compiled.words import (
    LOW,
    ONE,
    TILE_BYTES,
    WORD,
    half_tile_words,
    private_keys,
    shared_key,
    u64,
)
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
    """Return True if IQ sets the bit; Numba replaces it by ``up`` for the type of x."""
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
    """Return T = rank 2^32 + word, for n < 2^31; ``place`` is the client's place times 2^32."""
    rank = (shared_word & LOW) * (n & LOW) + place
    rank = min(rank, rank - (n << WORD))
    return rank & HIGH | word & LOW


@inlined
def correlated_up(x, step, threshold, n):
    """Return True if CQ sets the bit."""
    # steps + 2^30 + 2^52 is an integer in [2^52, 2^53): in float64 its lowest 32 bits are those of
    # g = steps + 2^30. So g is read from the bits, without a conversion.
    steps = max(min(np.floor(np.float64(x) / step), 1.0 * HALF), -1.0 * HALF)
    g = np.float64(steps + MAGIC).view(np.uint64)
    return threshold < (g & LOW) * ((n + n) & LOW)


# --- one tile of one client ----------------------------------------------------------------------


@inlined
def tile_words(t, length, k0, k1, w):
    """Fill w, shape (1024,), with the words of a tile in the order of its coordinates."""
    half_tile_words(t, 0, length, k0, k1, w[: 4 * length].reshape((4, length)))
    half_tile_words(t, 1, length, k0, k1, w[4 * length : 8 * length].reshape((4, length)))


@compiled
def encode_tile(x, step, k0, k1, correlated, s0, s1, place, n, t, out):
    """Round tile t of x of shape (d,), and pack the bits into out, coordinate by coordinate."""
    xt, codes = x[t * TILE : min((t + 1) * TILE, x.size)], out[t * TILE_BYTES :]
    length = (xt.size + 7) // 8
    w, shared = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64)
    tile_words(t, length, k0, k1, w)
    if correlated:
        tile_words(t, length, s0, s1, shared)
    codes[:length] = 0
    for j in range(xt.size):
        if correlated:
            up = correlated_up(xt[j], step, cq_threshold(w[j], shared[j], place << WORD, n), n)
        else:
            up = _iq_up(xt[j], step, w[j])
        codes[j % length] |= np.uint8(np.uint8(up) << (j // length))


@compiled
def encode_tiles(x, step, k0, k1, correlated, s0, s1, places, n, first, last, out):
    """As ``encode_tile``, for tiles first .. last - 1 and the client's place in each."""
    for t in range(first, last):
        encode_tile(x, step, k0, k1, correlated, s0, s1, places[t], n, t, out)


# --- all clients together ------------------------------------------------------------------------


@compiled
def keys_of_round(words, streams, ids, own, shared, places):
    """Fill the keys of the clients' own streams and of the shared one, and the clients' places.

    words has shape (keys, 4): rounds and seeds, low word first. own has shape (2, keys, n), shared
    (2, keys), places (keys, tiles, n). The streams are those of rounding, shift and place.
    """
    for k in range(words.shape[0]):
        r0, r1, s0, s1 = words[k]
        private_keys(r0, r1, streams[0], s0, s1, ids, own[0, k], own[1, k])
        shared[0, k], shared[1, k] = shared_key(r0, r1, streams[1], s0, s1)
        if places.shape[1]:
            p0, p1 = shared_key(r0, r1, streams[2], s0, s1)
            sigma_of_many(p0, p1, ids, u64(ids.size), places[k])


@compiled
def simulate(x, scales, ends, own, shared, places, n, correlated, first, last, out):
    """Fill out, shape (b, d), with the mean of all clients' rounded vectors.

    x has shape (b, n, d), scales (b, n). Members up to ends[0] have the first key, those up to
    ends[1] the second, and so on; see ``keys_of_round``.
    """
    start = 0
    for k in range(ends.size):
        part = slice(start, ends[k])
        keys = own[0, k], own[1, k], shared[0, k], shared[1, k]
        _simulate_run(x[part], scales[part], keys, places[k], n, correlated, first, last, out[part])
        start = ends[k]


@compiled
def _simulate_run(x, scales, keys, places, n, correlated, first, last, out):
    """Fill the means of members that share their randomness; places has shape (tiles, n).

    Sums run over the clients in order, in float64, and are divided last.
    """
    batch, clients, d = x.shape
    k0, k1, s0, s1 = keys
    w = np.empty(TILE, np.uint64)
    shared = np.empty(TILE, np.uint64)
    total = np.empty((batch, TILE))
    for t in range(first, last):
        m = min(TILE, d - t * TILE)
        length = (m + 7) // 8
        total[:] = 0.0
        if correlated:
            tile_words(t, length, s0, s1, shared)
        for i in range(clients):
            tile_words(t, length, k0[i], k1[i], w)
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
                        sum_b[j] += R if correlated_up(xi[j], step, w[j], n) else -R
                else:
                    for j in range(m):
                        sum_b[j] += R if _iq_up(xi[j], step, w[j]) else -R
        for b in range(batch):
            part, sum_b = out[b, t * TILE : t * TILE + m], total[b]
            for j in range(m):
                part[j] = sum_b[j] / clients
