"""DRIVE+: two values after a random rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.rotated_signs import InFloat64, RotatedSigns, Rounding
from cqlib.compressors.types import Symbols
from cqlib.kernels.reference.norms import tree_sum


@dataclass(frozen=True)
class DrivePlus(RotatedSigns):
    r"""DRIVE+: each rotated coordinate is sent as one of two centroids.

    The centroids are those of the best split of the rotated coordinates $y$ into two clusters
    (2-means in one dimension, solved exactly). The unbiased scale multiplies them by
    $\|y\|^2/\sum_jc(y_j)^2$. The error is at most DRIVE's with the same rotation. Missing clients:
    as if only the others took part.

    Args:
        scale: "unbiased", or "min_error" for the centroids themselves, which is biased.
        rotation: as for DRIVE, "hadamard" or "uniform"; only the latter is unbiased.

    Source: Vargaftik et al., "DRIVE: One-bit distributed mean estimation", NeurIPS 2021.

    >>> DrivePlus().bits(d=100, n=4)  # two floats
    192.0
    """

    name: ClassVar[str] = "drive_plus"

    n_scales: ClassVar[int] = 2

    @property
    def rounding(self) -> Rounding:
        return InFloat64(self.rotation, self._split, _join)

    def _split(self, y: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return a mask of the coordinates in the upper cluster, and both centroids."""
        upper = y >= _threshold(y)
        upper_mean = _mean(y, upper)
        lower_mean = np.where(upper.all(axis=-1), upper_mean, _mean(y, ~upper))
        centroids = np.stack([lower_mean, upper_mean], axis=-1)
        if self.scale == "unbiased":
            square = np.where(upper, upper_mean[..., None] ** 2, lower_mean[..., None] ** 2)
            total = tree_sum(square)
            ratio = np.divide(tree_sum(y * y), total, out=np.ones_like(total), where=total > 0)
            centroids *= ratio[..., None]
        return upper, centroids


def _join(symbols: Symbols) -> NDArray[np.float64]:
    """Return each coordinate's centroid."""
    _check(symbols)
    centroids = symbols.scales.astype(np.float64)
    return np.where(symbols.values, centroids[..., 1:], centroids[..., :1])


def _check(symbols: Symbols) -> None:
    """Raise if no client could have sent these centroids and bits."""
    upper, low, high = symbols.values, symbols.scales[..., 0], symbols.scales[..., 1]
    if (low > high).any():
        raise ValueError("the lower centroid is above the upper one")
    if (upper.any(axis=-1) == ((low == 0) & (high == 0))).any():
        raise ValueError("either both centroids are zero, or some coordinate is at the upper one")
    if (upper.all(axis=-1) & (low != high)).any():
        raise ValueError("no coordinate is at the lower centroid, so that it must be the upper one")


def _threshold(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest coordinate of the upper cluster, shape (..., 1)."""
    D = y.shape[-1]
    if D == 1:
        return y
    ascending = np.sort(y, axis=-1)
    below = np.cumsum(ascending, axis=-1)[..., :-1]  # sums of the 1 .. D - 1 smallest
    above = tree_sum(y)[..., None] - below
    count = np.arange(1, D)
    best = np.argmax(below**2 / count + above**2 / (D - count), axis=-1, keepdims=True)
    return np.asarray(np.take_along_axis(ascending, best + 1, axis=-1))


def _mean(y: NDArray[np.float64], members: NDArray[np.bool_]) -> NDArray[np.float64]:
    total = tree_sum(np.where(members, y, 0.0))
    return np.asarray(total / np.maximum(members.sum(axis=-1), 1))
