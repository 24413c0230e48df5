"""PermK: the coordinates are divided among the clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import check_finite, check_scales
from cqlib.compressors.parts import Fused
from cqlib.compressors.sparsifier import Sparsifier
from cqlib.compressors.steps import Kept, share_of, share_sizes
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Layout
from cqlib.compressors.wire import as_array
from cqlib.kernels import dispatch
from cqlib.kernels.derived.streams import shared_of_each
from cqlib.kernels.derived.subsets import random_permutation
from cqlib.keys import Key, Stream, runs_of_keys
from cqlib.theory import sparsification
from cqlib.theory.vectors import Vectors, squared_norms


@dataclass(frozen=True)
class PermK(Sparsifier):
    r"""Permutation sparsification: a shared random permutation decides who sends what.

    For n <= d the permuted coordinates are cut into n blocks whose sizes differ by at most one;
    each client is given a block at random and sends it, multiplied by n. For n > d the clients are
    dealt out to the coordinates as evenly as possible, and each sends its coordinate times n / m,
    where m clients share that coordinate. $A=B$, with equality for all inputs: equal vectors are
    averaged without error. Missing clients: the mean of those received is unbiased, but it is zero
    at the coordinates of the missing clients; so equal vectors are averaged with an error.

    Source: Szlendak, Tyurin, Richtárik, "Permutation compressors for provably faster distributed
    nonconvex optimization", ICLR 2022, Definitions 2 and 3, extended here to every n and d.

    >>> PermK().ab(n=4, d=10)
    AB(A=1.0, B=1.0, homogeneous_only=False)
    >>> PermK().bits(d=10, n=4)
    80.0
    """

    name: ClassVar[str] = "perm_k"
    facts = Facts(unbiased=True, joint=True)

    @property
    def fused(self) -> Fused:
        return Fused(simulate_each=self._simulate_each)

    def _simulate_each(self, X: Tensor, ctx: Context, keys: Sequence[Key]) -> Tensor:
        """Return the means of a batch, from the coordinates that are sent."""
        rows, n, d = as_array(X), ctx.n, ctx.d
        runs, ends = runs_of_keys(keys)
        if n > d:  # several clients send a coordinate
            parts = zip(runs, torch.tensor_split(X, ends[:-1]), strict=True)
            return torch.cat([self.mean(part, key=key) for key, part in parts])
        check_finite(rows, ctx.clients)
        turns = [dispatch.host().permuted_clients(key, ctx.clients, n) for key in runs]
        sender = np.argsort(np.stack(turns), axis=1)  # of each block, shape (runs, n)
        blocks = np.repeat(np.arange(n), share_sizes(np.arange(n), d, n))
        order = random_permutation(shared_of_each(runs, Stream.COLUMNS), d)
        who = np.empty_like(order)
        np.put_along_axis(who, order, sender[:, blocks], axis=1)
        members = np.repeat(np.arange(len(runs)), np.diff([0, *ends]))
        senders = who[members][:, None]
        values = np.take_along_axis(rows, senders, axis=1).astype(np.float64)
        with np.errstate(over="ignore"):
            sent = (values * n).astype(np.float32)
        if not np.isfinite(sent).all():
            own = np.where(senders == ctx.clients[:, None], sent, 0)
            check_scales(own, ctx.clients, f"a scale of {self.name}")
        return torch.from_numpy((sent[:, 0].astype(np.float64) + 0.0) / n).to(X.device)

    def slots(self, d: int, n: int) -> int:
        """Return ceil(d / n)."""
        return -(-d // n)

    def keep(self, x: Array, ctx: Context) -> Kept:
        """Draw the places; a coordinate that m clients send is multiplied by n / m."""
        sharing = np.ones(len(ctx.clients), dtype=np.int64)
        if ctx.n > ctx.d:
            q, more = divmod(ctx.n, ctx.d)
            sharing = q + (self._turn(ctx) % ctx.d < more)
        return Kept(self.kept(x, ctx), (ctx.n / sharing)[:, None])

    def kept(self, symbols: Array, ctx: Context) -> NDArray[np.int64]:
        """Return each client's share of the permuted coordinates."""
        order = random_permutation(ctx.key.shared(Stream.COLUMNS), ctx.d)
        turn = self._turn(ctx)
        if ctx.n > ctx.d:
            return order[turn % ctx.d][:, None]
        return share_of(order, turn, ctx.n)

    def layout(self, ctx: Context) -> Layout:
        """Return a float for each coordinate of the client's block."""
        scales = share_sizes(self._turn(ctx), ctx.d, ctx.n) if ctx.n <= ctx.d else 1
        return Layout(ctx.d, symbols=0, scales=scales)

    def bits(self, d: int, n: int) -> float:
        """Return 32 d / n on average, 32 for n > d."""
        return 32.0 * max(d / n, 1.0)

    def omega(self, d: int, n: int | None = None) -> float:
        """Return n - 1 for n <= d, d - 1 for n a multiple of d; the largest over n if n is None."""
        return sparsification.perm_k_omega(d, n)

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        """Return A = B = omega / (n - 1): 1 for n <= d, (d - 1) / (n - 1) for n a multiple of d."""
        A = self.omega(d, n) / (n - 1) if n > 1 else 0.0
        return AB(A, A, homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return omega |a_i|^2."""
        return self.omega(X.shape[1], len(X)) * squared_norms(X)

    def variance_with_signs(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return $(\frac nd\sum_kd_k^2-1)\|a_i\|^2$ for n <= d, with block sizes $d_k$."""
        n, d = X.shape
        if n > d:  # a client keeps one coordinate, which IQ sends without error
            return self.variance(X)
        return (sparsification.permk_cq_rounding(d, n) + n - 1) * squared_norms(X)

    def mse_with_signs(self, X: Vectors) -> float:
        """Return the exact error of the mean if the blocks are sent by IQ."""
        n, d = X.shape
        return sparsification.permk_iq_mse(X, n) if n <= d else self.mse(X)

    def mse(self, X: Vectors) -> float:
        """Return A times the variance of the vectors among the clients."""
        return sparsification.perm_k_mse(X)

    def _turn(self, ctx: Context) -> NDArray[np.int64]:
        """Return the clients' positions in a random order of all clients, shape (c,)."""
        return dispatch.host().permuted_clients(ctx.key, ctx.clients, ctx.n)
