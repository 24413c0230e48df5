"""Ranks of the clients: the rank tells in which of n cells of [0, 1) a threshold lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.reference.packing import TILE
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream
from cqlib.philox import philox4x32

SIGMA_ROUNDS = 32  # swap-or-not rounds; with fewer the distance from uniform is measurable


def sigma(
    key: Key, *, tiles: int, clients: Array, n_clients: int, stream: Stream = Stream.SIGMA
) -> NDArray[np.int64]:
    """Shuffle the ids of all tiles, round by round."""
    stream_key = key.shared(stream)
    t = np.arange(tiles, dtype=np.uint64)
    zero = np.zeros((), dtype=np.uint64)
    offset_blocks = np.arange(SIGMA_ROUNDS // 4, dtype=np.uint64)
    offsets = np.stack(philox4x32((offset_blocks, t[:, None], zero, zero), stream_key), axis=-1)
    offsets = ((offsets * n_clients) >> 32).reshape(tiles, SIGMA_ROUNDS).astype(np.int64)

    swaps = _swap_bits(stream_key, tiles=tiles, n_clients=n_clients, evaluations=len(clients))
    x = np.broadcast_to(np.asarray(clients, dtype=np.int64), (tiles, len(clients)))
    for r in range(SIGMA_ROUNDS):
        partner = (offsets[:, r, None] - x) % n_clients
        x = np.where(swaps(r, np.maximum(x, partner)), partner, x)
    return np.asarray(x, dtype=np.int64)


def permuted_clients(key: Key, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Evaluate :func:`sigma` for a single tile, from a stream of its own."""
    places = sigma(key, tiles=1, clients=clients, n_clients=n_clients, stream=Stream.ROWS)
    return np.asarray(places[0])


def _swap_bits(
    stream_key: tuple[int, int], *, tiles: int, n_clients: int, evaluations: int
) -> Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]:
    """Return swaps(r, x): the swap bits of round r at x of shape (tiles, c)."""
    zero = np.zeros((), dtype=np.uint64)
    t = np.arange(tiles, dtype=np.uint64)[:, None]
    blocks = -(-n_clients // 128)
    if blocks > max(evaluations, 32):  # few of very many clients: compute only the words they need

        def pointwise(r: int, x: NDArray[np.int64]) -> NDArray[np.bool_]:
            block = (x >> 7).astype(np.uint64)
            words = philox4x32((block, t, np.uint64(1 + r), zero), stream_key)
            word = np.choose((x >> 5) & 3, words).astype(np.int64)
            return np.asarray((word >> (x & 31)) & 1, dtype=bool)

        return pointwise

    rounds = np.arange(1, 1 + SIGMA_ROUNDS, dtype=np.uint64)[:, None, None]
    block = np.arange(blocks, dtype=np.uint64)
    table = np.stack(philox4x32((block, t, rounds, zero), stream_key), axis=-1)
    table = table.reshape(SIGMA_ROUNDS, tiles, 4 * blocks).astype(np.int64)
    each_tile = np.arange(tiles)[:, None]

    def looked_up(r: int, x: NDArray[np.int64]) -> NDArray[np.bool_]:
        word = table[r, each_tile, x >> 5]
        return np.asarray((word >> (x & 31)) & 1, dtype=bool)

    return looked_up


def shift_ranks(key: Key, *, d: int, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Add shift and place modulo n."""
    words = stream_words(key.shared(Stream.SHIFT), d).astype(np.uint64)
    shift = ((words * np.uint64(n_clients)) >> 32).astype(np.int64)  # a product of 64 bits
    tiles = -(-d // TILE)
    permuted = sigma(key, tiles=tiles, clients=clients, n_clients=n_clients)
    per_coordinate = permuted.T[:, np.arange(d) // TILE]
    return np.asarray((shift + per_coordinate) % n_clients, dtype=np.int64)


def permutation_ranks(key: Key, *, d: int, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Sort the tickets of all clients, 1024 coordinates at a time."""
    ranks = np.empty((len(clients), d), dtype=np.int64)
    pairs = np.arange(-(-n_clients // 2), dtype=np.uint64)[:, None]
    zero = np.zeros((), dtype=np.uint64)
    for start in range(0, d, TILE):  # in parts: memory for n x 1024 tickets only
        j = np.arange(start, min(start + TILE, d), dtype=np.uint64)
        w = philox4x32((pairs, j, zero, zero), key.shared(Stream.PERMUTATION))
        tickets = np.stack([w[0] << 32 | w[1], w[2] << 32 | w[3]], axis=1)
        tickets = tickets.reshape(2 * len(pairs), len(j))[:n_clients]
        order = np.argsort(tickets, axis=0, kind="stable")
        tile_ranks = np.empty_like(order)
        np.put_along_axis(tile_ranks, order, np.arange(n_clients)[:, None], axis=0)
        ranks[:, start : start + len(j)] = tile_ranks[clients]
    return ranks
