"""Checks of arguments: vectors, codes, and arrays to fill."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from cqlib.kernels.api import Array
from cqlib.kernels.reference.packing import TILE, check_length, unpack_bits

MOST_LEVELS = 2**16  # s 2^31 is well below 2^53, so that float64 holds all its integers


def check_vector(x: Array | Tensor, client: int = 0, n_clients: int = 1) -> None:
    """Raise ValueError unless x is a vector, float32 or float64, and the client is in [0, n).

    The vector must have native byte order and shape (d,) with d > 0.
    """
    if str(x.dtype) not in ("float32", "float64", "torch.float32", "torch.float64"):
        raise ValueError(f"x must be float32 or float64, got {x.dtype}")
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"x must have shape (d,) with d > 0, got {tuple(x.shape)}")
    if not 0 <= client < n_clients:
        raise ValueError(f"client must be in [0, {n_clients}), got {client}")


def check_messages(codes: Array | Tensor, scales: Array | Tensor) -> None:
    """Raise ValueError unless there is at least one message, and one scale for each."""
    if len(codes) == 0 or tuple(scales.shape) != (len(codes),):
        raise ValueError(
            f"expected one or more messages and a scale for each, got {len(codes)} messages and "
            f"scales of shape {tuple(scales.shape)}"
        )


def output(shape: tuple[int, ...], dtype: DTypeLike, out: Array | None) -> Array:
    """Return out, or a new array if it is None.

    Raises:
        ValueError: if out has another shape, is not float32 or float64, or is not contiguous.
    """
    if out is None:
        return np.empty(shape, dtype=dtype)
    floats = out.dtype in (np.float32, np.float64)
    if out.shape != shape or not floats or not _writable(out):
        raise ValueError(
            f"out must be a contiguous float32 or float64 array of shape {shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def empty_rotated(D: int, scratch: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return scratch, or a new array of D 32-bit floats.

    Raises:
        ValueError: if scratch has another shape or dtype, or is not contiguous.
    """
    if scratch is None:
        return np.empty(D, dtype=np.float32)
    if scratch.shape != (D,) or scratch.dtype != np.float32 or not _writable(scratch):
        raise ValueError(
            f"scratch must be a contiguous float32 array of shape ({D},), "
            f"got {scratch.dtype} of shape {scratch.shape}"
        )
    return scratch


def empty_codes(size: int, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return out, or a new array of ``size`` bytes.

    Raises:
        ValueError: if out has another size or dtype, or is not contiguous.
    """
    if out is None:
        return np.empty(size, dtype=np.uint8)
    if out.shape != (size,) or out.dtype != np.uint8 or not _writable(out):
        raise ValueError(
            f"out must be a contiguous uint8 array of shape ({size},), "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def check_levels(levels: int) -> None:
    """Raise ValueError unless the number of levels above 0 is in [1, 2^16]."""
    if not 1 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels must be in [1, {MOST_LEVELS}], got {levels}")


def empty_levels(d: int, levels: int, out: Array | None) -> Array:
    """Return out, or a new array of the narrowest signed integers for -s .. s.

    Raises:
        ValueError: if out has another shape, is too narrow, or is not contiguous.
    """
    check_levels(levels)
    fitting = [t for t in (np.int8, np.int16, np.int32) if levels <= np.iinfo(t).max]
    if out is None:
        return np.empty(d, dtype=fitting[0])
    if out.shape != (d,) or out.dtype not in fitting or not _writable(out):
        names = ", ".join(t.__name__ for t in fitting)
        raise ValueError(
            f"out must be a contiguous array of shape ({d},) of {names} for {levels} levels, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def _writable(out: Array) -> bool:
    return bool(out.flags.c_contiguous and out.flags.writeable and out.dtype.isnative)


def check_padding(codes: NDArray[np.uint8], d: int) -> None:
    """Raise ValueError unless codes have the size of d bits, and padding bits are zero."""
    check_length(codes, -(-d // 8))
    m = d % TILE
    if m:
        unpack_bits(codes[TILE // 8 * (d // TILE) :], m)
