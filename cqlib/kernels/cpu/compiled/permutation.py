"""sigma: one permutation of the clients per tile."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled
from cqlib.kernels.cpu.compiled.words import ONE, TILE_BYTES, WORD, ZERO, philox, u64
from cqlib.kernels.reference.ranks import SIGMA_ROUNDS

FIVE, SEVEN, THIRTY_ONE = u64(5), u64(7), u64(31)


@compiled
def sigma_of_one(k0, k1, client, n, out):
    """Fill out, uint64 of shape (tiles,), with one client's places; vectorised over tiles."""
    x = np.empty(TILE_BYTES, np.uint64)
    offsets = np.empty((4, TILE_BYTES), np.uint64)
    for first in range(0, out.size, TILE_BYTES):
        length = min(TILE_BYTES, out.size - first)
        x[:] = client
        for r in range(SIGMA_ROUNDS):
            if r % 4 == 0:
                for l in range(length):
                    w0, w1, w2, w3 = philox(u64(r // 4), u64(first + l), ZERO, ZERO, k0, k1)
                    offsets[0, l] = (w0 * n) >> WORD
                    offsets[1, l] = (w1 * n) >> WORD
                    offsets[2, l] = (w2 * n) >> WORD
                    offsets[3, l] = (w3 * n) >> WORD
            offset = offsets[r % 4]
            for l in range(length):
                own = x[l]
                partner = offset[l] - own if offset[l] >= own else offset[l] + n - own
                larger = max(own, partner)
                w0, w1, w2, w3 = philox(larger >> SEVEN, u64(first + l), u64(1 + r), ZERO, k0, k1)
                low = w1 if larger & WORD else w0
                high = w3 if larger & WORD else w2
                word = high if larger & u64(64) else low
                x[l] = partner if (word >> (larger & THIRTY_ONE)) & ONE else own
        for l in range(length):
            out[first + l] = x[l]


@compiled
def sigma_of_many(k0, k1, clients, n, out):
    """Fill out, uint64 of shape (tiles, c), with the clients' places; vectorised over clients."""
    blocks = (np.int64(n) + 127) // 128
    offsets = np.empty(SIGMA_ROUNDS, np.uint64)
    table = np.empty(4 * blocks, np.uint64)
    for t in range(out.shape[0]):
        tile = u64(t)
        for q in range(SIGMA_ROUNDS // 4):
            w0, w1, w2, w3 = philox(u64(q), tile, ZERO, ZERO, k0, k1)
            offsets[4 * q] = (w0 * n) >> WORD
            offsets[4 * q + 1] = (w1 * n) >> WORD
            offsets[4 * q + 2] = (w2 * n) >> WORD
            offsets[4 * q + 3] = (w3 * n) >> WORD
        x = out[t]
        for i in range(clients.size):
            x[i] = clients[i]
        for r in range(SIGMA_ROUNDS):
            for b in range(blocks):
                w0, w1, w2, w3 = philox(u64(b), tile, u64(1 + r), ZERO, k0, k1)
                table[4 * b] = w0
                table[4 * b + 1] = w1
                table[4 * b + 2] = w2
                table[4 * b + 3] = w3
            offset = offsets[r]
            for i in range(clients.size):
                own = x[i]
                partner = offset - own if offset >= own else offset + n - own
                larger = max(own, partner)
                word = table[np.int64(larger >> FIVE)]
                x[i] = partner if (word >> (larger & THIRTY_ONE)) & ONE else own
