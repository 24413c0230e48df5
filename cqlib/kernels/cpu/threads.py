"""Compiled loops over tiles, divided among threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from cqlib.keys import Key, Stream

T = TypeVar("T")
TILES_A_THREAD = 1024  # fewer would take less time than starting a thread


def over_tiles(tiles: int, loop: Callable[[int, int], None], out: T, each: float = 1) -> T:
    """Run loop(first, last) over all tiles, one range of tiles per thread; return out."""
    threads = min(torch.get_num_threads(), math.ceil(tiles * each / TILES_A_THREAD), tiles)
    if threads <= 1:
        loop(0, tiles)
        return out
    ends = [tiles * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(loop, ends[:-1], ends[1:]))
    return out


def private_words(key: Key, stream: Stream, client: int) -> tuple[np.uint64, np.uint64]:
    """Return the two words of a client's stream."""
    k0, k1 = key.private(stream, [client])
    return k0[0], k1[0]
