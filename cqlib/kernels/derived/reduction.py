"""Sums of the clients' powers of two, by a tree or client by client."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels import dispatch
from cqlib.kernels.reference.powers import Signed
from cqlib.keys import Key, Stream


def tree_sum(values: Signed, key: Key) -> Signed:
    """Add clients in pairs, then the sums in pairs, and so on; an odd one passes to the next stage.

    Args:
        values: signed exponents, shape (..., n, d).
        key: the round's key; each sum k, counted from the leaves, has its own random stream.

    Returns:
        Shape (..., d).
    """
    first = 0
    while (n := values.shape[-2]) > 1:
        pairs = n // 2
        words = sum_words(key, np.arange(first, first + pairs), values.shape[-1])
        added = dispatch.host().add_powers(
            values[..., 0 : 2 * pairs : 2, :], values[..., 1 : 2 * pairs : 2, :], words
        )
        values = np.concatenate([added, values[..., 2 * pairs :, :]], axis=-2)
        first += pairs
    return values[..., 0, :]


def fold_sum(values: Signed, key: Key) -> Signed:
    """Add client by client, as a ring or a parameter server does; see `tree_sum`."""
    n, d = values.shape[-2:]
    total = values[..., 0, :]
    for k in range(1, n):
        total = dispatch.host().add_powers(
            total, values[..., k, :], sum_words(key, np.array([k - 1]), d)[0]
        )
    return total


def sum_words(key: Key, sums: NDArray[np.int64], d: int) -> NDArray[np.int64]:
    """Return the random words of sums, given by their numbers: shape (sums, d)."""
    kernels = dispatch.host()
    return np.asarray(kernels.stream_words(kernels.private_keys(key, Stream.REDUCTION, sums), d))
