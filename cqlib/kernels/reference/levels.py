"""Signed levels, made of ``words``, ``rounding`` and ``packing``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.reference.buffers import (
    check_levels,
    check_vector,
    empty_codes,
    empty_levels,
    output,
)
from cqlib.kernels.reference.packing import code_bytes, levels_of, pack, symbols_of, unpack
from cqlib.kernels.reference.rounding import round_linear
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream


def quantize_levels(
    x: Array,
    scale: Array | float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: Array | None = None,
) -> Array:
    """Round absolute values, then apply the signs."""
    check_vector(x)
    values = empty_levels(x.size, levels, out)
    words = stream_words(key.private(Stream.ROUNDING, np.array([client])), x.size)
    y = np.abs(x) / np.float64(scale if scale > 0 else 1.0)
    above = round_linear(y, words[0], levels) * (scale > 0)
    values[:] = np.where(x < 0, -above, above)
    return values


def encode_levels(
    x: Array,
    scale: Array | float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Quantize, then pack."""
    signed = quantize_levels(x, scale, levels=levels, key=key, client=client)
    codes = empty_codes(code_bytes(x.size, 2 * levels + 1), out)
    codes[:] = pack(symbols_of(signed), 2 * levels + 1)
    return codes


def decode_levels(
    codes: NDArray[np.uint8],
    scale: Array | float,
    *,
    d: int,
    levels: int,
    out: Array | None = None,
) -> Array:
    """Unpack, then look values up in a table."""
    check_levels(levels)
    symbols = unpack(codes, d, 2 * levels + 1)
    values = output((d,), np.float32, out)
    values[:] = level_values(scale, levels)[symbols]
    return values


def unpack_levels(codes: NDArray[np.uint8], *, d: int, levels: int) -> NDArray[np.int32]:
    """Unpack symbols, then undo :func:`packing.symbols_of`."""
    check_levels(levels)
    return levels_of(unpack(codes, d, 2 * levels + 1)).astype(np.int32)


def level_values(scale: Array | float, levels: int) -> NDArray[np.float32]:
    """Return the values R l / s of all 2 s + 1 symbols, rounded once from float64."""
    signed = levels_of(np.arange(2 * levels + 1))
    with np.errstate(under="ignore"):
        return (signed / levels * np.float64(scale)).astype(np.float32) + np.float32(0.0)
