"""Random words: one per coordinate of a stream.

Words have the layout of one-bit codes (``packing``). A vector is cut into tiles of up to
1024 coordinates; a tile of m coordinates has L = ceil(m / 8) bytes, and bit k of byte l belongs
to its coordinate L k + l. In tile t the random word of that coordinate is word k mod 4 of Philox
block 256 t + 128 (k div 4) + l.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqlib.kernels.reference.packing import tile_shapes
from cqlib.keys import Key, Stream
from cqlib.philox import Words, philox4x32


def private_keys(
    key: Key, stream: Stream, clients: ArrayLike
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Use :meth:`Key.private`."""
    return key.private(stream, clients)


def stream_words(stream_key: tuple[Words, Words], d: int) -> NDArray[np.int64]:
    """Compute the blocks of tiles, and put their words in the order of the coordinates."""
    k0, k1 = (np.asarray(k, dtype=np.uint64)[..., None, None, None] for k in stream_key)
    parts = []
    for first, count, m in tile_shapes(d):
        length = -(-m // 8)
        tile = np.arange(first, first + count, dtype=np.uint64)[:, None, None]
        half = np.arange(2, dtype=np.uint64)[:, None]
        byte = np.arange(length, dtype=np.uint64)
        block = 256 * tile + 128 * half + byte  # (count, 2, length)
        zero = np.zeros((), dtype=np.uint64)
        words = np.stack(philox4x32((block, zero, zero, zero), (k0, k1)), axis=-2)
        # (..., count, 2, 4, length): half and word together are the bit k = 4 half + word.
        coordinates = words.reshape(*words.shape[:-3], 8 * length)[..., :m]
        parts.append(coordinates.reshape(*coordinates.shape[:-2], count * m))
    return np.concatenate(parts, axis=-1).astype(np.int64)
