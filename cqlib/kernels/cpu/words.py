"""Random words by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqlib.kernels.api import StreamKey
from cqlib.kernels.cpu.compiled import words
from cqlib.keys import Key, Stream, checked_ids
from cqlib.philox import Words


def philox4x32(
    counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]
) -> tuple[Words, Words, Words, Words]:
    """Compute all blocks in one loop."""
    given = (*counter, *key)
    shape = np.broadcast(*given).shape
    blocks = np.empty((10, *shape), dtype=np.uint64)  # six input words and four output words each
    for row, word in zip(blocks, given, strict=False):
        row[...] = word
    words.philox_blocks(blocks.reshape(10, -1))
    return blocks[6], blocks[7], blocks[8], blocks[9]


def private_keys(
    key: Key, stream: Stream, clients: ArrayLike
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Compute the blocks of all clients in one loop."""
    counter = (*key.round_words, int(stream), checked_ids(clients))
    k0, k1, _, _ = philox4x32(counter, key.seed_words)
    return k0, k1


def stream_words(stream_key: StreamKey, d: int) -> NDArray[np.int64]:
    """Fill row by row."""
    k0, k1 = (np.asarray(k, dtype=np.uint64) for k in stream_key)
    out = np.empty((k0.size, d), dtype=np.int64)
    words.stream_words(k0.reshape(-1), k1.reshape(-1), out)
    return out.reshape(*k0.shape, d)
