"""Natural compression: every coordinate becomes a neighbouring power of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import check_finite, check_scales
from cqlib.compressors.contract import Compressor
from cqlib.compressors.parts import Fused
from cqlib.compressors.spacing import Powers
from cqlib.compressors.types import Array, Context, Facts, Layout, Message, Symbols
from cqlib.theory.dithering import SMALLEST_POWER, natural_compression_variance
from cqlib.theory.vectors import Vectors

_LARGEST_POWER = 127  # 2^127 is the largest power of two in float32
_POWERS = Powers(SMALLEST_POWER, _LARGEST_POWER - SMALLEST_POWER + 1)


def _write(x: Tensor, ctx: Context) -> Message:
    """Round and pack by one kernel."""
    row = x.cpu().numpy()
    check_finite(row[None], ctx.clients)
    _check_powers(row[None], ctx)
    return Message(_POWERS.encode(x, 1.0, ctx), x.new_zeros(0, dtype=torch.float32))


def _read(message: Message, ctx: Context) -> Tensor:
    """Unpack powers of two by one kernel."""
    return _POWERS.decode(message.codes, 1.0, ctx.d)


def _check_powers(x: Array, ctx: Context) -> None:
    """Raise if an entry exceeds the largest power of two."""
    check_scales(np.where(np.abs(x) > 2.0**_LARGEST_POWER, np.inf, 0.0), ctx.clients)


@dataclass(frozen=True)
class NaturalCompression(Compressor):
    r"""Round each coordinate to one of the two powers of two next to it, without bias.

    Sign and exponent take nine bits; no norm is sent. An absolute value below $2^{-126}$, the
    smallest normal 32-bit float, is rounded to 0 or to that; an entry beyond $2^{127}$ raises
    ValueError. Missing clients: as if only the others took part.

    Source: Horváth, Ho, Horváth, Sahu, Canini, Richtárik, "Natural compression for distributed
    deep learning", MSML 2022.

    >>> NaturalCompression().bits(d=100, n=1), NaturalCompression().omega(d=100)
    (900.0, 0.125)
    """

    name: ClassVar[str] = "natural_compression"

    facts = Facts(unbiased=True, can_be_cut=True)
    fused = Fused(_write, _read)

    def layout(self, ctx: Context) -> Layout:
        """Return nine bits per coordinate, for 0 and 254 powers of either sign, and no scales."""
        return Layout(_POWERS.alphabet, symbols=ctx.d, scales=0)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Round absolute values to powers of two."""
        _check_powers(x, ctx)
        symbols = _POWERS.round(x.astype(np.float64), ctx)
        return Symbols(symbols, np.zeros((*x.shape[:-1], 0), dtype=np.float32))

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the signed powers of two."""
        return _POWERS.signed(symbols.values).astype(np.float32)

    def bits(self, d: int, n: int) -> float:
        """Return 9 d."""
        return 9.0 * d

    def omega(self, d: int, n: int | None = None) -> float:
        """Return 1/8, for entries of at least 2^-126; attained between two powers of two."""
        return 0.125

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error, from each coordinate's position between its powers of two."""
        return natural_compression_variance(X)
