"""Compiled loops over tiles, in stretches for the threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from cqlib.keys import Key, Stream

TILES_A_THREAD = 1024  # fewer are done before a thread has started


def over_tiles(tiles: int, loop: Callable[[int, int], None], out: Any, each: float = 1) -> Any:
    """Run loop(first, last) over all tiles, in stretches for the threads; return out."""
    threads = min(torch.get_num_threads(), math.ceil(tiles * each / TILES_A_THREAD), tiles)
    if threads <= 1:
        loop(0, tiles)
        return out
    ends = [tiles * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(loop, ends[:-1], ends[1:]))
    return out


def private_words(key: Key, stream: Stream, client: int) -> Iterable[np.uint64]:
    """Return the two words of a client's stream."""
    return (word[0] for word in key.private(stream, [client]))
