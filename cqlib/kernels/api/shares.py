"""CQ within blocks of clients that share the coordinates among them: PermK+CQ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from cqlib.kernels.api.types import Array
from cqlib.keys import Key


class Shares(NamedTuple):
    """Who sends which coordinates, for each of several keys; blocks have n / parts clients."""

    block: Array  # of each client, int64 of shape (keys, n), in [0, parts)
    member: Array  # number of each client in its block, int64 of shape (keys, n)
    order: Array  # permutation of the coordinates, int64 of shape (keys, d); block by block
    parts: int  # number of blocks, whose sizes of coordinates differ by at most one


class HostShares(Protocol):
    """One operation, for NumPy arrays."""

    def simulate_shares(
        self, X: Array, shares: Shares, *, keys: Sequence[Key], ends: Sequence[int]
    ) -> tuple[Array, Array]:
        """Round each client's share by CQ among the clients of its block; return the means.

        A client's share, times ``parts``, is rounded at its slots in ``order`` to plus or minus its
        norm, with the words and ranks of slots 0, 1, ...

        Args:
            X: finite, shape (b, n, d).
            shares: the shares, for each key.
            keys: the keys of runs of members.
            ends: the ends of these runs; the last one is b.

        Returns:
            The means, float64 of shape (b, d), summed in the order of the clients and divided last;
            the norms of the shares, float32 of shape (b, n). Where a norm is infinite, the mean is
            of no use.
        """
        ...
