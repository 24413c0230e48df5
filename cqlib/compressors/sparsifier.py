"""What sparsifiers share: a client sends some of its coordinates, scaled, and zeros are free.

Where the coordinates are drawn from the key, only their values are sent; the server draws the same.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.checks import as_integer
from cqlib.compressors.contract import Compressor
from cqlib.compressors.steps import Kept, gather, scatter
from cqlib.compressors.types import Array, Context, Layout, Symbols
from cqlib.theory.vectors import Vectors

_MOST_OF_EACH = 2**20


@dataclass(frozen=True)
class Sparsifier(Compressor):
    """A compressor that keeps some coordinates."""

    @abstractmethod
    def slots(self, d: int, n: int) -> int:
        """Return how many coordinates a client keeps at most."""

    @abstractmethod
    def keep(self, x: Array, ctx: Context) -> Kept:
        """Choose the coordinates of vectors of shape (..., c, d)."""

    @abstractmethod
    def kept(self, codes: Array, ctx: Context) -> NDArray[np.int64]:
        """Return the places again, from what was sent of them."""

    def sent(self, places: NDArray[np.int64]) -> Array:
        """Return what is sent of the places, shape (..., c, symbols): nothing, if the key tells."""
        return places[..., :0]

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Return the kept values, scaled, as floats."""
        chosen = self.keep(x, ctx)
        values = gather(x, chosen)
        sent = self.sent(chosen.places)
        codes = np.broadcast_to(sent, (*x.shape[:-1], sent.shape[-1]))
        return Symbols(codes, values.astype(np.float32))

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Put the floats in their places, zeros elsewhere."""
        places = self.kept(symbols.codes, ctx)
        values = symbols.scales
        missing = places.shape[-1] - values.shape[-1]  # empty slots of a client alone
        if missing:
            values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
        return scatter(values, places, ctx.d)

    def n_places(self, d: int) -> int:
        """Return how many places a client sends: none, if the key tells them."""
        return 0

    def layout(self, ctx: Context) -> Layout:
        """Return the places that are sent, and a float for every slot."""
        return Layout(ctx.d, codes=self.n_places(ctx.d), scales=self.slots(ctx.d, ctx.n))

    def bits(self, d: int, n: int) -> float:
        """Return 32 bits for each kept coordinate."""
        return 32.0 * self.slots(d, n)

    def variance_with_signs(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return each client's exact error if what is kept, c, is sent by IQ.

        It is $\mathbb E[m\|c\|^2]-\|a_i\|^2$: m coordinates of absolute value |c|.

        Raises:
            ValueError: if no closed form is known.
        """
        raise ValueError(f"{self.name}: no closed form of the error is known with IQ")

    def mse_with_signs(self, X: Vectors) -> float:
        """Return the exact error of the mean if what is kept is sent by IQ; raises as above."""
        if self.joint or not self.unbiased:
            raise ValueError(f"{self.name}: no closed form of the error is known with IQ")
        return float(np.sum(self.variance_with_signs(X))) / len(X) ** 2


def checked_count(k: int | None) -> int | None:
    """Return a number of coordinates, or None for a tenth of them."""
    return None if k is None else as_integer("k", k, 1, 2**32)


def count_of(k: int | None, d: int) -> int:
    """Return k, or a tenth of the coordinates, rounded up, where it is None."""
    if k is not None and k > d:
        raise ValueError(f"k = {k} coordinates cannot be kept of d = {d}")
    if k is not None and d > k * _MOST_OF_EACH:  # a few bytes must not stand for gigabytes
        raise ValueError(f"k = {k} of d = {d} is less than one in {_MOST_OF_EACH} coordinates")
    if d > 2**32:
        raise ValueError(f"d must be at most 2^32, got {d}")
    return -(-d // 10) if k is None else k
