"""What IQ and CQ share: one bit a coordinate, and the client's own norm as the range.

A client sends its range R (one 32-bit float) and one bit a coordinate; the server reads +R for a
set bit and -R for a clear one. How the bits are drawn is what tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import Array, Compressor, Context, Symbols, check_norms, check_scales
from cqlib.kernels import reference
from cqlib.keys import Stream

SMALLEST_RANGE = 2.0**-126


@dataclass(frozen=True)
class OneBit(Compressor):
    """A compressor that rounds each coordinate to one end of [-R, R]."""

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return +R where the bit is set and -R where it is not; no randomness is needed."""
        check_norms(symbols, SMALLEST_RANGE)
        zero = np.float32(0.0)  # turns the -0 of a zero vector into 0
        return np.where(symbols.codes, symbols.scales, -symbols.scales) + zero

    def bits(self, d: int, n: int) -> float:
        """Return d + 32 (Table 4); on the wire the d bits fill whole bytes."""
        return d + 32.0

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return d - 1: E|C(x) - x|^2 = d R^2 - |x|^2 with R = |x|, an equality for every x."""
        return d - 1.0


def on_the_grid(
    x: Array, ctx: Context, norm: float = 2.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the coordinates on the integer grid of [-R, R], and R of shape (..., c, 1)."""
    scales = reference.norm_scale(x, norm)
    check_scales(scales[..., None], ctx.clients)  # an infinite range has no grid
    return reference.grid(x, scales), scales[..., None]


def rounding_words(ctx: Context, d: int) -> NDArray[np.int64]:
    """Return the private random words of d coordinates, shape (c, d), in [0, 2^32)."""
    return reference.stream_words(ctx.key.private(Stream.ROUNDING, ctx.clients), d)
