"""Norms by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu.compiled import sums
from cqlib.kernels.reference import norms


def sums_of_squares(x: Array) -> NDArray[np.float64]:
    """Walk the tree of each row."""
    rows = x.reshape(-1, x.shape[-1])
    total = np.empty(len(rows))
    sums.sums_of_squares(np.ascontiguousarray(rows), total)
    return total.reshape(x.shape[:-1])


def l2_scale(x: Array) -> NDArray[np.float32]:
    """Round the square root of :func:`sums_of_squares` up; look for zeros if a sum is zero."""
    squares = sums_of_squares(x)
    scales = np.empty(squares.shape, dtype=np.float32)
    if sums.scales(squares.reshape(-1), scales.reshape(-1)):
        return scales
    return norms.scale_of_norm(np.sqrt(squares), lambda: (x != 0).any(axis=-1))


def norm_scale(x: Array, p: float) -> NDArray[np.float32]:
    """Sum squares by compiled loops for p = 2; leave other norms to the reference."""
    return l2_scale(x) if p == 2 else norms.norm_scale(x, p)
