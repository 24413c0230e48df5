"""Rounding of signed coordinates to symbols."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.api import Array, StreamKey
from cqlib.kernels.reference.buffers import check_levels
from cqlib.kernels.reference.rounding import round_linear
from cqlib.kernels.reference.words import stream_words


def dither(y: Array, stream_key: StreamKey, *, levels: int) -> Array:
    """Round absolute values, then apply the signs."""
    check_signed(y, levels)
    words = stream_words(stream_key, y.shape[-1])
    level = round_linear(np.abs(y.astype(np.float64)), words, levels)
    return np.maximum(2 * level - (y >= 0), 0).astype(symbol_dtype(levels))


def symbol_dtype(levels: int) -> type[np.uint8] | type[np.uint32]:
    """Return the smallest dtype for the symbols of s levels with signs."""
    return np.uint8 if 2 * levels < 256 else np.uint32


def check_signed(y: Array, levels: int) -> None:
    """Raise ValueError unless y is float32 or float64 and the number of levels is in range."""
    check_levels(levels)
    if y.dtype not in (np.float32, np.float64):
        raise ValueError(f"y must be of float32 or float64, got {y.dtype}")
