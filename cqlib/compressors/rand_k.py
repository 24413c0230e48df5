"""RandK: k random coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.sparsifier import Sparsifier, checked_count, count_of
from cqlib.compressors.steps import Kept
from cqlib.compressors.types import Array, Context, Facts
from cqlib.kernels import dispatch
from cqlib.kernels.derived.subsets import random_subset
from cqlib.keys import Stream
from cqlib.theory.vectors import Vectors, squared_norms


@dataclass(frozen=True)
class RandK(Sparsifier):
    r"""Keep k coordinates, drawn by each client on its own, multiplied by d / k.

    Missing clients: as if only the others took part.

    Args:
        k: number of kept coordinates, in [1, d]; None for a tenth of d, $\lceil d/10\rceil$.

    Source: baseline of Section 1; the definition is standard.

    >>> RandK(k=5).omega(d=20)
    3.0
    >>> RandK().bits(d=100, n=4)  # ten floats; the places follow from the key
    320.0
    """

    name: ClassVar[str] = "rand_k"
    facts = Facts(unbiased=True)
    k: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", checked_count(self.k))

    def slots(self, d: int, n: int) -> int:
        """Return k."""
        return count_of(self.k, d)

    def keep(self, x: Array, ctx: Context) -> Kept:
        """Draw the places; their weight is d / k."""
        places = self.kept(x, ctx)
        weight = ctx.d / count_of(self.k, ctx.d)
        return Kept(places, np.full((len(ctx.clients), 1), weight))

    def kept(self, symbols: Array, ctx: Context) -> NDArray[np.int64]:
        """Draw k places from the client's own stream."""
        key = dispatch.host().private_keys(ctx.key, Stream.SUBSET, ctx.clients)
        return random_subset(key, ctx.d, count_of(self.k, ctx.d))

    def omega(self, d: int, n: int | None = None) -> float:
        """Return d / k - 1, an equality for every x."""
        return d / count_of(self.k, d) - 1

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return (d / k - 1) |a_i|^2."""
        return self.omega(X.shape[1]) * squared_norms(X)

    def variance_with_signs(self, X: Vectors) -> NDArray[np.float64]:
        """Return (d - 1) |a_i|^2, from k E|c|^2 - |a_i|^2 with E|c|^2 = d / k |a_i|^2."""
        n, d = X.shape
        return ((1 + self.omega(d)) * self.slots(d, n) - 1) * squared_norms(X)
