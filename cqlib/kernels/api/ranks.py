"""Ranks of the clients: which of the n cells of [0, 1) a client's threshold falls in."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import Array
from cqlib.keys import Key, Stream


class HostRanks(Protocol):
    """Permutations of the clients, and what CQ makes of them, in main memory."""

    def sigma(
        self,
        key: Key,
        *,
        tiles: int,
        clients: Array,
        n_clients: int,
        stream: Stream = Stream.SIGMA,
    ) -> Array:
        """Evaluate a shared random permutation of the clients, a fresh one per tile.

        Each of 32 swap-or-not rounds r draws K_r in [0, n) and swaps x with K_r - x mod n where the
        round's random bit of the larger of the two says so. In the stream: K_r of tile t is word
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
        """Return the clients' places in one random order of all n, the same for everybody.

        Args:
            key: the round's key.
            clients: ids, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).

        Returns:
            int64 array of shape (c,), values in [0, n).
        """
        ...

    def shift_ranks(self, key: Key, *, d: int, clients: Array, n_clients: int) -> Array:
        """Rank of each client at each coordinate: (shift_j + sigma_t(client)) mod n, shape (c, d).

        shift_j is the coordinate's shared word times n, over 2^32, rounded down: uniform where n is
        a power of two, else to within 2^-32 for each value, which sigma evens out.

        Args:
            key: the round's key.
            d: number of coordinates.
            clients: ids, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).
        """
        ...

    def permutation_ranks(self, key: Key, *, d: int, clients: Array, n_clients: int) -> Array:
        """Rank of each client in a fresh uniform permutation per coordinate, shape (c, d).

        Client i's rank at coordinate j is the number of clients with a smaller 64-bit ticket, made
        of words 2 (i mod 2) and 2 (i mod 2) + 1 of block Philox((i div 2, j, 0, 0)) of stream
        PERMUTATION; equal tickets (probability below n^2 2^-65) rank by client id. Cost O(n) a
        coordinate: the literal rule, for reference; ``shift_ranks`` is the fast one.

        Args:
            key: the round's key.
            d: number of coordinates.
            clients: ids, shape (c,), in [0, n_clients).
            n_clients: n, in [1, 2^32).
        """
        ...
