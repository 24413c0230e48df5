"""PermK+CQ: the shares of the coordinates, and CQ within blocks of clients."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.one_bit import HALF, correlated_up, cq_threshold, tile_words
from cqlib.kernels.cpu.compiled.permutation import sigma_of_many
from cqlib.kernels.cpu.compiled.words import WORD, private_keys, shared_key, u64
from cqlib.kernels.reference.packing import TILE


@inlined
def _ends(block, d, parts):
    """Return the ends of a block of coordinates; sizes differ by at most one."""
    small, more = d // parts, d % parts
    start = block * small + min(block, more)
    return start, start + small + (1 if block < more else 0)


@compiled
def gather(x, ends, block, order, parts, kept):
    """Fill kept, float64 of shape (b, n, slots), with each client's coordinates times ``parts``."""
    start, d = 0, x.shape[2]
    for k in range(ends.size):
        for i in range(x.shape[1]):
            first, last = _ends(block[k, i], d, parts)
            for b in range(start, ends[k]):
                row, out = x[b, i], kept[b, i]
                for j in range(last - first):
                    out[j] = np.float64(row[order[k, first + j]]) * parts
                out[last - first :] = 0.0
        start = ends[k]


@compiled
def keys_of_round(words, streams, members, n, own, shared, places):
    """As that of ``one_bit``, for the clients' numbers in their blocks of n clients."""
    ids = np.arange(members.shape[1]).astype(np.uint64)
    for k in range(words.shape[0]):
        r0, r1, s0, s1 = words[k]
        private_keys(r0, r1, streams[0], s0, s1, ids, own[0, k], own[1, k])
        shared[0, k], shared[1, k] = shared_key(r0, r1, streams[1], s0, s1)
        p0, p1 = shared_key(r0, r1, streams[2], s0, s1)
        sigma_of_many(p0, p1, members[k], n, places[k])


@compiled
def simulate(kept, scales, ends, streams, block, order, parts, out):
    """Fill out, shape (b, d), with the mean of all clients' rounded shares.

    Sums run over the clients in order, in float64, and are divided last.
    """
    own, shared_keys, places = streams
    clients, width, d = kept.shape[1], kept.shape[2], out.shape[1]
    n = u64(clients // parts)
    w, shared = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64)
    out[:] = 0.0
    start = 0
    for k in range(ends.size):
        for i in range(clients):
            first, last = _ends(block[k, i], d, parts)
            for t in range((last - first + TILE - 1) // TILE):
                length = (min(TILE, width - t * TILE) + 7) // 8
                tile_words(t, length, own[0, k, i], own[1, k, i], w)
                tile_words(t, length, shared_keys[0, k], shared_keys[1, k], shared)
                m = min(TILE, last - first - t * TILE)
                for j in range(m):
                    w[j] = cq_threshold(w[j], shared[j], places[k, t, i] << WORD, n)
                here = order[k, first + t * TILE : first + t * TILE + m]
                for b in range(start, ends[k]):
                    R = np.float64(scales[b, i])
                    if R == 0.0:
                        continue
                    step, row, sums = R / HALF, kept[b, i, t * TILE :], out[b]
                    for j in range(m):
                        sums[here[j]] += R if correlated_up(row[j], step, w[j], n) else -R
        start = ends[k]
    for b in range(out.shape[0]):
        for j in range(d):
            out[b, j] /= clients
