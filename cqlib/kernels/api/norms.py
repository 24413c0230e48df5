"""Norms as 32-bit floats, summed up in one fixed order and rounded up."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import A, Array


class Norms(Protocol[A]):
    """Norms of vectors."""

    def sums_of_squares(self, x: A) -> A:
        """Return the sums of squares over the last axis, added up as by ``norms.tree_sum``.

        Args:
            x: float32 or float64, shape (..., d).

        Returns:
            float64, shape (...,).
        """
        ...

    def norm_scale(self, x: A, p: float) -> A:
        """p-norm over the last axis as float32, rounded up; 0 for a zero vector, as `l2_scale`.

        The largest entry is never above it, so that |x| / R stays in [0, 1]. For p other than 2 and
        infinity a relative margin of 2^-40 covers the error of the powers and the sum.

        Args:
            x: float32 or float64, shape (..., d).
            p: index of the norm, in [1, inf].

        Returns:
            float32, shape (...,); infinity where the norm exceeds the largest float32.
        """
        ...


class HostNorms(Protocol):
    """A norm that is asked for in main memory only."""

    def l2_scale(self, x: Array) -> Array:
        """2-norm over the last axis as float32, rounded up, at least 2^-126; 0 for a zero vector.

        Rounding up keeps every coordinate inside [-R, R]. The norm of a vector whose norm exceeds
        the float32 range is infinity, for the caller to refuse.

        Args:
            x: float32 or float64, shape (..., d).
        """
        ...
