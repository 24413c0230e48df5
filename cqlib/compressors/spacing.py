"""The levels of a dithering compressor: equidistant, or powers of two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.steps import dither, rounding_words, with_sign, without_sign
from cqlib.compressors.types import Array, Context
from cqlib.kernels import dispatch
from cqlib.kernels.reference import rounding


class Spacing(ABC):
    """Levels 0 to ``n_levels``; symbol 2 l - 1 is level l, symbol 2 l is minus level l."""

    @property
    @abstractmethod
    def n_levels(self) -> int:
        """Number of levels above 0."""

    @property
    def alphabet(self) -> int:
        """Number of signed levels."""
        return 2 * self.n_levels + 1

    @abstractmethod
    def encode(self, x: Tensor, R: float, ctx: Context) -> Tensor:
        """Round x / R, shape (d,), and pack its symbols."""

    @abstractmethod
    def decode(self, codes: Tensor, R: Tensor | float, d: int) -> Tensor:
        """Return the signed levels times R: the decoding of :meth:`encode`."""

    @abstractmethod
    def round(self, y: Array, ctx: Context) -> Array:
        """Round y, shape (..., c, d), to a neighbouring level without bias; return symbols."""

    @abstractmethod
    def values(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the values of levels, given by their numbers from 0 on."""

    def signed(self, symbols: Array) -> NDArray[np.float64]:
        """Return the signed values of symbols."""
        levels, negative = without_sign(symbols)
        values = self.values(levels)
        return np.where(negative, -values, values)


@dataclass(frozen=True)
class Linear(Spacing):
    """Multiples of 1 / s, up to 1 (Definition 2)."""

    s: int

    @property
    def n_levels(self) -> int:
        return self.s

    def encode(self, x: Tensor, R: float, ctx: Context) -> Tensor:
        client = int(ctx.clients[0])
        kernels = dispatch.kernels_for(x)
        return kernels.encode_levels(x, R, levels=self.s, key=ctx.key, client=client)

    def decode(self, codes: Tensor, R: Tensor | float, d: int) -> Tensor:
        return dispatch.kernels_for(codes).decode_levels(codes, R, d=d, levels=self.s)

    def round(self, y: Array, ctx: Context) -> Array:
        return dither(y, self.s, ctx)

    def values(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        return levels / self.s


@dataclass(frozen=True)
class Powers(Spacing):
    """Consecutive powers of two from 2^lowest on (Definition 3: from 2^(1 - s) to 1)."""

    lowest: int
    n: int

    @property
    def n_levels(self) -> int:
        return self.n

    def encode(self, x: Tensor, R: float, ctx: Context) -> Tensor:
        return dispatch.kernels_for(x).encode_powers(
            x, R, lowest=self.lowest, levels=self.n, key=ctx.key, client=int(ctx.clients[0])
        )

    def decode(self, codes: Tensor, R: Tensor | float, d: int) -> Tensor:
        kernels = dispatch.kernels_for(codes)
        return kernels.decode_powers(codes, R, d=d, lowest=self.lowest, levels=self.n)

    def round(self, y: Array, ctx: Context) -> Array:
        words = rounding_words(ctx, y.shape[-1])
        return with_sign(rounding.round_exponential(np.abs(y), words, self.lowest), y < 0)

    def values(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(levels > 0, np.ldexp(1.0, levels - 1 + self.lowest), 0.0)
