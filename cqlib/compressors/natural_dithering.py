"""Natural dithering: levels that are powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.dithering import DitheringByNorm
from cqlib.compressors.spacing import Powers
from cqlib.compressors.types import AB, Constants
from cqlib.theory import dithering
from cqlib.theory.vectors import Vectors

MOST_LEVELS = 127  # the smallest level of 127 is 2^-126, the smallest normal float32


@dataclass(frozen=True)
class NaturalDithering(DitheringByNorm):
    r"""Natural dithering, Definition 3 of Panferov et al. 2025.

    Standard dithering with the levels $0,2^{1-s},\dots,\frac12,1$. Missing clients: as if only the
    others took part.

    Args:
        p: index of the norm, in [1, inf].
        s: number of levels above 0, in [1, 127].

    Source: Horváth, Ho, Horváth, Sahu, Canini, Richtárik, "Natural compression for distributed
    deep learning", MSML 2022.

    >>> NaturalDithering(s=7).bits(d=100, n=1)
    432.0
    >>> NaturalDithering(s=7).omega(d=64)  # 1/8 + 2/9 (8/64)^2
    0.1284722222222222
    """

    name: ClassVar[str] = "natural_dithering"
    most_levels: ClassVar[int] = MOST_LEVELS

    @property
    def spacing(self) -> Powers:
        return Powers(1 - self.s, self.s)

    def omega(self, d: int, n: int | None = None) -> float:
        """Return the bound of :func:`cqlib.theory.natural_dithering_omega`."""
        return dithering.natural_dithering_omega(d, self.p, self.s)

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A = omega / n and B = 0.

        Paper: $A=\frac1n\big(\frac18+t\min(1,t)\big)$, $t=\sqrt d\,2^{1-s}$, for p = 2 (Table 2, as
        natural compression's paper bounds it): valid, and looser.
        """
        if kind == "paper" and self.p == 2:
            t = d**0.5 * 2.0 ** (1 - self.s)
            return AB((0.125 + t * min(1.0, t)) / n, 0.0, homogeneous_only=False)
        return super().ab_constants(n, d, kind)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error, from each coordinate's position between its levels."""
        return dithering.natural_dithering_variance(X, self.p, self.s)
