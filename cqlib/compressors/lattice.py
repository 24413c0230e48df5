"""The levels to which CQ rounds: the two ends of the range, or k levels of a lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.types import Array, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.reference import rounding
from cqlib.keys import Key, Stream


class Ends:
    """The ends of [-R, R]: one bit."""

    alphabet = 2
    step = 1.0  # beta: the distance between neighbouring levels, in units of 2 R
    headroom = 1.0  # the largest decoded value, in units of R

    def split(self, g: NDArray[np.int64], key: Key) -> tuple[Array | int, NDArray[np.int64]]:
        """Return the level below each grid coordinate, and its position in the gap above it."""
        return 0, g

    def values(self, symbols: Symbols, key: Key) -> Array:
        """Return the decoded values: levels times R."""
        return np.where(symbols.values, symbols.scales, -symbols.scales)

    def excess(self, r: float) -> float:
        """Return the factor c of the error bound c |x|^2, given d E R^2 = r |x|^2."""
        return r - 1


@dataclass(frozen=True)
class Lattice:
    r"""The k levels $c_1+m\beta$, $\beta=\frac{k+1}{k(k-1)}$; $c_1\in[-\frac1k,0)$ is shared."""

    k: int

    @property
    def alphabet(self) -> int:
        return self.k

    @property
    def step(self) -> float:
        return (self.k + 1) / (self.k * (self.k - 1))

    @property
    def headroom(self) -> float:
        return 1 + 2 / self.k

    def split(self, g: NDArray[np.int64], key: Key) -> tuple[Array | int, NDArray[np.int64]]:
        """As :meth:`Ends.split`."""
        return rounding.k_level_grid(g, self._words(key, g.shape[-1]), self.k)

    def values(self, symbols: Symbols, key: Key) -> Array:
        """As :meth:`Ends.values`."""
        words = self._words(key, symbols.values.shape[-1])
        y = rounding.k_level_offset(words, self.k) + symbols.values.astype(np.float64) * self.step
        return np.asarray(symbols.scales * (2 * y - 1))

    def excess(self, r: float) -> float:
        """As :meth:`Ends.excess`: rounding with step 2 R beta has variance at most (R beta)^2."""
        return self.step**2 * r

    def _words(self, key: Key, d: int) -> NDArray[np.int64]:
        return np.asarray(dispatch.host().stream_words(key.shared(Stream.LEVELS), d))
