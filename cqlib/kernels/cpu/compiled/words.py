"""Philox, and the random words of coordinates.

Philox is vectorised over the bytes of a bit-transposed tile, in 64-bit lanes, where the product of
two 32-bit words is one instruction. Neighbouring lanes are neighbouring coordinates, so that loads
are contiguous and bits are packed by shift and or.

Words, keys and numbers of clients are all uint64, since Numba turns uint64 with int64 into a float.
"""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.reference.packing import TILE
from cqlib.philox import MASK32, MULTIPLIERS, WEYL

u64 = np.uint64
M0, M1 = u64(MULTIPLIERS[0]), u64(MULTIPLIERS[1])
W0, W1 = u64(WEYL[0]), u64(WEYL[1])
LOW = u64(MASK32)
ZERO, ONE, WORD = u64(0), u64(1), u64(32)
TILE_BYTES = TILE // 8


@inlined
def _round(c0, c1, c2, c3, k0, k1):
    p0, p1 = c0 * M0, c2 * M1
    c0, c1 = (p1 >> WORD) ^ c1 ^ k0, p1 & LOW
    c2, c3 = (p0 >> WORD) ^ c3 ^ k1, p0 & LOW
    return c0, c1, c2, c3, (k0 + W0) & LOW, (k1 + W1) & LOW


@inlined
def _five_rounds(c0, c1, c2, c3, k0, k1):
    # Written out, because a loop would prevent vectorisation.
    return _round(*_round(*_round(*_round(*_round(c0, c1, c2, c3, k0, k1)))))


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Return the four words of a Philox block."""
    c0, c1, c2, c3, k0, k1 = _five_rounds(*_five_rounds(c0, c1, c2, c3, k0, k1))
    return c0, c1, c2, c3


@inlined
def half_tile_words(tile, half, length, k0, k1, w):
    """Fill w, shape (4, >= length), with the words of bits 4 half .. 4 half + 3 of a tile."""
    block = u64(256 * tile + 128 * half)
    for l in range(length):
        w0, w1, w2, w3 = philox((block + u64(l)) & LOW, ZERO, ZERO, ZERO, k0, k1)
        w[0, l] = w0
        w[1, l] = w1
        w[2, l] = w2
        w[3, l] = w3


@compiled
def stream_words(k0, k1, out):
    """Fill out, int64 of shape (rows, d), with the words of the coordinates; one stream per row."""
    rows, d = out.shape
    w = np.empty((4, TILE_BYTES), np.uint64)
    for i in range(rows):
        for tile in range((d + TILE - 1) // TILE):
            start = tile * TILE
            m = min(TILE, d - start)
            length = (m + 7) // 8
            for half in range(2):
                half_tile_words(tile, half, length, k0[i], k1[i], w)
                for k in range(4):
                    first = min((4 * half + k) * length, m)
                    last = min(first + length, m)
                    for l in range(last - first):
                        out[i, start + first + l] = np.int64(w[k, l])


@compiled
def shared_key(round_low, round_high, stream, seed_low, seed_high):
    """Return the key of a stream that all clients share; all arguments are integers."""
    counter = u64(round_low), u64(round_high), u64(stream), ZERO
    k0, k1, _, _ = philox(*counter, u64(seed_low), u64(seed_high))
    return k0, k1


@compiled
def private_keys(round_low, round_high, stream, seed_low, seed_high, clients, k0, k1):
    """Fill k0 and k1, uint64, with the keys of the clients' own streams."""
    c0, c1, c2 = u64(round_low), u64(round_high), u64(stream)
    s0, s1 = u64(seed_low), u64(seed_high)
    for i in range(clients.size):
        k0[i], k1[i], _, _ = philox(c0, c1, c2, clients[i], s0, s1)


@compiled
def philox_blocks(blocks):
    """Fill rows 6 .. 9 of blocks, uint64 of shape (10, count), from rows 0 .. 5.

    Rows 0 .. 5 hold the four words of the counter and the two of the key.
    """
    c0, c1, c2, c3, k0, k1 = blocks[0], blocks[1], blocks[2], blocks[3], blocks[4], blocks[5]
    w0, w1, w2, w3 = blocks[6], blocks[7], blocks[8], blocks[9]
    for i in range(w0.size):
        w0[i], w1[i], w2[i], w3[i] = philox(c0[i], c1[i], c2[i], c3[i], k0[i], k1[i])
