"""Norms as 32-bit floats, summed in one fixed order and rounded up."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import A, Array


class Norms(Protocol[A]):
    """Norms of vectors."""

    def sums_of_squares(self, x: A) -> A:
        """Return the sums of squares over the last axis, in the order of ``norms.tree_sum``.

        Args:
            x: float32 or float64, shape (..., d).

        Returns:
            float64, shape (...,).
        """
        ...

    def norm_scale(self, x: A, p: float) -> A:
        """Return the p-norms over the last axis as float32, rounded up; 0 for a zero vector.

        The norm R is at least the largest entry, so that |x| / R lies in [0, 1]. For p other than 2
        and infinity a relative margin of 2^-40 covers the error of the powers and the sum.

        Args:
            x: float32 or float64, shape (..., d).
            p: index of the norm, in [1, inf].

        Returns:
            float32, shape (...,), 0 or at least 2^-126; infinity if the norm exceeds float32.
        """
        ...


class HostNorms(Protocol):
    """Norms of NumPy arrays only."""

    def l2_scale(self, x: Array) -> Array:
        """Return the 2-norms over the last axis as float32, rounded up, 0 or at least 2^-126.

        Rounding up keeps every coordinate inside [-R, R]. The result is infinity if the norm
        exceeds float32; the caller has to check.

        Args:
            x: float32 or float64, shape (..., d).
        """
        ...
