"""No compression: every coordinate is sent as a 32-bit float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.contract import Compressor
from cqlib.compressors.types import Array, Context, Facts, Layout, Symbols
from cqlib.theory.vectors import Vectors


@dataclass(frozen=True)
class Identity(Compressor):
    """Send the vector itself, 32 d bits (the row "no compression" of Table 4).

    The only error is the rounding of float64 input to float32. Missing clients: the mean of those
    received is exact.

    >>> Identity().bits(d=10, n=4)
    320.0
    """

    name: ClassVar[str] = "identity"

    facts = Facts(unbiased=True, deterministic=True)

    def layout(self, ctx: Context) -> Layout:
        """Return no symbols: every coordinate is sent as a float."""
        return Layout(alphabet=2, symbols=0, scales=ctx.d)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Return no codes, and the coordinates as scales."""
        return Symbols(np.zeros((*x.shape[:-1], 0), dtype=bool), x.astype(np.float32))

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the scales: they are the vector."""
        return symbols.scales.copy()  # the caller may change the result; the payload stays

    def bits(self, d: int, n: int) -> float:
        """Return 32 d (Table 4)."""
        return 32.0 * d

    def omega(self, d: int, n: int | None = None) -> float:
        """Return 0: the only error is the rounding to float32."""
        return 0.0

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return zeros."""
        return np.zeros(len(X))
