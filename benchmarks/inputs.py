"""The vectors to compress, the same for every operation of one size."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cqlib import Key

KEY = Key(seed=2025)


@lru_cache(maxsize=1)
def vector(d: int) -> NDArray[np.float32]:
    """Return d standard normal numbers, as float32."""
    return np.random.default_rng(1).standard_normal(d, dtype=np.float32)


@lru_cache(maxsize=1)
def target(d: int) -> NDArray[np.float32]:
    """Return an array of d floats to write into, whose memory has been touched."""
    return np.ones(d, dtype=np.float32)


def tensor(d: int) -> torch.Tensor:
    """Return :func:`vector` as a tensor that shares its memory."""
    return torch.from_numpy(vector(d))


def rows(n: int, d: int) -> torch.Tensor:
    """Return the vectors of n clients, shape (n, d)."""
    return tensor(n * d).view(n, d)


def codes(n: int, d: int) -> NDArray[np.uint8]:
    """Return n messages of d bits."""
    return np.random.default_rng(2).integers(256, size=(n, d // 8), dtype=np.uint8)


def filled(shape: Any, dtype: Any) -> NDArray[Any]:
    """Return an array to write into, whose memory has been touched."""
    return np.ones(shape, dtype=dtype)
