"""Sums of the levels of several clients: of integers, or of powers of two in three ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.norm_of_all import NOT_ZERO
from cqlib.compressors.parts import Sums
from cqlib.compressors.spacing import Spacing
from cqlib.compressors.types import Array
from cqlib.kernels.derived import reduction
from cqlib.kernels.reference import packing
from cqlib.keys import Key


@dataclass(frozen=True)
class _SumsOfLevels(Sums):
    """Sums of signed levels; the mean is the decoded sum times the norm of all clients, over n.

    Args:
        spacing: the levels.
    """

    spacing: Spacing

    def levels(self, symbols: Array) -> Array:
        return packing.levels_of(symbols)

    def mean(
        self, levels: Array, shared: NDArray[np.float32] | None, key: Key, n: int
    ) -> NDArray[np.float64]:
        """Return the decoded sum.

        Raises:
            ValueError: if a level is not zero although the norm of all is.
        """
        assert shared is not None
        if (shared == 0).any() and (levels * (shared[..., None, None] == 0)).any():
            raise ValueError(NOT_ZERO)
        return self.decode(self.add(levels, key), shared, n)

    def add(self, levels: Array, key: Key) -> Array:
        """Return the sum over the clients, shape (..., n, d) to (..., d)."""
        return np.asarray(levels.sum(axis=-2, dtype=np.int64))


@dataclass(frozen=True)
class IntegerSums(_SumsOfLevels):
    """Sums of integers, which are exact."""

    def bound(self, n: int) -> int:
        return n * self.spacing.n_levels

    def decode(
        self, total: Array, shared: NDArray[np.float32] | None, n: int
    ) -> NDArray[np.float64]:
        return np.asarray(self.spacing.values(total) * _wide(shared) / n)


@dataclass(frozen=True)
class _SumsOfPowers(_SumsOfLevels):
    """Sums of signed powers of two, given by exponents and rounded to a signed power of two."""

    def decode(
        self, total: Array, shared: NDArray[np.float32] | None, n: int
    ) -> NDArray[np.float64]:
        top = int(np.abs(total).max(initial=0))
        powers = np.arange(-top, top + 1)
        values, R = np.sign(powers) * self.spacing.values(np.abs(powers)), _wide(shared)
        if R.size == 1:  # multiply the few possible values, not all the sums
            return np.asarray((values * R.max() / n)[total + top])
        return np.asarray(values[total + top] * R / n)


@dataclass(frozen=True)
class TreeSums(_SumsOfPowers):
    """Sums of powers of two in pairs, each rounded to a power."""

    kind = "powers"

    def bound(self, n: int) -> int:
        """Return s plus one for each doubling of the number of clients."""
        return self.spacing.n_levels + (n - 1).bit_length()

    def add(self, levels: Array, key: Key) -> Array:
        return reduction.tree_sum(levels.astype(np.int16), key)


@dataclass(frozen=True)
class FoldSums(_SumsOfPowers):
    """Sums of powers of two, one client after the other; only a server uses them."""

    kind = None

    def bound(self, n: int) -> int:
        return self.spacing.n_levels + n - 1

    def add(self, levels: Array, key: Key) -> Array:
        return reduction.fold_sum(levels.astype(np.int16), key)


@dataclass(frozen=True)
class ExactSums(_SumsOfLevels):
    """Sums of powers of two without rounding; only a server uses them."""

    kind = None

    def bound(self, n: int) -> int:
        raise ValueError("exact sums of powers of two are not levels")

    def add(self, levels: Array, key: Key) -> Array:
        return np.asarray((np.sign(levels) * self.spacing.values(np.abs(levels))).sum(axis=-2))

    def decode(
        self, total: Array, shared: NDArray[np.float32] | None, n: int
    ) -> NDArray[np.float64]:
        return np.asarray(total * _wide(shared) / n)


def _wide(shared: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Return the norm of all in float64, shape (..., 1)."""
    assert shared is not None
    return shared[..., None].astype(np.float64)
