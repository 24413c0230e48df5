"""PermK+CQ for all clients at once, by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.api.shares import Shares
from cqlib.kernels.cpu.compiled import shares as compiled
from cqlib.kernels.cpu.norms import l2_scale
from cqlib.kernels.reference.packing import TILE
from cqlib.keys import Key, Stream, words_of_keys


def simulate_shares(
    X: Array, shares: Shares, *, keys: Sequence[Key], ends: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Gather the shares, then round and add client by client."""
    b, n, d = X.shape
    width, upper = -(-d // shares.parts), np.array(ends)
    kept = np.empty((b, n, width))
    compiled.gather(np.ascontiguousarray(X), upper, shares.block, shares.order, shares.parts, kept)
    scales = l2_scale(kept)
    own, shared = np.empty((2, len(keys), n), np.uint64), np.empty((2, len(keys)), np.uint64)
    places = np.empty((len(keys), -(-width // TILE), n), dtype=np.uint64)
    streams = np.array([Stream.ROUNDING, Stream.SHIFT, Stream.SIGMA])
    members = shares.member.astype(np.uint64)
    compiled.keys_of_round(
        words_of_keys(keys), streams, members, np.uint64(n // shares.parts), own, shared, places
    )
    means, streams_of_round = np.empty((b, d)), (own, shared, places)
    compiled.simulate(
        kept, scales, upper, streams_of_round, shares.block, shares.order, shares.parts, means
    )
    return means, scales
