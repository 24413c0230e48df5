"""What IQ and CQ share: one bit a coordinate, and the client's own 2-norm as the range.

A client sends R = |a|_2 (one 32-bit float) and one bit a coordinate; the server reads +R for a set
bit and -R for a clear one. How the bits are drawn is what tells the two apart.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import Array, Compressor, Symbols, check_scales
from cqlib.kernels import reference
from cqlib.keys import Key, Stream


@dataclass(frozen=True)
class OneBit(Compressor):
    """A compressor that rounds each coordinate to one end of [-R, R]."""

    @abstractmethod
    def decide(
        self, g: NDArray[np.int64], words: NDArray[np.int64], clients: Array, n: int, key: Key
    ) -> NDArray[np.bool_]:
        """Return which coordinates round up.

        Args:
            g: coordinates on the integer grid, shape (..., c, d), in [0, 2^31].
            words: private random words, shape (c, d), in [0, 2^32).
            clients: ids of the c clients.
            n: number of clients.
            key: the round's key, for shared randomness.
        """

    def quantize(self, x: Array, *, clients: Array, n_clients: int, key: Key) -> Symbols:
        """Round each coordinate to an end of the client's range (Definitions 6 and 7)."""
        scales = reference.l2_scale(x)
        check_scales(scales[..., None], clients)  # an infinite range has no grid
        g = reference.grid(x, scales)
        words = reference.stream_words(key.private(Stream.ROUNDING, clients), x.shape[-1])
        return Symbols(self.decide(g, words, clients, n_clients, key), scales[..., None])

    def dequantize(
        self, symbols: Symbols, *, d: int, clients: Array, n_clients: int, key: Key
    ) -> NDArray[np.float32]:
        """Return +R where the bit is set and -R where it is not; no randomness is needed."""
        zero = np.float32(0.0)  # turns the -0 of a zero vector into 0
        return np.where(symbols.codes, symbols.scales, -symbols.scales) + zero

    def bits(self, d: int, n: int) -> float:
        """Return d + 32 (Table 4); on the wire the d bits fill whole bytes."""
        return d + 32.0

    def omega(self, d: int) -> float:
        r"""Return d - 1: E|C(x) - x|^2 = d R^2 - |x|^2 with R = |x|, an equality for every x."""
        return d - 1.0
