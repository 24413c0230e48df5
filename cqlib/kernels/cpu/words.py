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
    ids = checked_ids(clients)
    found = np.empty((2, *ids.shape), dtype=np.uint64)
    k0, k1 = found.reshape(2, -1)
    words.private_keys(*key.round_words, int(stream), *key.seed_words, ids.reshape(-1), k0, k1)
    return found[0], found[1]


def shared_key(key: Key, stream: Stream) -> tuple[np.uint64, np.uint64]:
    """Compute one block."""
    k0, k1 = words.shared_key(*key.round_words, int(stream), *key.seed_words)
    return np.uint64(k0), np.uint64(k1)


def stream_words(stream_key: StreamKey, d: int) -> NDArray[np.int64]:
    """Fill row by row."""
    k0, k1 = (np.asarray(k, dtype=np.uint64) for k in stream_key)
    out = np.empty((k0.size, d), dtype=np.int64)
    words.stream_words(k0.reshape(-1), k1.reshape(-1), out)
    return out.reshape(*k0.shape, d)
