"""Natural compression: every coordinate becomes a neighbouring power of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.base import Compressor
from cqlib.compressors.checks import check_finite, check_scales
from cqlib.compressors.dithering import with_sign, without_sign
from cqlib.compressors.onebit import rounding_words
from cqlib.compressors.types import Array, Context, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.reference import rounding
from cqlib.theory.dithering import SMALLEST_POWER, natural_compression_variance
from cqlib.theory.vectors import Vectors

_LARGEST_POWER = 127  # of two among the 32-bit floats
_N_POWERS = _LARGEST_POWER - SMALLEST_POWER + 1


@dataclass(frozen=True)
class NaturalCompression(Compressor):
    r"""Round each coordinate to one of the two powers of two next to it, without bias.

    Sign and exponent take nine bits, and there is no norm to send. Below $2^{-126}$, the smallest
    normal 32-bit float, the neighbours are 0 and that; beyond $2^{127}$ a vector is refused.
    Missing clients: the mean of those received is that of fewer clients.

    Source: Horváth, Ho, Horváth, Sahu, Canini, Richtárik, "Natural compression for distributed
    deep learning", MSML 2022.

    >>> NaturalCompression().bits(d=100, n=1), NaturalCompression().omega(d=100)
    (900.0, 0.125)
    """

    name: ClassVar[str] = "natural_compression"

    @property
    def can_be_cut(self) -> bool:
        return True

    def write(self, x: Tensor, ctx: Context) -> Message | None:
        """Round and pack at once."""
        row = x.cpu().numpy()
        check_finite(row[None], ctx.clients)
        _check_powers(row[None], ctx)
        codes = dispatch.kernels_for(x).encode_powers(
            x,
            1.0,
            lowest=SMALLEST_POWER,
            levels=_N_POWERS,
            key=ctx.key,
            client=int(ctx.clients[0]),
        )
        return Message(codes, x.new_zeros(0, dtype=torch.float32))

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Unpack powers at once."""
        return dispatch.kernels_for(message.codes).decode_powers(
            message.codes, 1.0, d=ctx.d, lowest=SMALLEST_POWER, levels=_N_POWERS
        )

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Round absolute values to powers of two."""
        _check_powers(x, ctx)
        y = np.abs(x).astype(np.float64)
        levels = rounding.round_exponential(y, rounding_words(ctx, ctx.d), SMALLEST_POWER)
        return Symbols(with_sign(levels, x < 0), np.zeros((*x.shape[:-1], 0), dtype=np.float32))

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the signed powers of two."""
        levels, negative = without_sign(symbols.codes)
        powers = np.ldexp(np.float32(1.0), levels - 1 + SMALLEST_POWER)
        values = np.where(levels > 0, powers, np.float32(0.0))
        return np.where(negative, -values, values)

    def alphabet(self, d: int) -> int:
        """Return 0 and 254 powers of either sign: nine bits."""
        return 2 * _N_POWERS + 1

    def n_scales(self, d: int) -> int:
        """Return 0."""
        return 0

    def bits(self, d: int, n: int) -> float:
        """Return 9 d."""
        return 9.0 * d

    def omega(self, d: int, n: int | None = None) -> float:
        """Return 1/8, attained between two powers of two; entries below 2^-126 excepted."""
        return 0.125

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error from the coordinates' places between powers of two."""
        return natural_compression_variance(X)


def _check_powers(x: Array, ctx: Context) -> None:
    """Refuse entries beyond the largest power of two."""
    check_scales(np.where(np.abs(x) > 2.0**_LARGEST_POWER, np.inf, 0.0), ctx.clients)
