"""A statistic: the norm of all clients' coordinates together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import check_scales, check_tensor
from cqlib.compressors.dithering import OwnNorm
from cqlib.compressors.parts import Statistic
from cqlib.compressors.steps import finite_norms, norms
from cqlib.compressors.types import Array, Context, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.reference.norms import round_up
from cqlib.keys import Key

NOT_ZERO = "the norm is zero but the codes are not"


@dataclass(frozen=True)
class NormStatistic(Statistic):
    r"""The norm of all clients' coordinates, $(\sum_i\|x_i\|_q^q)^{1/q}$, rounded up to a float32.

    Args:
        q: index of the norm, in [1, inf].
    """

    q: float

    @property
    def largest(self) -> bool:
        return self.q == math.inf

    def of(self, x: Tensor) -> float:
        """Return the norm of a client's vector, rounded up to a float32."""
        check_tensor(x, ndim=(1,), what="x must have shape (d,)")
        kernels = dispatch.kernels_for(x)
        ctx = Context(len(x), np.zeros(1, dtype=np.int64), 1, Key(0))
        return float(finite_norms(x.detach()[None], ctx, self.q, kernels)[0])

    def merge(self, stats: Sequence[float]) -> float:
        """Return the norm of all clients from their own norms.

        Raises:
            ValueError: if the list is empty, an entry is not a norm, or the result exceeds float32.
        """
        given = np.asarray(stats, dtype=np.float64)
        if given.ndim != 1 or not given.size or not (np.isfinite(given) & (given >= 0)).all():
            raise ValueError(f"expected the norms of one or more clients, got {stats!r}")
        merged = float(self._merged(given[:, None])[0])
        if not math.isfinite(merged):
            raise ValueError("the norm of all clients exceeds the largest float32")
        return merged

    def joint(self, rows: Array, clients: Array) -> NDArray[np.float32]:
        found = norms(rows, self.q)
        check_scales(found[..., None], clients)
        merged = self._merged(np.moveaxis(found.astype(np.float64), -1, 0))
        check_scales(merged[..., None, None], clients)
        return merged

    def _merged(self, given: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the norm of all clients from their own norms, along the first axis."""
        if self.q == math.inf:
            return np.asarray(given.max(axis=0), dtype=np.float32)
        unit = given.max(axis=0)
        shares = given / np.where(unit > 0, unit, 1.0)
        with np.errstate(over="ignore"):
            return round_up(unit * np.sum(shares**self.q, axis=0) ** (1 / self.q))


class NormOfAll(OwnNorm):
    """All clients divide by the norm of all, which is not part of the messages."""

    scales = 0

    def norms_used(self, norms: Array, ctx: Context) -> Array:
        _check_covered(norms, ctx)
        return np.broadcast_to(_shared(ctx)[..., 0], norms.shape)

    def norms_read(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        R = _shared(ctx)
        if (symbols.values * (R == 0)).any():
            raise ValueError(NOT_ZERO)
        return R

    def norm_read(self, message: Message, ctx: Context) -> float:
        R = norm_of(ctx)
        if R == 0 and bool(message.codes.any()):
            raise ValueError(NOT_ZERO)
        return R


def norm_of(ctx: Context) -> float:
    """Return the norm of all clients as a float, for a context without batch axes."""
    return float(_shared(ctx)[0, 0])


def _shared(ctx: Context) -> NDArray[np.float32]:
    """Return the norm of all, shape (..., 1, 1)."""
    assert ctx.shared is not None
    return ctx.shared[..., None, None]


def _check_covered(norms: Array, ctx: Context) -> None:
    """Raise if a vector's norm exceeds the norm of all clients."""
    shared = ctx.shared
    assert shared is not None
    beyond = norms > shared[..., None]
    if beyond.any():
        place = tuple(np.argwhere(beyond)[0])
        raise ValueError(
            f"client {ctx.clients[place[-1]]}: norm {norms[place]:.6g} exceeds the norm of all "
            f"clients, shared = {float(np.broadcast_to(shared[..., None], norms.shape)[place]):.6g}"
        )
