"""What IQ and CQ share: one bit a coordinate, and the client's own norm as the range.

A client sends its range R (one 32-bit float) and one bit a coordinate; the server reads +R for a
set bit and -R for a clear one. How the bits are drawn is what tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import (
    Array,
    Compressor,
    Context,
    Message,
    Symbols,
    check_finite,
    check_norms,
    check_scales,
)
from cqlib.kernels import dispatch, reference
from cqlib.keys import Stream

SMALLEST_RANGE = 2.0**-126


class OneBitKernel(NamedTuple):
    """Options of the kernels that round and pack, or round and add up, at once."""

    correlated: bool
    norm: float


@dataclass(frozen=True)
class OneBit(Compressor):
    """A compressor that rounds each coordinate to one end of [-R, R]."""

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return +R where the bit is set and -R where it is not; no randomness is needed."""
        check_norms(symbols, SMALLEST_RANGE)
        zero = np.float32(0.0)  # turns the -0 of a zero vector into 0
        return np.where(symbols.codes, symbols.scales, -symbols.scales) + zero

    @property
    def fused(self) -> OneBitKernel | None:
        """How the kernels that round and pack at once are to be called, if they serve."""
        return None

    def write(self, x: Array, ctx: Context) -> Message | None:
        """Round and pack at once."""
        if self.fused is None:
            return super().write(x, ctx)
        scale = finite_norms(x[None], ctx, self.fused.norm)
        codes = dispatch.host().encode_one_bit(
            x,
            scale[0],
            key=ctx.key,
            client=int(ctx.clients[0]),
            n_clients=ctx.n,
            correlated=self.fused.correlated,
        )
        return Message(codes, scale)

    def read(self, message: Message, ctx: Context) -> NDArray[np.float32]:
        """Unpack plus and minus the range at once."""
        if self.fused is None:
            return super().read(message, ctx)
        scale = message.scales[0]
        codes = message.codes if scale == 0 else message.codes[:0]
        check_norms(Symbols(codes[None], message.scales[None]), SMALLEST_RANGE)
        if not np.isfinite(scale):
            raise ValueError("payload stands for values beyond the largest float32")
        values: NDArray[np.float32] = dispatch.host().decode_one_bit(message.codes, scale, d=ctx.d)
        return values

    def joint_mean(self, X: Array, ctx: Context) -> NDArray[np.float64] | None:
        """Round and add up all clients' vectors in one pass."""
        if self.fused is None:
            return None
        scales = finite_norms(X, ctx, self.fused.norm)
        mean: NDArray[np.float64] = dispatch.host().joint_mean_one_bit(
            X, scales, key=ctx.key, correlated=self.fused.correlated
        )
        return mean

    def bits(self, d: int, n: int) -> float:
        """Return d + 32 (Table 4); on the wire the d bits fill whole bytes."""
        return d + 32.0

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return d - 1: E|C(x) - x|^2 = d R^2 - |x|^2 with R = |x|, an equality for every x."""
        return d - 1.0


def finite_norms(x: Array, ctx: Context, norm: float) -> NDArray[np.float32]:
    """Return the ranges of vectors of shape (..., c, d), shape (..., c).

    Raises:
        ValueError: for NaN or infinity in x or a norm beyond float32, naming the client.
    """
    with np.errstate(invalid="ignore"):
        scales: NDArray[np.float32] = dispatch.host().norm_scale(x, norm)
    if not np.isfinite(scales).all():  # the norm of what is not finite is not finite
        check_finite(x, ctx.clients)
        check_scales(scales[..., None], ctx.clients)
    return scales


def on_the_grid(
    x: Array, ctx: Context, norm: float = 2.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the coordinates on the integer grid of [-R, R], and R of shape (..., c, 1)."""
    scales = dispatch.host().norm_scale(x, norm)
    check_scales(scales[..., None], ctx.clients)  # an infinite range has no grid
    return reference.grid(x, scales), scales[..., None]


def rounding_words(ctx: Context, d: int) -> NDArray[np.int64]:
    """Return the private random words of d coordinates, shape (c, d), in [0, 2^32)."""
    return dispatch.host().stream_words(ctx.key.private(Stream.ROUNDING, ctx.clients), d)
