"""Standard dithering: equidistant levels (QSGD for the 2-norm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.dithering import DitheringByNorm
from cqlib.compressors.spacing import Linear
from cqlib.compressors.types import AB, Constants
from cqlib.kernels.reference.buffers import MOST_LEVELS
from cqlib.theory import dithering
from cqlib.theory.vectors import Vectors


@dataclass(frozen=True)
class StandardDithering(DitheringByNorm):
    r"""Standard dithering, Definition 2 of Panferov et al. 2025.

    Coordinate $x_j$ becomes $\|x\|_p\,\mathrm{sign}(x_j)\,\xi_j$, where $\xi_j$ is one of the two
    levels among $0,\frac1s,\dots,1$ next to $|x_j|/\|x\|_p$, without bias. Missing clients: as if
    only the others took part.

    Args:
        p: index of the norm, in [1, inf]; 2 is QSGD.
        s: number of levels above 0, in [1, 2^16].

    Source: Alistarh, Grubic, Li, Tomioka, Vojnovic, "QSGD", NeurIPS 2017.

    >>> StandardDithering(s=7).bits(d=100, n=1)  # 15 signed levels in four bits, and the norm
    432.0
    >>> StandardDithering(s=1).omega(d=100)  # sqrt(d) - 1
    9.0
    """

    name: ClassVar[str] = "standard_dithering"
    most_levels: ClassVar[int] = MOST_LEVELS

    @property
    def spacing(self) -> Linear:
        return Linear(self.s)

    def omega(self, d: int, n: int | None = None) -> float:
        """Return the bound of :func:`cqlib.theory.standard_dithering_omega`."""
        return dithering.standard_dithering_omega(d, self.p, self.s)

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A = omega / n and B = 0.

        Paper: $A=\frac1n\min(d/s^2,\sqrt d/s)$ for p = 2 (Table 2, as QSGD bounds it): valid, and
        looser.
        """
        if kind == "paper" and self.p == 2:
            return AB(min(d / self.s**2, d**0.5 / self.s) / n, 0.0, homogeneous_only=False)
        return super().ab_constants(n, d, kind)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error, from each coordinate's position between its levels."""
        return dithering.standard_dithering_variance(X, self.p, self.s)
