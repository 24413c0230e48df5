"""What IQ and CQ share: one bit a coordinate, and the client's own norm as the range.

A client sends its range R (one 32-bit float) and one bit a coordinate; the server reads +R for a
set bit and -R for a clear one. How the bits are drawn is what tells the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.base import Compressor
from cqlib.compressors.checks import check_finite, check_norms, check_scales
from cqlib.compressors.types import Array, Context, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.api import Kernels
from cqlib.kernels.reference import packing, rounding
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

    def write(self, x: Tensor, ctx: Context) -> Message | None:
        """Round and pack at once."""
        if self.fused is None:
            return super().write(x, ctx)
        kernels = dispatch.kernels_for(x)
        scale = finite_norms(x[None], ctx, self.fused.norm, kernels)
        codes = kernels.encode_one_bit(
            x,
            scale[0],
            key=ctx.key,
            client=int(ctx.clients[0]),
            n_clients=ctx.n,
            correlated=self.fused.correlated,
        )
        return Message(codes, scale)

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Unpack plus and minus the range at once."""
        if self.fused is None:
            return super().read(message, ctx)
        codes, scales = message
        check_norm(scales, codes)
        return dispatch.kernels_for(codes).decode_one_bit(codes, scales[0], d=ctx.d)

    def read_mean(
        self,
        received: Sequence[tuple[Message, Context]],
        d: int,
        n: int,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Add up all messages at once."""
        devices = {message.codes.device for message, _ in received}
        if self.fused is None or len(received) != n or len(devices) != 1:
            return super().read_mean(received, d, n, dtype)
        for (codes, scales), _ in received:
            packing.check_length(codes, packing.code_bytes(d, 2))
            check_norm(scales, codes)
        codes, scales = (
            torch.stack(parts) for parts in zip(*(message for message, _ in received), strict=True)
        )
        kernels = dispatch.kernels_for(codes)
        if dtype not in (torch.float32, torch.float64):
            return kernels.average_one_bit(codes, scales[:, 0], d=d).to(dtype)
        out = codes.new_empty(d, dtype=dtype)
        return kernels.average_one_bit(codes, scales[:, 0], d=d, out=out)

    def joint_mean(self, X: Tensor, ctx: Context) -> Tensor:
        """Round and add up all clients' vectors in one pass."""
        if self.fused is None:
            return super().joint_mean(X, ctx)
        kernels = dispatch.kernels_for(X)
        scales = finite_norms(X, ctx, self.fused.norm, kernels)
        return kernels.simulate_one_bit(X, scales, key=ctx.key, correlated=self.fused.correlated)

    def bits(self, d: int, n: int) -> float:
        """Return d + 32 (Table 4); on the wire the d bits fill whole bytes."""
        return d + 32.0

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return d - 1: E|C(x) - x|^2 = d R^2 - |x|^2 with R = |x|, an equality for every x."""
        return d - 1.0


def check_norm(scales: Tensor, codes: Tensor, smallest: float = SMALLEST_RANGE) -> None:
    """Refuse a single float that is no norm, and codes beside a norm of zero."""
    scale = scales.cpu().numpy()
    check_norms(Symbols(np.zeros((1, 1)), scale[None]), smallest)
    if not np.isfinite(scale[0]):
        raise ValueError("payload stands for values beyond the largest float32")
    if scale[0] == 0 and codes.any():
        raise ValueError("the norm is zero but the codes are not")


def finite_norms(x: Tensor, ctx: Context, norm: float, kernels: Kernels[Tensor]) -> Tensor:
    """Return the ranges of vectors of shape (..., c, d), shape (..., c).

    Raises:
        ValueError: for NaN or infinity in x or a norm beyond float32, naming the client.
    """
    with np.errstate(invalid="ignore"):
        scales = kernels.norm_scale(x, norm)
    on_host = scales.cpu().numpy()
    if not np.isfinite(on_host).all():  # the norm of what is not finite is not finite
        check_finite(x.cpu().numpy(), ctx.clients)
        check_scales(on_host[..., None], ctx.clients)
    return scales


def on_the_grid(
    x: Array, ctx: Context, norm: float = 2.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the coordinates on the integer grid of [-R, R], and R of shape (..., c, 1)."""
    scales = dispatch.host().norm_scale(x, norm)
    check_scales(scales[..., None], ctx.clients)  # an infinite range has no grid
    return rounding.grid(x, scales), scales[..., None]


def rounding_words(ctx: Context, d: int) -> NDArray[np.int64]:
    """Return the private random words of d coordinates, shape (c, d), in [0, 2^32)."""
    return dispatch.host().stream_words(
        dispatch.host().private_keys(ctx.key, Stream.ROUNDING, ctx.clients), d
    )
