"""The common part of IQ and CQ: one bit per coordinate, and the client's own norm as the range.

A client sends its range R (one 32-bit float) and one bit per coordinate; the server decodes a set
bit to +R and a clear bit to -R. IQ and CQ differ in the random numbers that they round with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import SMALLEST_RANGE, check_norms
from cqlib.compressors.contract import Compressor
from cqlib.compressors.parts import Fused
from cqlib.compressors.steps import check_norm, finite_norms
from cqlib.compressors.types import Context, Layout, Message, Received, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.reference import packing
from cqlib.keys import Key


@dataclass(frozen=True)
class OneBit(Compressor, abstract=True):
    """A compressor that rounds each coordinate to one end of [-R, R]."""

    def layout(self, ctx: Context) -> Layout:
        """Return one bit per coordinate, and the range."""
        return Layout(alphabet=2, symbols=ctx.d, scales=1)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return +R where the bit is set and -R where it is not; this needs no randomness."""
        return ends_of_range(symbols)

    def bits(self, d: int, n: int) -> float:
        """Return d + 32 (Table 4); on the wire the d bits fill whole bytes."""
        return d + 32.0

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return d - 1, since E|C(x) - x|^2 = d R^2 - |x|^2 with R = |x| for every x."""
        return d - 1.0


def ends_of_range(symbols: Symbols) -> NDArray[np.float32]:
    """Return +R where the bit is set and -R where it is not."""
    check_norms(symbols, SMALLEST_RANGE)
    zero = np.float32(0.0)  # turns the -0 of a zero vector into 0
    return np.where(symbols.values, symbols.scales, -symbols.scales) + zero


@dataclass(frozen=True)
class OneBitKernels:
    """Kernels that round and pack, or round and add, in one pass.

    Args:
        correlated: True for CQ's rounding, False for IQ's.
        norm: index of the norm that gives the range.
    """

    correlated: bool
    norm: float

    @property
    def fused(self) -> Fused:
        """The kernels as the compressor's optional part."""
        return Fused(self.write, self.read, self.mean, self.simulate, self.simulate_each)

    def write(self, x: Tensor, ctx: Context) -> Message:
        """Round and pack."""
        kernels = dispatch.kernels_for(x)
        scale = finite_norms(x[None], ctx, self.norm, kernels)
        codes = kernels.encode_one_bit(
            x,
            scale[0],
            key=ctx.key,
            client=int(ctx.clients[0]),
            n_clients=ctx.n,
            correlated=self.correlated,
        )
        return Message(codes, scale)

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Unpack bits to plus or minus the range."""
        codes, scales = message
        check_norm(scales, codes)
        return dispatch.kernels_for(codes).decode_one_bit(codes, scales[0], d=ctx.d)

    def mean(self, received: Received, d: int, n: int, dtype: torch.dtype) -> Tensor | None:
        """Return the mean from the messages of all n clients.

        None if messages are missing or lie on different devices.
        """
        devices = {message.codes.device for message, _ in received}
        if len(received) != n or len(devices) != 1:
            return None
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

    def simulate(self, X: Tensor, ctx: Context) -> Tensor:
        """Return the mean of all clients' rounded vectors, in one pass."""
        return self._simulate(X, ctx, ctx.key)

    def simulate_each(self, X: Tensor, ctx: Context, keys: Sequence[Key]) -> Tensor:
        """Do the same for a batch, with a key for each member."""
        return self._simulate(X, ctx, keys)

    def _simulate(self, X: Tensor, ctx: Context, key: Key | Sequence[Key]) -> Tensor:
        kernels = dispatch.kernels_for(X)
        scales = finite_norms(X, ctx, self.norm, kernels)
        return kernels.simulate_one_bit(X, scales, key=key, correlated=self.correlated)
