"""What the caller hands in: buffers for results, and codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.packing import TILE, check_length, unpack_bits

MOST_LEVELS = 2**16  # s 2^31 steps are well below 2^53, where float64 counts no longer

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


def empty_codes(size: int, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return out, or a new array of that many bytes.

    Raises:
        ValueError: if out has another size or dtype, or is not contiguous.
    """
    if out is None:
        return np.empty(size, dtype=np.uint8)
    if out.shape != (size,) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(
            f"out must be a contiguous uint8 array of shape ({size},), "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def check_levels(levels: int) -> None:
    """Refuse a number of levels above 0 that is out of range."""
    if not 1 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels must be in [1, {MOST_LEVELS}], got {levels}")


def empty_levels(d: int, levels: int, out: Array | None) -> Array:
    """Return out, or a new array of the narrowest signed integers that hold -s .. s.

    Raises:
        ValueError: if out has another shape, does not hold them, or is not contiguous.
    """
    check_levels(levels)
    fitting = [t for t in (np.int8, np.int16, np.int32) if levels <= np.iinfo(t).max]
    if out is None:
        return np.empty(d, dtype=fitting[0])
    if out.shape != (d,) or out.dtype not in fitting or not out.flags.c_contiguous:
        names = ", ".join(t.__name__ for t in fitting)
        raise ValueError(
            f"out must be a contiguous array of shape ({d},) of {names} for {levels} levels, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def check_padding(codes: NDArray[np.uint8], d: int) -> None:
    """Refuse codes of another size than d bits take, and padding bits that are set."""
    check_length(codes, -(-d // 8))
    m = d % TILE
    if m:
        unpack_bits(codes[TILE // 8 * (d // TILE) :], m)
