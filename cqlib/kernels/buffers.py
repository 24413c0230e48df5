"""What the caller hands in: buffers for results, and codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.packing import TILE, check_length, unpack_bits

Array = NDArray[Any]


def output(shape: tuple[int, ...], dtype: Any, out: Array | None) -> Array:
    """Return out, or a new array if there is none.

    Raises:
        ValueError: if out has another shape, is not float32 or float64, or is not contiguous.
    """
    if out is None:
        return np.empty(shape, dtype=dtype)
    floats = out.dtype in (np.float32, np.float64)
    if out.shape != shape or not floats or not out.flags.c_contiguous:
        raise ValueError(
            f"out must be a contiguous float32 or float64 array of shape {shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def empty_codes(d: int, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return out, or a new array for d bits.

    Raises:
        ValueError: if out has another size or dtype, or is not contiguous.
    """
    size = -(-d // 8)
    if out is None:
        return np.empty(size, dtype=np.uint8)
    if out.shape != (size,) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(
            f"out must be a contiguous uint8 array of shape ({size},), "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def check_padding(codes: NDArray[np.uint8], d: int) -> None:
    """Refuse codes of another size than d bits take, and padding bits that are set."""
    check_length(codes, -(-d // 8))
    m = d % TILE
    if m:
        unpack_bits(codes[TILE // 8 * (d // TILE) :], m)
