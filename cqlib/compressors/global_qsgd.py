"""Global-QSGD: all clients dither with one norm, so that their messages can be added undecoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import as_integer, as_norm_index, one_of
from cqlib.compressors.dithering import Dithering
from cqlib.compressors.level_sums import ExactSums, FoldSums, IntegerSums, TreeSums
from cqlib.compressors.norm_of_all import NormOfAll, NormStatistic, norm_of
from cqlib.compressors.parts import Fused, Sums
from cqlib.compressors.spacing import Linear, Powers, Spacing
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Message
from cqlib.kernels import dispatch
from cqlib.theory import dithering
from cqlib.theory import global_qsgd as theory
from cqlib.theory.vectors import Vectors

_MOST_LEVELS = {"linear": 2**16, "exponential": 127}
_ADDED_UP: Mapping[tuple[str, str], Callable[[Spacing], Sums]] = {
    ("linear", "sum"): IntegerSums,
    ("exponential", "tree"): TreeSums,
    ("exponential", "fold"): FoldSums,
    ("exponential", "sum"): ExactSums,
}
_SUMS = {"linear": ("sum",), "exponential": ("tree", "sum", "fold")}


@dataclass(frozen=True)
class GlobalQSGD(Dithering):
    r"""Global-QSGD: dithering with the norm $\|\mathbf x\|$ of all clients' coordinates together.

    Coordinate $x_{ij}$ becomes $\mathrm{sign}(x_{ij})\,\xi_{ij}$, one of the two levels next to
    $|x_{ij}|/\|\mathbf x\|$, without bias. Before the round each client sends one float,
    ``before.of(x)``; ``before.merge`` of these is the norm, the argument ``shared``.
    Missing clients: the mean of those received is unbiased for the mean of their vectors.

    Args:
        levels: "linear" for multiples of $\frac1s$, which add up exactly; "exponential"
            for powers of two, $1,\frac12,\dots,2^{1-s}$.
        s: number of levels above 0; at most 2^16 linear or 127 exponential ones.
        norm: index of the norm, in [1, inf]; inf is the authors' choice.
        reduction: how messages are added: "sum" exactly; "tree" in pairs, rounding each sum to a
            power of two (the default of exponential levels); "fold" one client after the other,
            as a ring does, with the same rounding and a larger error.

    Source: Xin, Canini, Richtarik, Horvath, "Global-QSGD", 2023, Algorithm 1.

    >>> c = GlobalQSGD(s=31)
    >>> c.bits(d=100, n=4)  # 63 signed levels in six bits, and the norm
    632.0
    >>> import torch
    >>> c.statistic(torch.tensor([[3.0, 0.0], [1.0, -4.0]]))
    4.0
    """

    name: ClassVar[str] = "global_qsgd"
    levels: Literal["linear", "exponential"] = "linear"
    s: int = 7
    norm: float = math.inf
    reduction: Literal["default", "sum", "tree", "fold"] = "default"

    def __post_init__(self) -> None:
        # Equal options have the same text, so that payloads get the same tag.
        object.__setattr__(self, "levels", one_of("levels", self.levels, _SUMS))
        most = _MOST_LEVELS[self.levels]
        object.__setattr__(self, "s", as_integer("s", self.s, 1, most))
        object.__setattr__(self, "norm", as_norm_index(self.norm, "norm"))
        known = _SUMS[self.levels]
        chosen = one_of("reduction", self.reduction, ("default", *known))
        object.__setattr__(self, "reduction", known[0] if chosen == "default" else chosen)

    @property
    def facts(self) -> Facts:
        return Facts(unbiased=True, joint=True, can_be_cut=self.reduction == "sum")

    @property
    def norm_index(self) -> float:
        return self.norm

    @property
    def spacing(self) -> Spacing:
        return Linear(self.s) if self.levels == "linear" else Powers(1 - self.s, self.s)

    @property
    def whose(self) -> NormOfAll:
        return NormOfAll()

    @property
    def before(self) -> NormStatistic:
        return NormStatistic(self.norm)

    @property
    def fused(self) -> Fused:
        kernels = self.kernels
        return Fused(
            kernels.write,
            kernels.read,
            write_levels=self._write_levels if self.levels == "linear" else None,
            read_levels=self._read_levels,
        )

    @property
    def sums(self) -> Sums:
        return _ADDED_UP[self.levels, self.reduction](self.spacing)

    def _write_levels(self, x: Tensor, ctx: Context) -> Tensor:
        """Round to signed levels by one kernel."""
        kernels, client = dispatch.kernels_for(x), int(ctx.clients[0])
        return kernels.quantize_levels(x, norm_of(ctx), levels=self.s, key=ctx.key, client=client)

    def _read_levels(self, message: Message, ctx: Context) -> Array:
        """Unpack signed levels by one kernel."""
        codes = message.codes.cpu().numpy()
        return np.asarray(dispatch.host().unpack_levels(codes, d=ctx.d, levels=self.s))

    def omega(self, d: int, n: int | None = None) -> float:
        """Return the omega of dithering, for n = 1.

        Raises:
            ValueError: if n is not 1: a client's error depends on the other clients' norms.
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
        """Return the exact error of each client's decoded message, given the norm of all."""
        exact = (
            dithering.standard_dithering_variance
            if self.levels == "linear"
            else dithering.natural_dithering_variance
        )
        return np.asarray(exact(X, self.norm, self.s, joint=True))

    def mse(self, X: Vectors) -> float:
        """Return the exact error of the mean, including the rounding of sums."""
        return theory.global_qsgd_mse(X, **self._options())

    def _options(self) -> dict[str, Any]:
        names = ("levels", "s", "norm", "reduction")
        return {name: getattr(self, name) for name in names}
