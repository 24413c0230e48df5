r"""Constants $\omega$ of the ditherings with the 2-norm: sharpened and published ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cqlib import theory

Array = NDArray[np.float64]

NAMES = ("standard_dithering", "natural_dithering")
CLOSED_FORMS = {
    "standard_dithering": theory.standard_dithering_variance,
    "natural_dithering": theory.natural_dithering_variance,
}
OMEGAS = {
    "standard_dithering": theory.standard_dithering_omega,
    "natural_dithering": theory.natural_dithering_omega,
}


def sharp(name: str, d: int, s: int) -> float:
    r"""Return the sharpened constant for q = 2.

    Standard: $\frac{\sqrt d}s-1$ if $s=1$ or $s\le\frac12\sqrt d$, else $\frac d{4s^2}$.
    Natural, with $t=2^{1-s}\sqrt d$: $t-1$ if $t\ge\frac94$, else $\frac18+\frac29t^2$.

    >>> sharp("standard_dithering", 16, 1), sharp("natural_dithering", 100, 3)
    (3.0, 1.5)
    """
    root = float(np.sqrt(d))
    if name == "standard_dithering":
        return root / s - 1 if s == 1 or 2 * s <= root else d / (4 * s**2)
    t = root * 2.0 ** (1 - s)
    return t - 1 if t >= 9 / 4 else 1 / 8 + 2 / 9 * t**2


def published(name: str, d: int, s: int) -> float:
    r"""Return $\min\{\frac d{s^2},\frac{\sqrt d}s\}$ or $\frac18+t\min\{1,t\}$, $t=2^{1-s}\sqrt d$.

    Source: Alistarh et al. 2017; Horvath et al. 2022.

    >>> published("standard_dithering", 16, 1), published("natural_dithering", 16, 3)
    (4.0, 1.125)
    """
    root = float(np.sqrt(d))
    if name == "standard_dithering":
        return min(d / s**2, root / s)
    t = root * 2.0 ** (1 - s)
    return 1 / 8 + t * min(1, t)


def library_uses_sharp_ones() -> bool:
    """Return True if the library has these constants, for q = 2 and two levels or more.

    >>> library_uses_sharp_ones()
    True
    """
    return all(
        abs(OMEGAS[name](d, 2.0, s) - sharp(name, d, s)) < 1e-12
        for name in NAMES
        for d in (1, 2, 5, 16, 100)
        for s in range(2, 9)
    )


def share_of_sharp(name: str, d: int, s: int) -> Callable[[Array], Array]:
    """Return a function from vectors, shape (k, d), to their error over the sharpened bound.

    The share of a zero vector is 0. :func:`cqbook.evidence.attack` maximises this function.

    >>> share_of_sharp("standard_dithering", 4, 1)(np.ones((1, 4))).tolist()
    [1.0]
    """

    def ratio(x: Array) -> Array:
        size = np.sum(x**2, axis=1)
        error = CLOSED_FORMS[name](x, 2, s)
        bound = sharp(name, d, s) * size
        return np.divide(error, bound, out=np.zeros(len(x)), where=size > 1e-12)

    return ratio
