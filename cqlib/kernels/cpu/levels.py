"""Signed levels by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu import strips
from cqlib.kernels.cpu.compiled import levels as loops
from cqlib.kernels.cpu.threads import over_tiles, private_words
from cqlib.kernels.reference.buffers import check_levels, check_vector, empty_levels, output
from cqlib.kernels.reference.levels import level_values
from cqlib.kernels.reference.packing import check_length, code_bytes, levels_of
from cqlib.keys import Key, Stream


def quantize_levels(
    x: Array, scale: Array | float, *, levels: int, key: Key, client: int, out: Array | None = None
) -> Array:
    """Round strip by strip."""
    check_vector(x)
    values = empty_levels(x.size, levels, out)
    if scale == 0:
        values[:] = 0
        return values
    x, R = np.ascontiguousarray(x), float(scale)
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    return over_tiles(
        -(-x.size // loops.STRIP),
        lambda a, b: loops.quantize(x, R, levels, k0, k1, a, b, values),
        values,
        5,
    )


def encode_levels(
    x: Array,
    scale: Array | float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round and pack strip by strip."""
    check_vector(x)
    check_levels(levels)
    return strips.encode(x, scale, loops.encode, levels, levels, key, client, out)


def decode_levels(
    codes: NDArray[np.uint8], scale: Array | float, *, d: int, levels: int, out: Array | None = None
) -> Array:
    """Unpack strip by strip, and look values up in a table."""
    check_levels(levels)
    check_length(codes, code_bytes(d, 2 * levels + 1))  # before memory is allocated
    values = output((d,), np.float32, out)
    return strips.read(codes, levels, level_values(scale, levels), values)


def unpack_levels(codes: NDArray[np.uint8], *, d: int, levels: int) -> NDArray[np.int32]:
    """As :func:`decode_levels`, with a table of the levels."""
    check_levels(levels)
    check_length(codes, code_bytes(d, 2 * levels + 1))
    signed = levels_of(np.arange(2 * levels + 1)).astype(np.int32)
    return np.asarray(strips.read(codes, levels, signed, np.empty(d, dtype=np.int32)))
