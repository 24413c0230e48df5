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
    """Go client by client."""
    b, n, d = X.shape
    total, scales = np.zeros((b, d)), np.empty((b, n), dtype=np.float32)
    width = -(-d // shares.parts)
    small, more = divmod(d, shares.parts)
    start = 0
    for k, (key, end) in enumerate(zip(keys, ends, strict=True)):
        for i in range(n):
            block = int(shares.block[k, i])
            first = block * small + min(block, more)
            own = shares.order[k, first : first + small + (block < more)]
            kept = np.zeros((end - start, width))
            kept[:, : len(own)] = X[start:end, i, own].astype(np.float64) * shares.parts
            R = l2_scale(kept)
            k0, k1 = key.private(Stream.ROUNDING, np.array([i]))
            words = stream_words((k0[0], k1[0]), width)
            rank = shift_ranks(
                key, d=width, clients=shares.member[k, i : i + 1], n_clients=n // shares.parts
            )[0]
            up = round_correlated(grid(kept, R), words, rank, n // shares.parts)[:, : len(own)]
            scales[start:end, i], ends_of_range = R, R.astype(np.float64)[:, None]
            total[start:end, own] += np.where(up, ends_of_range, -ends_of_range)
        start = end
    return total / n, scales
