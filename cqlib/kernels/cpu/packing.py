"""Packing of integers by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu.compiled import integers
from cqlib.kernels.cpu.threads import over_tiles
from cqlib.kernels.reference import packing
from cqlib.kernels.reference.packing import TILE, check_length, integer_bytes


def pack_integers(values: Array, width: int) -> NDArray[np.uint8]:
    """Pack tile by tile."""
    codes = np.empty(integer_bytes(values.size, width), dtype=np.uint8)
    values = np.ascontiguousarray(values)
    return np.asarray(
        over_tiles(
            -(-values.size // TILE), lambda a, b: integers.pack(values, width, a, b, codes), codes
        )
    )


def unpack_integers(codes: NDArray[np.uint8], d: int, width: int) -> NDArray[np.int64]:
    """Unpack tile by tile; the reference checks the padding of the last one."""
    check_length(codes, integer_bytes(d, width))
    ragged = d % TILE
    packing.unpack_integers(codes[integer_bytes(d - ragged, width) :], ragged, width)
    codes, values = np.ascontiguousarray(codes), np.empty(d, dtype=np.int64)
    return np.asarray(
        over_tiles(-(-d // TILE), lambda a, b: integers.unpack(codes, width, a, b, values), values)
    )
