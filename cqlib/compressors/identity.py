"""No compression: every coordinate is sent as a 32-bit float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import AB, Array, Compressor, Constants, Symbols
from cqlib.keys import Key


@dataclass(frozen=True)
class Identity(Compressor):
    """Send the vector itself, 32 d bits (the row "no compression" of Table 4).

    Float64 input is rounded to float32, the only error there is.

    >>> Identity().bits(d=10, n=4)
    320.0
    """

    name: ClassVar[str] = "identity"
    deterministic: ClassVar[bool] = True

    def quantize(self, x: Array, *, clients: Array, n_clients: int, key: Key) -> Symbols:
        """Return no codes and the coordinates as scales."""
        return Symbols(np.zeros((*x.shape[:-1], 0), dtype=bool), x.astype(np.float32))

    def dequantize(
        self, symbols: Symbols, *, d: int, clients: Array, n_clients: int, key: Key
    ) -> NDArray[np.float32]:
        """Return the scales: they are the vector."""
        return symbols.scales.copy()  # what the receiver does to it leaves the payload alone

    def pack(self, codes: Array) -> NDArray[np.uint8]:
        """Return no bytes: everything is in the scales."""
        return np.zeros(0, dtype=np.uint8)

    def unpack(self, data: NDArray[np.uint8], d: int) -> Array:
        """Accept no code bytes."""
        if len(data):
            raise ValueError(f"identity sends no code bytes, got {len(data)}")
        return np.zeros(0, dtype=bool)

    def n_scales(self, d: int) -> int:
        """Return d: every coordinate is a float."""
        return d

    def bits(self, d: int, n: int) -> float:
        """Return 32 d (Table 4)."""
        return 32.0 * d

    def omega(self, d: int) -> float:
        """Return 0: there is no error beyond float32 rounding."""
        return 0.0

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        """Return A = B = 0 (Table 4)."""
        return AB(0.0, 0.0, homogeneous_only=False)
