"""Rounding of a coordinate to one of two neighbouring levels.

All comparisons are made on an integer grid, so that they do not depend on fused multiply-adds, the
compiler or the order of summation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array

GRID_BITS = 30  # a range [-R, R] is cut into 2^31 steps of R 2^-30


def grid(x: Array, scale: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return coordinates on the integer grid: clamp(floor(x 2^30 / R)) + 2^30, in [0, 2^31].

    Args:
        x: coordinates, shape (..., d), |x| <= R up to rounding.
        scale: R, shape (...,); if it is 0, all coordinates are at the middle, 2^30.

    The grid has a bias: the expected value of a rounded coordinate is too low by less than R 2^-30.
    """
    radius = np.where(scale > 0, scale, np.float32(1.0)).astype(np.float64)[..., None]
    half = 1 << GRID_BITS
    steps = np.floor(x.astype(np.float64) * half / radius)
    return np.asarray(np.clip(steps, -half, half), dtype=np.int64) + half


def round_independent(g: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return True where IQ rounds up: with probability g 2^-31, independently (Definition 5)."""
    return np.asarray((words >> 1) < g)


def round_correlated(
    g: NDArray[np.int64], words: NDArray[np.int64], ranks: NDArray[np.int64], n_clients: int
) -> NDArray[np.bool_]:
    """Return True where CQ rounds up: the stratified threshold lies below y (Algorithm 2).

    The threshold is U = (rank + u 2^-31) / n with private u, and y = g 2^-31; n 2^31 U and n 2^31 y
    are compared.
    """
    return np.asarray((ranks << 31) + (words >> 1) < n_clients * g)


def round_linear(y: Array, words: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    """Round y in [0, 1] to a neighbouring multiple of 1/s without bias (Definition 2).

    With g = floor(y s 2^31), computed in float64, the level below is g div 2^31, and the
    probability of the level above is (g mod 2^31) 2^-31.

    Args:
        y: float64, shape (..., c, d).
        words: private random words, shape (c, d), in [0, 2^32).
        levels: s, at least 1.

    Returns:
        The level, int64 in [0, s].
    """
    top = levels << 31
    g = np.minimum(np.floor(y * top), top).astype(np.int64)
    return np.asarray((g >> 31) + ((words >> 1) < (g & 0x7FFFFFFF)))


def round_exponential(y: Array, words: NDArray[np.int64], lowest: int) -> NDArray[np.int64]:
    """Round y >= 0 to a neighbour among 0, 2^lowest, 2^(lowest+1), ... without bias.

    For y = 2^e (1 + f) the probability of the level above is f; below 2^lowest it is
    y / 2^lowest. Both are rounded down to a multiple of 2^-31 (Definition 3; natural
    compression).

    Args:
        y: float64, shape (..., c, d).
        words: private random words, shape (c, d), in [0, 2^32).
        lowest: exponent of the smallest level above 0.

    Returns:
        The level, int64: 0, or 1 + e - lowest for 2^e.
    """
    mantissa, exponent = np.frexp(y)  # mantissa in [1/2, 1)
    above = (exponent > lowest) & (y > 0)
    level = np.where(above, exponent - lowest, 0).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        chance = np.where(above, 2 * mantissa - 1, np.ldexp(y, -lowest))
    return np.asarray(level + ((words >> 1) < np.floor(chance * 2.0**31).astype(np.int64)))


def k_level_offset(words: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the lowest level c_1 of k-level CQ: -(word + 1) / (k 2^32), in [-1/k, 0)."""
    return -(words + 1) / (k * 2.0**32)


def k_level_grid(
    g: NDArray[np.int64], words: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the level below y = g 2^-31, and the position of y between it and the next level.

    Levels c_m = c_1 + m b, m = 0 .. k - 1, are b = (k + 1) / (k (k - 1)) apart, so that
    (y - c_1) / b = (2 k g + word + 1) (k - 1) / ((k + 1) 2^32), an exact fraction of integers.

    Args:
        g: coordinates on the grid, shape (..., c, d), in [0, 2^31].
        words: shared random words, shape (d,), in [0, 2^32).
        k: number of levels, in [3, 2^15].

    Returns:
        m and the position in [0, 2^31], rounded down, as int64.

    Source: Suresh et al. 2022, Algorithm 2 (OneDimKLevelsCQ).
    """
    numerator = (2 * k * g + words + 1) * (k - 1)
    unit = (k + 1) << 32
    m = np.minimum(numerator // unit, k - 1)
    return m, (numerator - m * unit) // (2 * (k + 1))
