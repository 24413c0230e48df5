"""TernGrad: every coordinate becomes -R, 0 or R."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.dithering import Dithering
from cqlib.compressors.spacing import Linear
from cqlib.theory import dithering
from cqlib.theory.vectors import Vectors


@dataclass(frozen=True)
class TernGrad(Dithering):
    r"""Standard dithering with the largest absolute value as the norm, and one level.

    Coordinate $x_j$ becomes $R\,\mathrm{sign}(x_j)$ with probability $|x_j|/R$, else 0,
    $R=\|x\|_\infty$. On the wire five coordinates share a byte. Missing clients: as if only the
    others took part.

    Source: Wen et al., "TernGrad", NeurIPS 2017; Definition 2 with p = infinity, s = 1.

    >>> TernGrad().omega(d=81)  # (sqrt(d) - 1) / 2
    4.0
    >>> round(TernGrad().bits(d=100, n=1), 1)  # 32 + d log2 3
    190.5
    """

    name: ClassVar[str] = "terngrad"

    @property
    def norm_index(self) -> float:
        return math.inf

    @property
    def spacing(self) -> Linear:
        return Linear(1)

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return $\frac12(\sqrt d-1)$, which some vector attains."""
        return dithering.standard_dithering_omega(d, math.inf, 1)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return $\|a_i\|_\infty\|a_i\|_1-\|a_i\|_2^2$."""
        return dithering.standard_dithering_variance(X, math.inf, 1)
