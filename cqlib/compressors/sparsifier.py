"""What sparsifiers share: a client sends some of its coordinates, scaled, and zeros are free.

Where the coordinates are drawn from the key, only their values are sent; the server draws the same.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import Compressor
from cqlib.compressors.checks import as_integer
from cqlib.compressors.types import Array, Context, Sizes, Symbols

_MOST_OF_EACH = 2**20


class Kept(NamedTuple):
    """Which coordinates the clients keep, and what they are multiplied by."""

    places: NDArray[np.int64]  # shape (..., c, slots); d stands for an empty slot
    weight: NDArray[np.float64]  # shape (c, 1)


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
        codes = np.broadcast_to(self.sent(chosen.places), (*x.shape[:-1], self.n_codes(ctx.d)))
        return Symbols(codes, values.astype(np.float32))

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Put the floats in their places, zeros elsewhere."""
        places = self.kept(symbols.codes, ctx)
        values = symbols.scales
        missing = places.shape[-1] - values.shape[-1]  # empty slots of a client alone
        if missing:
            values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
        return scatter(values, places, ctx.d)

    def n_codes(self, d: int) -> int:
        """Return 0: the key tells the places."""
        return 0

    def sizes(self, ctx: Context) -> Sizes:
        """Return that each client sends a float for every slot."""
        c = len(ctx.clients)
        return Sizes(np.full(c, self.n_codes(ctx.d)), np.full(c, self.slots(ctx.d, ctx.n)))

    def bits(self, d: int, n: int) -> float:
        """Return 32 bits for each kept coordinate."""
        return 32.0 * self.slots(d, n)


def gather(x: Array, chosen: Kept) -> NDArray[np.float64]:
    """Return the kept coordinates, scaled, shape (..., c, slots); 0 in empty slots."""
    d = x.shape[-1]
    places = np.broadcast_to(chosen.places, (*x.shape[:-1], chosen.places.shape[-1]))
    values = np.take_along_axis(x, np.minimum(places, d - 1), axis=-1).astype(np.float64)
    return np.where(places < d, values * chosen.weight, 0.0)


def scatter(values: NDArray[np.float32], places: NDArray[np.int64], d: int) -> NDArray[np.float32]:
    """Return vectors of shape (..., c, d) with the values in their places."""
    out = np.zeros((*values.shape[:-1], d + 1), dtype=np.float32)
    np.put_along_axis(out, np.broadcast_to(places, values.shape), values, axis=-1)
    return out[..., :d] + np.float32(0.0)


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
