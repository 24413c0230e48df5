"""Global-QSGD: all clients dither with one norm, so that their messages add up on their way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import as_integer, check_scales, check_tensor, one_of
from cqlib.compressors.dithering import Dithering, as_norm_index
from cqlib.compressors.onebit import finite_norms
from cqlib.compressors.types import AB, Array, Constants, Context, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.derived import reduction
from cqlib.kernels.reference import packing, rounding
from cqlib.kernels.reference.norms import round_up
from cqlib.keys import Key
from cqlib.theory import dithering
from cqlib.theory import global_qsgd as theory
from cqlib.theory.vectors import Vectors

_MOST_LEVELS = {"linear": 2**16, "exponential": 127}
_NOT_ZERO = "the norm is zero but the codes are not"
_SUMS = {"linear": ("sum",), "exponential": ("tree", "sum", "fold")}


@dataclass(frozen=True)
class GlobalQSGD(Dithering):
    r"""Global-QSGD: dithering with the norm $\|\mathbf x\|$ of all clients' coordinates together.

    Coordinate $x_{ij}$ becomes $\mathrm{sign}(x_{ij})\,\xi_{ij}$, one of the two levels next to
    $|x_{ij}|/\|\mathbf x\|$, without bias. The clients learn the norm before, by one float each:
    :meth:`stat`, :meth:`merge_stats`, and then ``shared``. Missing clients: the mean of those
    received is unbiased for theirs.

    Args:
        levels: "linear" for multiples of $\frac1s$, whose integers add up exactly; "exponential"
            for powers of two, $1,\frac12,\dots,2^{1-s}$.
        s: number of levels above 0; at most 2^16 linear or 127 exponential ones.
        norm: index of the norm, in [1, inf]; inf is the authors' choice.
        reduction: how messages are added up: "sum" is exact; "tree" rounds the sum of two to a
            power of two, in pairs (the default of exponential levels); "fold" does so one client
            after the other, as a ring does, which loses more.

    Source: Xin, Canini, Richtarik, Horvath, "Global-QSGD", 2023, Algorithm 1.

    >>> c = GlobalQSGD(s=31)
    >>> c.bits(d=100, n=4)  # 63 signed levels in six bits, and the norm
    632.0
    >>> c.merge_stats([c.stat(torch.tensor([3.0, 0.0])), c.stat(torch.tensor([1.0, -4.0]))])
    4.0
    """

    name: ClassVar[str] = "global_qsgd"
    levels: Literal["linear", "exponential"] = "linear"
    s: int = 7
    norm: float = math.inf
    reduction: Literal["default", "sum", "tree", "fold"] = "default"

    def __post_init__(self) -> None:
        # Equal options are the same on the wire.
        object.__setattr__(self, "levels", one_of("levels", self.levels, _SUMS))
        most = _MOST_LEVELS[self.levels]
        object.__setattr__(self, "s", as_integer("s", self.s, 1, most))
        object.__setattr__(self, "norm", as_norm_index(self.norm, "norm"))
        known = _SUMS[self.levels]
        chosen = one_of("reduction", self.reduction, ("default", *known))
        object.__setattr__(self, "reduction", known[0] if chosen == "default" else chosen)

    @property
    def joint(self) -> bool:
        return True

    @property
    def norm_index(self) -> float:
        return self.norm

    @property
    def n_levels(self) -> int:
        return self.s

    @property
    def linear(self) -> bool:
        return self.levels == "linear"

    def round_levels(self, y: Array, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Round to a neighbouring multiple of 1 / s or power of two."""
        if self.linear:
            return rounding.round_linear(y, words, self.s)
        return rounding.round_exponential(y, words, 1 - self.s)

    def level_values(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return l / s or 2^(l - s)."""
        if self.linear:
            return np.asarray(levels / self.s)
        return np.where(levels > 0, np.ldexp(1.0, levels - self.s), 0.0)

    @property
    def statistic_bits(self) -> int:
        return 32

    @property
    def adds_messages(self) -> bool:
        return True

    @property
    def can_be_cut(self) -> bool:
        return self.reduction == "sum"

    def stat(self, x: Tensor) -> float:
        """Return the norm of a client's vector, rounded up to a float32."""
        check_tensor(x, ndim=(1,), what="x must have shape (d,)")
        kernels = dispatch.kernels_for(x)
        ctx = Context(len(x), np.zeros(1, dtype=np.int64), 1, Key(0))
        return float(finite_norms(x.detach()[None], ctx, self.norm, kernels)[0])

    def merge_stats(self, stats: Sequence[float]) -> float:
        r"""Return the norm of all clients' coordinates, $(\sum_i\|x_i\|_q^q)^{1/q}$, rounded up.

        Raises:
            ValueError: if there are none, one is no norm, or the result exceeds a float32.
        """
        norms = np.asarray(stats, dtype=np.float64)
        if norms.ndim != 1 or not norms.size or not (np.isfinite(norms) & (norms >= 0)).all():
            raise ValueError(f"expected the norms of one or more clients, got {stats!r}")
        merged = float(_merged(norms[:, None], self.norm)[0])
        if not math.isfinite(merged):
            raise ValueError("the norm of all clients exceeds the largest float32")
        return merged

    def joint_stat(self, rows: Array, clients: Array) -> NDArray[np.float32]:
        norms = dispatch.host().norm_scale(rows, self.norm)
        check_scales(norms[..., None], clients)
        merged = _merged(np.moveaxis(norms.astype(np.float64), -1, 0), self.norm)
        check_scales(merged[..., None, None], clients)
        return merged

    def divisors(self, norms: Array, ctx: Context) -> Array:
        """Return the norm of all clients' coordinates, once it is seen to cover these."""
        _check_covered(norms, ctx)
        return np.broadcast_to(_norm(ctx)[..., 0], norms.shape)

    def factors(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the norm of all clients' coordinates."""
        R = _norm(ctx)
        if (symbols.codes * (R == 0)).any():
            raise ValueError(_NOT_ZERO)
        return R

    def factor(self, message: Message, ctx: Context) -> float:
        """Return the same for one message."""
        R = _one_norm(ctx)
        if R == 0 and bool(message.codes.any()):
            raise ValueError(_NOT_ZERO)
        return R

    def joint_mean(self, X: Tensor, ctx: Context) -> Tensor:
        """Add up what the clients send, and decode the sum."""
        symbols = self.quantize(X.cpu().numpy(), ctx)
        levels = packing.levels_of(symbols.codes)
        mean = self._mean_of_levels(levels, _norm(ctx)[..., 0], ctx.key, ctx.n)
        return torch.from_numpy(mean).to(X.device)

    def read_mean(
        self,
        received: Sequence[tuple[Message, Context]],
        d: int,
        n: int,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Add up what was received, and decode the sum."""
        levels = [self.read_levels(message, d) for message, _ in received]
        ctx = received[0][1]
        if _one_norm(ctx) == 0 and any(level.any() for level in levels):
            raise ValueError(_NOT_ZERO)
        mean = self._mean_of_levels(np.stack(levels), _norm(ctx)[..., 0], ctx.key, n)
        return torch.from_numpy(mean).to(received[0][0].codes.device, dtype)

    def read_levels(self, message: Message, d: int) -> NDArray[np.int32]:
        """Return the signed levels of a message or a part of one, which add up."""
        codes = message.codes.cpu().numpy()
        return np.asarray(dispatch.host().unpack_levels(codes, d=d, levels=self.s))

    def decode_sum(self, total: Array, norm: Array | float, n: int) -> NDArray[np.float64]:
        """Return the mean over n clients that a sum of signed levels stands for.

        Linear levels: the integers' sum; exponential ones: a sum by ``kernels.reduction``.
        """
        if self.linear:
            values = total / self.s
        else:
            top = int(np.abs(total).max(initial=0))
            powers = np.arange(-top, top + 1)
            values = np.sign(powers) * self.level_values(np.abs(powers))
            if np.size(norm) == 1:  # scale the few different sums, not all of them
                return np.asarray((values * np.float64(np.max(norm)) / n)[total + top])
            values = values[total + top]
        return np.asarray(values * np.asarray(norm, dtype=np.float64) / n)

    def n_scales(self, d: int) -> int:
        """Return 0: the norm went ahead."""
        return 0

    def omega(self, d: int, n: int | None = None) -> float:
        """Return dithering's omega for a single client.

        Raises:
            ValueError: for more: the others' norm decides about the error.
        """
        if n != 1:
            raise ValueError(
                "global_qsgd has no omega: a client's error depends on the norm of all; see ab"
            )
        return self.ab_constants(1, d, "valid").A

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A = theta, the class $\mathbb U(\theta)$, and B = 0."""
        return AB(theory.global_qsgd_theta(n, d, **self._options()), 0.0, homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error of what each client sends, with the norm of all."""
        exact = (
            dithering.standard_dithering_variance
            if self.linear
            else dithering.natural_dithering_variance
        )
        return np.asarray(exact(X, self.norm, self.s, joint=True))

    def mse(self, X: Vectors) -> float:
        """Return the exact error of the mean, roundings of sums included."""
        return theory.global_qsgd_mse(X, **self._options())

    def _options(self) -> dict[str, Any]:
        names = ("levels", "s", "norm", "reduction")
        return {name: getattr(self, name) for name in names}

    def _mean_of_levels(self, levels: Array, norm: Array, key: Key, n: int) -> NDArray[np.float64]:
        if self.linear:
            return self.decode_sum(levels.sum(axis=-2, dtype=np.int64), norm, n)
        if self.reduction == "sum":
            values = np.sign(levels) * self.level_values(np.abs(levels))
            return np.asarray(values.sum(axis=-2) * norm.astype(np.float64) / n)
        add = reduction.tree_sum if self.reduction == "tree" else reduction.fold_sum
        return self.decode_sum(add(levels.astype(np.int16), key), norm, n)


def _norm(ctx: Context) -> NDArray[np.float32]:
    """The norm of all clients, of shape (..., 1, 1)."""
    assert ctx.shared is not None
    return ctx.shared[..., None, None]


def _one_norm(ctx: Context) -> float:
    """The norm where one client is at hand, outside any batch."""
    return float(_norm(ctx)[0, 0])


def _merged(norms: NDArray[np.float64], q: float) -> NDArray[np.float32]:
    """Norm of norms over the first axis."""
    if q == math.inf:
        return np.asarray(norms.max(axis=0), dtype=np.float32)
    unit = norms.max(axis=0)
    shares = norms / np.where(unit > 0, unit, 1.0)
    with np.errstate(over="ignore"):
        return round_up(unit * np.sum(shares**q, axis=0) ** (1 / q))


def _check_covered(norms: Array, ctx: Context) -> None:
    """Refuse vectors that the norm of all clients does not cover."""
    shared = ctx.shared
    assert shared is not None
    beyond = norms > shared[..., None]
    if beyond.any():
        place = tuple(np.argwhere(beyond)[0])
        raise ValueError(
            f"client {ctx.clients[place[-1]]}: norm {norms[place]:.6g} exceeds the norm of all "
            f"clients, shared = {float(np.broadcast_to(shared[..., None], norms.shape)[place]):.6g}"
        )
