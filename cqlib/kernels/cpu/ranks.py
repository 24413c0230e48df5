"""Ranks of the clients by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu.compiled import permutation
from cqlib.kernels.cpu.words import shared_key, stream_words
from cqlib.kernels.reference.packing import TILE
from cqlib.kernels.reference.ranks import permutation_ranks
from cqlib.keys import Key, Stream

__all__ = ["permutation_ranks", "permuted_clients", "places", "shift_ranks", "sigma"]

_MANY_CLIENTS = 4  # from here on, vectorising over clients is faster than over tiles


def sigma(
    key: Key, *, tiles: int, clients: Array, n_clients: int, stream: Stream = Stream.SIGMA
) -> NDArray[np.int64]:
    """See :func:`places`."""
    return places(key, tiles, clients, n_clients, stream).astype(np.int64)


def permuted_clients(key: Key, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Evaluate sigma for a single tile, from a stream of its own."""
    (row,) = places(key, 1, clients, n_clients, Stream.ROWS)
    return np.asarray(row, dtype=np.int64)


def shift_ranks(key: Key, *, d: int, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Add shift and place; both are below n, so that subtracting n once is enough."""
    words = stream_words(shared_key(key, Stream.SHIFT), d).astype(np.uint64)
    shift = (words * np.uint64(n_clients)) >> np.uint64(32)
    own = places(key, -(-d // TILE), clients, n_clients, Stream.SIGMA)
    ranks = shift + (own.T[:, np.arange(d) // TILE] if d > TILE else own.T)
    ranks -= np.uint64(n_clients) * (ranks >= n_clients)
    return ranks.astype(np.int64)


def places(
    key: Key, tiles: int, clients: Array, n_clients: int, stream: Stream
) -> NDArray[np.uint64]:
    """Evaluate sigma as uint64, shape (tiles, c)."""
    k0, k1 = shared_key(key, stream)
    ids, n = np.asarray(clients).astype(np.uint64), np.uint64(n_clients)
    if len(ids) >= _MANY_CLIENTS and n_clients <= 128 * max(len(ids), 32):
        out = np.empty((tiles, len(ids)), dtype=np.uint64)
        permutation.sigma_of_many(k0, k1, ids, n, out)
        return out
    columns = np.empty((len(ids), tiles), dtype=np.uint64)
    for i, column in zip(ids, columns, strict=True):
        permutation.sigma_of_one(k0, k1, i, n, column)
    return columns.T
