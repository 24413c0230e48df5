"""PermK+CQ for all clients at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.api.shares import Shares
from cqlib.kernels.reference.norms import l2_scale
from cqlib.kernels.reference.ranks import shift_ranks
from cqlib.kernels.reference.rounding import grid, round_correlated
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream


def simulate_shares(
    X: Array, shares: Shares, *, keys: Sequence[Key], ends: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Round all shares of a key, then add them client by client."""
    b, n, d = X.shape
    total, scales = np.zeros((b, d)), np.empty((b, n), dtype=np.float32)
    small, more = divmod(d, shares.parts)
    slot, start = np.arange(-(-d // shares.parts)), 0
    for key, block, member, order, end in zip(keys, *shares[:3], ends, strict=True):
        first = block * small + np.minimum(block, more)
        there = slot < (small + (block < more))[:, None]
        places = order[np.minimum(first[:, None] + slot, d - 1)]  # shape (n, slots)
        x = np.take_along_axis(
            X[start:end], np.broadcast_to(places, (end - start, *places.shape)), -1
        )
        kept = np.where(there, x.astype(np.float64) * shares.parts, 0.0)
        R = l2_scale(kept)
        words = stream_words(key.private(Stream.ROUNDING, np.arange(n)), len(slot))
        of_block = {"d": len(slot), "clients": member, "n_clients": n // shares.parts}
        up = round_correlated(grid(kept, R), words, shift_ranks(key, **of_block), n // shares.parts)
        ends_of_range = np.where(up, R[..., None], -R[..., None]).astype(np.float64)
        for i in range(n):
            own = places[i, there[i]]
            total[start:end, own] += ends_of_range[:, i, there[i]]
        scales[start:end], start = R, end
    return total / n, scales
