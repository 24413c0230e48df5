"""TopK: the k coordinates of largest absolute value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.coders import Integers
from cqlib.compressors.sparsifier import Sparsifier, checked_count, count_of
from cqlib.compressors.steps import Kept
from cqlib.compressors.types import Array, Context, Facts
from cqlib.theory.vectors import Vectors, rows_and_unit


@dataclass(frozen=True)
class TopK(Sparsifier):
    r"""Keep the k coordinates of largest absolute value, without scaling: biased, no randomness.

    The places depend on the vector and are sent in ascending order, at $\lceil\log_2d\rceil$ bits
    each. Ties go to the earlier coordinate. $\|C(x)-x\|^2\le(1-\frac kd)\|x\|^2$. Missing clients:
    as if only the others took part.

    Args:
        k: number of kept coordinates, in [1, d]; None for a tenth of d, $\lceil d/10\rceil$.

    >>> TopK(k=2).bits(d=1000, n=4)  # two floats and two places of ten bits
    84.0
    """

    name: ClassVar[str] = "top_k"
    facts = Facts(unbiased=False, deterministic=True)
    k: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", checked_count(self.k))

    def slots(self, d: int, n: int) -> int:
        """Return k."""
        return count_of(self.k, d)

    def keep(self, x: Array, ctx: Context) -> Kept:
        """Choose the coordinates of largest absolute value; ties go to the earlier one."""
        order = np.argsort(-np.abs(x), axis=-1, kind="stable")
        places = np.sort(order[..., : count_of(self.k, ctx.d)], axis=-1)
        return Kept(places, np.ones((len(ctx.clients), 1)))

    def sent(self, places: NDArray[np.int64]) -> Array:
        """Return the places themselves."""
        return places

    def kept(self, symbols: Array, ctx: Context) -> NDArray[np.int64]:
        """Return the places that were sent."""
        if (symbols >= ctx.d).any() or (np.diff(symbols, axis=-1) <= 0).any():
            raise ValueError(f"places must ascend and be below d = {ctx.d}")
        return symbols

    def n_places(self, d: int) -> int:
        """Return k."""
        return count_of(self.k, d)

    def coder(self, ctx: Context) -> Integers:
        """Return the coder of the places, at ceil(log2 d) bits each."""
        return Integers(self.n_places(ctx.d), ctx.d)

    def bits(self, d: int, n: int) -> float:
        """Return k floats and k places of ceil(log2 d) bits."""
        return count_of(self.k, d) * (32.0 + (d - 1).bit_length())

    def mse(self, X: Vectors) -> float:
        """Return the error of the mean, which is not random."""
        rows, unit = rows_and_unit(X)
        order = np.argsort(-np.abs(rows), axis=1, kind="stable")
        dropped = rows.copy()
        np.put_along_axis(dropped, order[:, : count_of(self.k, rows.shape[1])], 0.0, axis=1)
        return float(np.sum(dropped.mean(axis=0) ** 2)) * unit * unit
