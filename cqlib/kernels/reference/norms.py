"""Norms as floats: sums in one fixed order, rounded up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array

ROW = 64  # columns, which are folded last
SMALLEST_SCALE = 2.0**-126  # the smallest normal float32


def tree_sum(values: Array) -> Array:
    """Sum over the last axis in one fixed order, by elementwise additions.

    Entries are put into a matrix of 64 columns, row by row, padded with zeros. Neighbouring rows
    are added, then neighbouring sums, and so on; the last row is folded in halves.
    """
    if values.shape[-1] > ROW:
        matrix = _filled_up(values, -values.shape[-1] % ROW)
        rows = matrix.reshape(*values.shape[:-1], -1, ROW)
        while rows.shape[-2] > 1:
            even, odd = rows[..., 0::2, :], rows[..., 1::2, :]
            last = even[..., odd.shape[-2] :, :]  # a row without a neighbour
            rows = np.concatenate([even[..., : odd.shape[-2], :] + odd, last], axis=-2)
        values = rows[..., 0, :]
    width = 1 << (values.shape[-1] - 1).bit_length()
    values = _filled_up(values, width - values.shape[-1])
    while width > 1:
        width //= 2
        values = values[..., :width] + values[..., width:]
    return values[..., 0]


def _filled_up(values: Array, zeros: int) -> Array:
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, zeros)]) if zeros else values


def sums_of_squares(x: Array) -> NDArray[np.float64]:
    """Square in float64, then :func:`tree_sum`."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(tree_sum(np.square(x, dtype=np.float64)))


def l2_scale(x: Array) -> NDArray[np.float32]:
    """Round the square root of :func:`sums_of_squares` up."""
    return scale_of_norm(np.sqrt(sums_of_squares(x)), lambda: (x != 0).any(axis=-1))


def scale_of_norm(norm: Array, not_zero: Callable[[], Array]) -> NDArray[np.float32]:
    """Round norms up to float32, at least 2^-126; 0 only where ``not_zero`` is False."""
    scale = np.maximum(round_up(norm), np.float32(SMALLEST_SCALE))
    if (norm > 0).all():
        return scale
    return np.where(not_zero(), scale, np.float32(0.0))


def norm_scale(x: Array, p: float) -> NDArray[np.float32]:
    """Divide entries by the largest one before taking powers, so that these cannot overflow."""
    if p == 2:
        return l2_scale(x)
    largest = np.maximum(x.max(axis=-1), -x.min(axis=-1)).astype(np.float64)
    norm = largest
    if p != np.inf:
        absolute = np.abs(x).astype(np.float64)
        unit = np.where(largest > 0, largest, 1.0)
        with np.errstate(over="ignore", under="ignore"):
            powers = absolute / unit[..., None]
            total = tree_sum(powers if p == 1 else powers**p)
            norm = unit * (total if p == 1 else total ** (1 / p)) * (1 + 2.0**-40)
    scale = np.maximum(round_up(np.maximum(norm, largest)), np.float32(SMALLEST_SCALE))
    return np.where(largest == 0, np.float32(0.0), scale)


def round_up(norm: Array) -> NDArray[np.float32]:
    """Round up to float32; infinity beyond the largest."""
    with np.errstate(over="ignore", under="ignore"):
        scale = norm.astype(np.float32)
        return np.where(scale < norm, np.nextafter(scale, np.float32(np.inf)), scale)
