"""The common part of dithering compressors: signs, a norm, and rounding to s + 1 levels."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import (
    SMALLEST_RANGE,
    as_integer,
    as_norm_index,
    check_norms,
    check_scales,
)
from cqlib.compressors.contract import Compressor
from cqlib.compressors.parts import Fused
from cqlib.compressors.spacing import Spacing
from cqlib.compressors.steps import check_norm, finite_norms, in_units, norms
from cqlib.compressors.types import Array, Context, Facts, Layout, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.reference import packing


class OwnNorm:
    """Each client divides by its own norm R, and sends it."""

    scales = 1

    def norms_used(self, norms: Array, ctx: Context) -> Array:
        """Return the R by which to divide vectors with these norms, shape (..., c).

        Raises:
            ValueError: if the norm of a vector is larger than its R.
        """
        return norms

    def norms_read(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the R of each message, shape (..., c, 1).

        Raises:
            ValueError: if a norm is invalid, or a code is not zero although its norm is.
        """
        check_norms(symbols, SMALLEST_RANGE)
        return symbols.scales

    def norm_read(self, message: Message, ctx: Context) -> Tensor | float:
        """Return the R of one message; raise as :meth:`norms_read`."""
        check_norm(message.scales, message.codes)
        return message.scales[0]


@dataclass(frozen=True)
class DitheringKernels:
    """Kernels that round and pack in one pass, or unpack.

    Args:
        norm_index: index of the norm, in [1, inf].
        spacing: the levels.
        norm: the client's own norm, or that of all clients.
    """

    norm_index: float
    spacing: Spacing
    norm: OwnNorm

    def write(self, x: Tensor, ctx: Context) -> Message:
        """Round and pack."""
        norms = finite_norms(x[None], ctx, self.norm_index, dispatch.kernels_for(x))
        R = float(self.norm.norms_used(norms.cpu().numpy(), ctx)[0])
        return Message(self.spacing.encode(x, R, ctx), norms[: self.norm.scales])

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Unpack levels, times the norm."""
        return self.spacing.decode(message.codes, self.norm.norm_read(message, ctx), ctx.d)


@dataclass(frozen=True)
class Dithering(Compressor, abstract=True):
    """A compressor that sends a norm R and, for each coordinate, its sign and rounded |x| / R."""

    @property
    @abstractmethod
    def norm_index(self) -> float:
        """Index of the norm, in [1, inf]."""

    @property
    @abstractmethod
    def spacing(self) -> Spacing:
        """The levels, between 0 and 1."""

    @property
    def whose(self) -> OwnNorm:
        """The client's own norm, or that of all clients."""
        return OwnNorm()

    @property
    def kernels(self) -> DitheringKernels:
        """The fused kernels."""
        return DitheringKernels(self.norm_index, self.spacing, self.whose)

    @property
    def facts(self) -> Facts:
        return Facts(unbiased=True, can_be_cut=True)

    @property
    def fused(self) -> Fused | None:
        return Fused(self.kernels.write, self.kernels.read)

    def layout(self, ctx: Context) -> Layout:
        """Return one of 2 s + 1 signed levels per coordinate, and the norm."""
        return Layout(self.spacing.alphabet, symbols=ctx.d, scales=self.whose.scales)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Divide absolute values by the norm and round them to levels (Definitions 2 and 3)."""
        sent = norms(x, self.norm_index)
        check_scales(sent[..., None], ctx.clients)
        R = self.whose.norms_used(sent, ctx)[..., None]
        symbols = self.spacing.round(in_units(x, R), ctx)
        return Symbols(symbols, sent[..., None][..., : self.whose.scales])

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return sign times level times norm."""
        R = self.whose.norms_read(symbols, ctx).astype(np.float64)
        with np.errstate(under="ignore"):
            return (self.spacing.signed(symbols.values) * R).astype(np.float32) + np.float32(0.0)

    def bits(self, d: int, n: int) -> float:
        """Return 32 + d ceil(log2(2 s + 1)); 32 + d log2 3 for s = 1."""
        return d * packing.symbol_bits(self.spacing.alphabet) + 32.0


@dataclass(frozen=True)
class DitheringByNorm(Dithering, abstract=True):
    """Dithering with two options: the index p of the norm and the number s of levels above 0."""

    most_levels: ClassVar[int]  # the largest s
    p: float = 2.0
    s: int = 7

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", as_norm_index(self.p))  # 2 and 2.0 give the same tag
        object.__setattr__(self, "s", as_integer("s", self.s, 1, self.most_levels))

    @property
    def norm_index(self) -> float:
        return self.p
