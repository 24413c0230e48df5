"""Signed powers of two by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu import strips
from cqlib.kernels.cpu.compiled import powers as loops
from cqlib.kernels.cpu.threads import over_tiles
from cqlib.kernels.reference.buffers import check_vector, output
from cqlib.kernels.reference.packing import TILE, check_length, code_bytes
from cqlib.kernels.reference.powers import check_powers, power_values
from cqlib.keys import Key


def add_powers(a: Array, b: Array, words: Array) -> NDArray[np.int16]:
    """Add tile by tile."""
    given = [np.asarray(x) for x in (a, b, words)]
    shape = np.broadcast_shapes(*(x.shape for x in given))
    out = np.empty(shape, dtype=np.int16)
    # Whole copies of what is broadcast: NumPy warns of writable views of it, which Numba asks for.
    whole = (x if x.shape == shape else np.broadcast_to(x, shape).copy() for x in given)
    flat = [*(np.ascontiguousarray(x).reshape(-1) for x in whole), out.reshape(-1)]
    over_tiles(
        -(-out.size // TILE),
        lambda first, last: loops.add_powers(*flat[:3], first, last, flat[3]),
        out,
    )
    return out


def encode_powers(
    x: Array,
    scale: Array | float,
    *,
    lowest: int,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round and pack strip by strip."""
    check_vector(x)
    check_powers(lowest, levels)
    return strips.encode(x, scale, loops.encode, lowest, levels, key, client, out)


def decode_powers(
    codes: NDArray[np.uint8],
    scale: Array | float,
    *,
    d: int,
    lowest: int,
    levels: int,
    out: Array | None = None,
) -> Array:
    """Unpack strip by strip, and look values up in a table."""
    check_powers(lowest, levels)
    check_length(codes, code_bytes(d, 2 * levels + 1))
    values = output((d,), np.float32, out)
    return strips.read(codes, levels, power_values(scale, lowest, levels), values)
