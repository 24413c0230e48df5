"""Random subsets and permutations of coordinates, from tickets.

Every coordinate draws a 64-bit ticket. Coordinate j of a stream takes words 2 (j mod 2) and
2 (j mod 2) + 1 of block Philox((j div 2, 0, 0, 0)). The lowest ceil(log2 d) bits of the ticket are
replaced by j, so that all tickets differ. The coordinates of the k smallest tickets are a random
k-subset; the order of all tickets is a random permutation. The error of a coordinate's probability
is below 2^(ceil(log2 d) - 64).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels import dispatch
from cqlib.kernels.api import StreamKey


def words64(stream_key: StreamKey, count: int) -> NDArray[np.uint64]:
    """Return the first ``count`` 64-bit words of a stream.

    Args:
        stream_key: two words, or two arrays of shape (rows,): one stream per row.
        count: number of words, at least 1.

    Returns:
        uint64 array of shape (count,) or (rows, count).
    """
    k0, k1 = (np.asarray(k, dtype=np.uint64)[..., None] for k in stream_key)
    zero = np.zeros((), dtype=np.uint64)
    w = dispatch.host().philox4x32(
        (np.arange(-(-count // 2), dtype=np.uint64), zero, zero, zero), (k0, k1)
    )
    high_low = [w[0] << np.uint64(32) | w[1], w[2] << np.uint64(32) | w[3]]
    pairs = np.stack(np.broadcast_arrays(*high_low), axis=-1)
    return np.asarray(pairs.reshape(*pairs.shape[:-2], -1)[..., :count])


def random_subset(stream_key: StreamKey, d: int, k: int) -> NDArray[np.int64]:
    """Return a uniformly random subset of k of d coordinates, in ascending order.

    Args:
        stream_key: two words, or two arrays of shape (rows,): one stream per row.
        d: number of coordinates, in [1, 2^32].
        k: size of the subset, in [1, d].

    Returns:
        int64 array of shape (k,) or (rows, k).
    """
    tickets = _tickets(stream_key, d)
    if k < d:
        tickets = np.partition(tickets, k - 1, axis=-1)[..., :k]
    return np.sort(_coordinates(tickets, d), axis=-1)


def random_permutation(stream_key: StreamKey, d: int) -> NDArray[np.int64]:
    """Return a uniform permutation of d coordinates, int64 of shape (d,) or (rows, d)."""
    return _coordinates(np.sort(_tickets(stream_key, d), axis=-1), d)


def _tickets(stream_key: StreamKey, d: int) -> NDArray[np.uint64]:
    mask = np.uint64((1 << (d - 1).bit_length()) - 1)
    tickets: NDArray[Any] = words64(stream_key, d) & ~mask
    return np.asarray(tickets | np.arange(d, dtype=np.uint64))


def _coordinates(tickets: NDArray[np.uint64], d: int) -> NDArray[np.int64]:
    mask = np.uint64((1 << (d - 1).bit_length()) - 1)
    return (tickets & mask).astype(np.int64)
