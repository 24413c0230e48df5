"""Independent quantization (IQ): every client rounds on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.onebit import OneBit, OneBitKernels
from cqlib.compressors.parts import Fused
from cqlib.compressors.steps import on_the_grid, rounding_words, without_symbols_of_zero
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Symbols
from cqlib.kernels.reference import rounding
from cqlib.theory.vectors import Vectors, squared_norms


@dataclass(frozen=True)
class IQ(OneBit):
    r"""Independent quantization, Definition 6 of Panferov et al. 2025.

    Coordinate $a_j$ becomes $+\|a\|$ with probability $\frac12(1+a_j/\|a\|)$, else $-\|a\|$,
    independently over clients and coordinates. Missing clients: as if only the others took part.

    >>> IQ().ab(n=16, d=16)
    AB(A=0.9375, B=0.0, homogeneous_only=False)
    >>> IQ().ab(n=16, d=16, constants="paper")
    AB(A=0.25, B=0.0, homogeneous_only=False)
    """

    name: ClassVar[str] = "iq"
    facts = Facts(unbiased=True, can_be_cut=True)

    @property
    def fused(self) -> Fused:
        return OneBitKernels(correlated=False, norm=2.0).fused

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Round up if the client's random word lies below the coordinate (Definition 5)."""
        g, scales = on_the_grid(x, ctx)
        up = rounding.round_independent(g, rounding_words(ctx, ctx.d))
        return Symbols(without_symbols_of_zero(up, scales), scales)

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A and B = 0.

        Valid: $A=(d-1)/n$; the inequality is then an equality for all inputs.
        Paper: $A=d/(4n)$ (after Corollary 1), too small for the range $\pm\|a\|$.
        """
        A = d / (4 * n) if kind == "paper" else (d - 1) / n
        return AB(A, 0.0, homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return (d - 1) |a_i|^2."""
        return (X.shape[1] - 1) * squared_norms(X)
