"""Ranks of the clients: the rank tells in which of n cells of [0, 1) a threshold lies."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import Array
from cqlib.keys import Key, Stream


class HostRanks(Protocol):
    """Permutations of the clients, and CQ's ranks, for NumPy arrays."""

    def sigma(
        self,
        key: Key,
        *,
        tiles: int,
        clients: Array,
        n_clients: int,
        stream: Stream = Stream.SIGMA,
    ) -> Array:
        """Evaluate a shared random permutation of the clients, a new one per tile.

        Each of 32 swap-or-not rounds r draws K_r in [0, n). It swaps x with K_r - x mod n if the
        random bit of the larger of the two is set. In the stream, K_r of tile t is word
        r mod 4 of Philox((r div 4, t, 0, 0)) scaled to [0, n); the bit of x is bit x mod 32 of word
        (x div 32) mod 4 of Philox((x div 128, t, 1 + r, 0)).

        Args:
            key: the round's key.
            tiles: number of tiles.
            clients: ids to map, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).
            stream: the shared stream to draw from.

        Returns:
            int64 array of shape (tiles, c): sigma_t(client).

        Source: Hoang, Morris, Rogaway, "An enciphering scheme based on a card shuffle", CRYPTO
            2012.
        """
        ...

    def permuted_clients(self, key: Key, clients: Array, n_clients: int) -> Array:
        """Return the clients' positions in one shared random order of all n clients.

        Args:
            key: the round's key.
            clients: ids, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).

        Returns:
            int64 array of shape (c,), values in [0, n).
        """
        ...

    def shift_ranks(self, key: Key, *, d: int, clients: Array, n_clients: int) -> Array:
        """Return each client's rank at each coordinate, (shift_j + sigma_t(client)) mod n.

        The shape is (c, d). shift_j is the coordinate's shared word times n, over 2^32, rounded
        down. It is uniform if n is a power of two; else each value's probability is off by less
        than 2^-32, but sigma makes the rank uniform.

        Args:
            key: the round's key.
            d: number of coordinates.
            clients: ids, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).
        """
        ...

    def permutation_ranks(self, key: Key, *, d: int, clients: Array, n_clients: int) -> Array:
        """Return each client's rank in a new uniform permutation per coordinate, shape (c, d).

        Every client draws a 64-bit ticket: words 2 (i mod 2) and 2 (i mod 2) + 1 of block
        Philox((i div 2, j, 0, 0)) of stream PERMUTATION. Client i's rank at coordinate j is the
        number of clients with a smaller ticket; ties (probability below n^2 2^-65) go by client id.
        This is the rule as the paper states it, at cost O(n) per coordinate; ``shift_ranks`` is
        faster.

        Args:
            key: the round's key.
            d: number of coordinates.
            clients: ids, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).
        """
        ...
