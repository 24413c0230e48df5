"""What dithering compressors share: signs, a norm, and rounding to one of s + 1 levels."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.base import Compressor
from cqlib.compressors.checks import check_norms, check_scales
from cqlib.compressors.onebit import SMALLEST_RANGE, check_norm, finite_norms, rounding_words
from cqlib.compressors.types import Array, Context, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.reference import packing


@dataclass(frozen=True)
class Dithering(Compressor):
    """A compressor that sends a norm R, and each sign with the level that |x| / R is rounded to.

    Level l of a positive coordinate is symbol 2 l - 1, of a negative one 2 l; zero is 0.
    """

    @property
    @abstractmethod
    def norm_index(self) -> float:
        """Index of the norm, in [1, inf]."""

    @property
    @abstractmethod
    def n_levels(self) -> int:
        """Number of levels above 0."""

    @abstractmethod
    def round_levels(self, y: Array, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Round y in [0, 1] to the number of a neighbouring level, without bias."""

    @abstractmethod
    def level_values(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the levels of these numbers, in [0, 1]."""

    @property
    def linear(self) -> bool:
        """Whether levels are the multiples of 1 / s, or else the powers of two from 2^(1 - s)."""
        return False

    def divisors(self, norms: Array, ctx: Context) -> Array:
        """Return the R that vectors of these norms are divided by, shape (..., c)."""
        return norms

    def factors(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the R that levels are multiplied with, shape (..., c, 1); by default those sent.

        Raises:
            ValueError: for norms that no client sends.
        """
        check_norms(symbols, SMALLEST_RANGE)
        return symbols.scales

    def factor(self, message: Message, ctx: Context) -> Tensor | float:
        """Return the same for one message, as the kernels take it."""
        check_norm(message.scales, message.codes)
        return message.scales[0]

    @property
    def can_be_cut(self) -> bool:
        return True

    def write(self, x: Tensor, ctx: Context) -> Message | None:
        """Round and pack at once."""
        kernels, s, client = dispatch.kernels_for(x), self.n_levels, int(ctx.clients[0])
        norms = finite_norms(x[None], ctx, self.norm_index, kernels)
        R = float(self.divisors(norms.cpu().numpy(), ctx)[0])
        if self.linear:
            codes = kernels.encode_levels(x, R, levels=s, key=ctx.key, client=client)
        else:
            codes = kernels.encode_powers(x, R, lowest=1 - s, levels=s, key=ctx.key, client=client)
        return Message(codes, norms[: self.n_scales(ctx.d)])

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Unpack levels at once."""
        codes, R, s = message.codes, self.factor(message, ctx), self.n_levels
        kernels = dispatch.kernels_for(codes)
        if self.linear:
            return kernels.decode_levels(codes, R, d=ctx.d, levels=s)
        return kernels.decode_powers(codes, R, d=ctx.d, lowest=1 - s, levels=s)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Round absolute values over the norm to levels (Definitions 2 and 3)."""
        norms = dispatch.host().norm_scale(x, self.norm_index)
        check_scales(norms[..., None], ctx.clients)
        R = self.divisors(norms, ctx)[..., None]
        radius = np.where(R > 0, R, np.float32(1.0)).astype(np.float64)
        levels = self.round_levels(np.abs(x) / radius, rounding_words(ctx, ctx.d))
        return Symbols(with_sign(levels, x < 0), norms[..., None][..., : self.n_scales(ctx.d)])

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return sign times level times norm."""
        R = self.factors(symbols, ctx)
        levels, negative = without_sign(symbols.codes)
        values = self.level_values(levels) * R.astype(np.float64)
        with np.errstate(under="ignore"):
            return np.where(negative, -values, values).astype(np.float32) + np.float32(0.0)

    def alphabet(self, d: int) -> int:
        """Return 2 s + 1 signed levels."""
        return 2 * self.n_levels + 1

    def bits(self, d: int, n: int) -> float:
        """Return 32 + d ceil(log2(2 s + 1)), and 32 + d log2 3 for s = 1."""
        return d * packing.symbol_bits(self.alphabet(d)) + 32.0


def with_sign(levels: NDArray[np.int64], negative: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return one symbol for level and sign: 2 l - 1 if positive, 2 l if negative, 0 for zero."""
    return np.where(levels > 0, 2 * levels - ~negative, 0)


def without_sign(symbols: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Undo :func:`with_sign`; zero is not negative."""
    return (symbols + 1) // 2, (symbols % 2 == 0) & (symbols > 0)


def as_norm_index(p: Any, option: str = "p") -> float:
    """Return an option that is the index of a norm, in [1, inf]."""
    number = isinstance(p, (int, float, np.integer, np.floating)) and not isinstance(p, bool)
    if not number or not p >= 1:
        raise ValueError(f"{option} must be in [1, inf], got {p!r}")
    try:
        return float(p)
    except OverflowError:
        raise ValueError(
            f"{option} exceeds the largest float; for the largest entry give inf"
        ) from None
