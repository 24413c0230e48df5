"""The common part of sparsifiers: a client sends only some of its coordinates, scaled.

If the key determines the places, only the values are sent; the server draws the same places.
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
class Sparsifier(Compressor, abstract=True):
    """A compressor that keeps some coordinates."""

    @abstractmethod
    def slots(self, d: int, n: int) -> int:
        """Return the largest number of coordinates that a client keeps."""

    @abstractmethod
    def keep(self, x: Array, ctx: Context) -> Kept:
        """Choose the coordinates of vectors of shape (..., c, d)."""

    @abstractmethod
    def kept(self, symbols: Array, ctx: Context) -> NDArray[np.int64]:
        """Return the places of the kept coordinates, from their symbols or from the key."""

    def sent(self, places: NDArray[np.int64]) -> Array:
        """Return the symbols of the places, shape (..., c, symbols); none if the key tells them."""
        return places[..., :0]

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Return the kept values, scaled, as scales of the message."""
        chosen = self.keep(x, ctx)
        values = gather(x, chosen)
        sent = self.sent(chosen.places)
        symbols = np.broadcast_to(sent, (*x.shape[:-1], sent.shape[-1]))
        return Symbols(symbols, values.astype(np.float32))

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Put the values in their places, zeros elsewhere."""
        places = self.kept(symbols.values, ctx)
        values = symbols.scales
        missing = places.shape[-1] - values.shape[-1]  # a message of one client has no empty slots
        if missing:
            values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
        return scatter(values, places, ctx.d)

    def n_places(self, d: int) -> int:
        """Return the number of places that a client sends: 0 if the key tells them."""
        return 0

    def layout(self, ctx: Context) -> Layout:
        """Return the sent places, and a float for every slot."""
        return Layout(ctx.d, symbols=self.n_places(ctx.d), scales=self.slots(ctx.d, ctx.n))

    def bits(self, d: int, n: int) -> float:
        """Return 32 bits for each kept coordinate."""
        return 32.0 * self.slots(d, n)

    def variance_with_signs(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return each client's exact error if IQ sends the kept coordinates c.

        It is $\mathbb E[m\|c\|^2]-\|a_i\|^2$: IQ decodes the m coordinates to absolute value |c|.

        Raises:
            ValueError: if no closed form is known.
        """
        raise ValueError(f"{self.name}: no closed form of the error is known with IQ")

    def mse_with_signs(self, X: Vectors) -> float:
        """Return the exact error of the mean if IQ sends the kept coordinates; raise as above."""
        if self.joint or not self.unbiased:
            raise ValueError(f"{self.name}: no closed form of the error is known with IQ")
        return float(np.sum(self.variance_with_signs(X))) / len(X) ** 2


def checked_count(k: int | None) -> int | None:
    """Return the option k, checked; None stands for a tenth of the coordinates."""
    return None if k is None else as_integer("k", k, 1, 2**32)


def count_of(k: int | None, d: int) -> int:
    """Return k, or if it is None a tenth of d, rounded up; raise if d is out of range for k."""
    if k is not None and k > d:
        raise ValueError(f"k = {k} coordinates cannot be kept of d = {d}")
    if k is not None and d > k * _MOST_OF_EACH:  # few bytes must not decode to gigabytes
        raise ValueError(f"k = {k} of d = {d} is less than one in {_MOST_OF_EACH} coordinates")
    if d > 2**32:
        raise ValueError(f"d must be at most 2^32, got {d}")
    return -(-d // 10) if k is None else k
