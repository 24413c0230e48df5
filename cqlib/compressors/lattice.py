"""Where CQ rounds to: the two ends of the range, or k levels that lie on a lattice."""

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
    step = 1.0  # beta: distance of neighbouring levels, in units of 2 R
    headroom = 1.0  # how far a decoded value may exceed the range

    def split(self, g: NDArray[np.int64], key: Key) -> tuple[Array | int, NDArray[np.int64]]:
        """Return the level below each coordinate of the grid, and its place up to the next."""
        return 0, g

    def values(self, symbols: Symbols, key: Key) -> Array:
        """Return the levels of symbols, times R."""
        return np.where(symbols.codes, symbols.scales, -symbols.scales)

    def excess(self, r: float) -> float:
        """Bound the error by this multiple of |x|^2, where E d R^2 = r |x|^2."""
        return r - 1


@dataclass(frozen=True)
class Lattice:
    r"""k levels, $\beta=\frac{k+1}{k(k-1)}$ apart from a shared random $c_1\in[-\frac1k,0)$ on."""

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
        words = self._words(key, symbols.codes.shape[-1])
        y = rounding.k_level_offset(words, self.k) + symbols.codes.astype(np.float64) * self.step
        return np.asarray(symbols.scales * (2 * y - 1))

    def excess(self, r: float) -> float:
        """As :meth:`Ends.excess`: a step of 2 R beta has a variance of at most (R beta)^2."""
        return self.step**2 * r

    def _words(self, key: Key, d: int) -> NDArray[np.int64]:
        return np.asarray(dispatch.host().stream_words(key.shared(Stream.LEVELS), d))
