"""The vectors that CQ quantizes: the clients' own, or rotated ones (all by the same rotation)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.types import Array
from cqlib.kernels.derived import rotation
from cqlib.keys import Key, Stream
from cqlib.theory.rotation import padded


class Plain:
    """No rotation."""

    def size(self, d: int) -> int:
        """Return the number of quantized coordinates."""
        return d

    def stretch(self, D: int) -> float:
        """Return a bound on the growth of the largest coordinate by :meth:`back`."""
        return 1.0

    def largest_square(self, D: int) -> float:
        r"""Bound $D\,\mathbb E\|y\|_\infty^2/\|y\|^2$ for the quantized vector $y$."""
        return float(D)

    def into(self, x: Array, key: Key) -> Array:
        """Return the vectors to quantize for vectors of shape (..., d)."""
        return x

    def back(self, values: Array, d: int, key: Key) -> NDArray[np.float32]:
        """Return vectors of shape (..., d) from the decoded ones."""
        return values.astype(np.float32) + np.float32(0.0)


class Rotated(Plain):
    """A randomised Hadamard rotation of dimension D = 2^ceil(log2 d), the same for all clients."""

    def size(self, d: int) -> int:
        return padded(d)

    def stretch(self, D: int) -> float:
        return math.sqrt(D)

    def largest_square(self, D: int) -> float:
        return min(D, 2 * math.log(2 * D) + 2)

    def into(self, x: Array, key: Key) -> Array:
        missing = padded(x.shape[-1]) - x.shape[-1]
        y = np.pad(x.astype(np.float64), [(0, 0)] * (x.ndim - 1) + [(0, missing)])
        return rotation.hadamard_rotate(y, key.shared(Stream.COMMON_ROTATION))

    def back(self, values: Array, d: int, key: Key) -> NDArray[np.float32]:
        wide = values.astype(np.float64)
        x = rotation.hadamard_rotate_back(wide, key.shared(Stream.COMMON_ROTATION))
        return x[..., :d].astype(np.float32) + np.float32(0.0)
