"""The common part of all ratios: comparison of two sides, and maps from the cube to inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SMALLEST = 1e-5  # smaller right sides are ignored, since rounding errors would decide the ratio


def over(left: Array, right: Array) -> Array:
    """Return the ratio of two sides; 0 where the right side is too small."""
    return np.divide(left, right, out=np.zeros_like(left), where=right > SMALLEST)


def squares(z: Array) -> Array:
    """Return the squared norm of each vector."""
    return np.asarray(np.sum(z**2, axis=-1))


def log_uniform(z: Array, low: float, high: float) -> Array:
    """Map [-1, 1] to a range of positive numbers, by their logarithms."""
    return np.asarray(np.clip(np.exp(np.log(low) + (z + 1) / 2 * np.log(high / low)), low, high))
