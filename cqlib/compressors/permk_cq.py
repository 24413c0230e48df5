"""PermK+CQ: the coordinates are divided among blocks of clients; a block runs CQ on its part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import as_integer, check_finite, check_scales, one_of
from cqlib.compressors.cq import RANKS
from cqlib.compressors.onebit import OneBit, OneBitKernels, ends_of_range
from cqlib.compressors.parts import Fused
from cqlib.compressors.steps import (
    Kept,
    gather,
    on_the_grid,
    ranks_of,
    rounding_words,
    scatter,
    share_of,
    share_sizes,
    without_symbols_of_zero,
)
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Layout, Symbols
from cqlib.compressors.wire import as_array
from cqlib.kernels import dispatch
from cqlib.kernels.api.shares import Shares
from cqlib.kernels.derived.streams import shared_of_each
from cqlib.kernels.derived.subsets import random_permutation
from cqlib.kernels.reference import rounding
from cqlib.keys import Key, Stream, runs_of_keys
from cqlib.theory import mse, sparsification
from cqlib.theory.vectors import Vectors, squared_norms


@dataclass(frozen=True)
class PermKCQ(OneBit):
    r"""Permutation sparsification with correlated quantization, Algorithm 3.

    The clients are cut at random into b blocks of n / b, the coordinates into b blocks whose sizes
    $d_k$ differ by at most one. A client keeps the coordinates of its block, multiplied by b. The
    clients of a block run CQ among themselves; the range is the norm of the kept coordinates.
    b = 1 is CQ, bit for bit; b = n is PermK followed by one-bit rounding. Missing clients: the mean
    of those received is unbiased; it is zero at the coordinates of a block without any client.

    Args:
        b: number of blocks, a divisor of n: with blocks of unequal numbers of clients the
            factor b would be biased.
        ranks: as for CQ, within a block.

    >>> PermKCQ(b=4).bits(d=64, n=8)  # d / b + 32
    48.0
    >>> PermKCQ(b=2).ab(n=3, d=3)
    Traceback (most recent call last):
    ValueError: b = 2 blocks must divide n = 3 clients: otherwise scaling by b is biased
    """

    name: ClassVar[str] = "permk_cq"
    b: int = 1
    ranks: Literal["shift", "permutation"] = "shift"

    def __post_init__(self) -> None:
        object.__setattr__(self, "b", as_integer("b", self.b, 1, 2**32))
        object.__setattr__(self, "ranks", one_of("ranks", self.ranks, RANKS))

    @property
    def facts(self) -> Facts:
        return Facts(unbiased=True, joint=True, may_be_silent=self.b > 1)

    @property
    def fused(self) -> Fused | None:
        return None if self.ranks == "permutation" else Fused(simulate_each=self._simulate_each)

    def _simulate_each(self, X: Tensor, ctx: Context, keys: Sequence[Key]) -> Tensor:
        """Return the means of a batch; blocks, coordinates and CQ in one pass."""
        self._check(ctx.n)
        if self.b == 1:
            return OneBitKernels(correlated=True, norm=2.0).simulate_each(X, ctx, keys)
        rows = as_array(X)
        check_finite(rows, ctx.clients)
        runs, ends = runs_of_keys(keys)
        turns = [dispatch.host().permuted_clients(key, ctx.clients, ctx.n) for key in runs]
        block, member = np.divmod(np.stack(turns), ctx.n // self.b)
        order = random_permutation(shared_of_each(runs, Stream.COLUMNS), ctx.d)
        shares = Shares(block, member, order, self.b)
        means, R = dispatch.host().simulate_shares(rows, shares, keys=runs, ends=ends)
        check_scales(R[..., None], ctx.clients)
        return torch.from_numpy(means).to(X.device)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Keep a block, multiply by b, and round as CQ among the clients of the block."""
        block, member = self._seats(ctx)
        places = self._places(ctx, block)
        kept = gather(x, Kept(places, np.full((len(ctx.clients), 1), float(self.b))))
        g, scales = on_the_grid(kept, ctx)
        width = places.shape[-1]
        ranks = ranks_of(self.ranks, ctx.key, width, member, ctx.n // self.b)
        up = rounding.round_correlated(g, rounding_words(ctx, width), ranks, ctx.n // self.b)
        return Symbols(without_symbols_of_zero(up, scales), scales)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return plus or minus the range at the block's coordinates, zeros elsewhere."""
        values = ends_of_range(symbols)
        places = self._places(ctx, self._seats(ctx)[0])
        return scatter(values, places[..., : values.shape[-1]], ctx.d)

    def layout(self, ctx: Context) -> Layout:
        """Return a bit per coordinate of the block, and the range; nothing for an empty block."""
        size = share_sizes(self._seats(ctx)[0], ctx.d, self.b)
        return Layout(alphabet=2, symbols=size, scales=(size > 0).astype(np.int64))

    def bits(self, d: int, n: int) -> float:
        """Return d / b + 32 (Corollary 3); less if b > d, where some clients are silent."""
        self._check(n)
        return d / self.b + 32.0 * min(1.0, d / self.b)

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return $\frac bd\sum_kd_k^2-1$, which is d - 1 if b divides d."""
        if n is not None:
            self._check(n)
        return sparsification.permk_cq_rounding(d, self.b) + self.b - 1

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A and B.

        Valid: $A=\frac1n(\frac bd\sum_kd_k^2-b)+\frac{b-1}{n-1}$, $B=\frac{b-1}{n-1}$ for all
        inputs. Homogeneous: also $A=\frac{b^2}{dn^2}\sum_kd_k^2$, $B=0$, which is
        $\frac{bd}{n^2}$ where b divides d. Paper: $\frac{bd}{4n^2}$, homogeneous (Corollary 3).
        """
        self._check(n)
        if kind == "paper":
            return AB(self.b * d / (4 * n**2), 0.0, homogeneous_only=True)
        rounding = sparsification.permk_cq_rounding(d, self.b)
        if kind == "homogeneous":
            correlated = self.b * (rounding + self.b) / n**2
            return AB(min(correlated, rounding / n), 0.0, homogeneous_only=True)
        return AB(*sparsification.permk_cq_constants(n, d, self.b), homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return omega |a_i|^2, an equality for every vector."""
        return self.omega(X.shape[1]) * squared_norms(X)

    def mse(self, X: Vectors) -> float:
        """Return the error of CQ for b = 1, of PermK with IQ for b = n: CQ of one client is IQ."""
        self._check(len(X))
        if self.b == 1:
            return mse.cq_mse(X)
        if self.b == len(X):
            return sparsification.permk_iq_mse(X, self.b)
        return super().mse(X)

    def _seats(self, ctx: Context) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the clients' blocks and their numbers within the block, both of shape (c,)."""
        self._check(ctx.n)
        if self.b == 1:
            return np.zeros(len(ctx.clients), dtype=np.int64), ctx.clients
        row = dispatch.host().permuted_clients(ctx.key, ctx.clients, ctx.n)
        return np.divmod(row, ctx.n // self.b)

    def _places(self, ctx: Context, block: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the coordinates of each client's block, shape (c, ceil(d / b)); d if empty."""
        if self.b == 1:
            return np.broadcast_to(np.arange(ctx.d), (len(block), ctx.d))
        order = random_permutation(ctx.key.shared(Stream.COLUMNS), ctx.d)
        return share_of(order, block, self.b)

    def _check(self, n: int) -> None:
        if n % self.b:
            raise ValueError(
                f"b = {self.b} blocks must divide n = {n} clients: otherwise scaling by b is biased"
            )
