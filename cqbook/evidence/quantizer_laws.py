r"""Laws of compressors of a single vector, in fractions: dithering, RandK, one-bit rounding.

The quantizers round |x_j| / R without bias to one of its two neighbouring levels, times a range R.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from cqbook.evidence import exact
from cqbook.evidence.exact import Law
from cqbook.evidence.laws import independent
from cqbook.evidence.vectors import Vector, squared_norm

# Levels of natural compression, for absolute values from 2^-12 to 2^11.
POWERS = [Fraction(0)] + [Fraction(2) ** e for e in range(-12, 12)]


def dithering_levels(name: str, s: int) -> Vector:
    r"""Return the levels of a dithering: $0,\frac1s,\dots,1$ or $0,2^{1-s},\dots,\frac12,1$.

    Args:
        name: "standard_dithering" or "natural_dithering".
        s: number of levels above 0.

    Source: Definitions 2 and 3.

    >>> dithering_levels("natural_dithering", 2)
    [Fraction(0, 1), Fraction(1, 2), Fraction(1, 1)]
    """
    if name == "standard_dithering":
        return [Fraction(k, s) for k in range(s + 1)]
    if name == "natural_dithering":
        return [Fraction(0)] + [Fraction(1, 2**k) for k in reversed(range(s))]
    raise ValueError(f"name must be standard_dithering or natural_dithering, got {name!r}")


def neighbours(y: Fraction, levels: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """Return the two levels next to y; twice the same if y is a level.

    >>> neighbours(Fraction(1, 3), dithering_levels("natural_dithering", 2))
    (Fraction(0, 1), Fraction(1, 2))
    """
    return max(v for v in levels if v <= y), min(v for v in levels if v >= y)


def rounding(y: Fraction, levels: Sequence[Fraction]) -> Law:
    r"""Return the law of the unbiased rounding of y to its neighbouring levels.

    The upper level u has the probability $\frac{y-\ell}{u-\ell}$.

    >>> rounding(Fraction(1, 8), dithering_levels("standard_dithering", 2))
    [(Fraction(3, 4), Fraction(0, 1)), (Fraction(1, 4), Fraction(1, 2))]
    """
    low, high = neighbours(y, levels)
    if low == high:
        return [(Fraction(1), low)]
    up = (y - low) / (high - low)
    return [(1 - up, low), (up, high)]


def q_norm(x: Sequence[Fraction], q: float) -> Fraction:
    r"""Return $\|x\|_q$ for q = 1, 2 or infinity.

    Raises:
        ValueError: if q is not one of these, or the 2-norm is irrational.

    >>> q_norm([Fraction(3), Fraction(-4)], 2), q_norm([Fraction(3), Fraction(-4)], math.inf)
    (Fraction(5, 1), Fraction(4, 1))
    """
    sizes = [abs(v) for v in x]
    if q == 2:
        return exact.norm(x)
    if q == 1:
        return sum(sizes, Fraction(0))
    if q == math.inf:
        return max(sizes)
    raise ValueError(f"q must be 1, 2 or infinity, got {q}")


def quantized(x: Sequence[Fraction], R: Fraction | int, levels: Sequence[Fraction]) -> Law:
    r"""Return the law of $R\,\mathrm{sign}(x_j)\xi_j$, where $\xi_j$ is the rounded $|x_j|/R$.

    Args:
        x: vector with entries up to R times the largest level.
        R: range, such as a norm.
        levels: ascending, from 0.

    >>> len(quantized([Fraction(3), Fraction(-4)], 5, dithering_levels("standard_dithering", 1)))
    4
    """
    signs = [-1 if v < 0 else 1 for v in x]
    return independent(
        [(chance, sign * R * level) for chance, level in rounding(abs(v) / R, levels)]
        for sign, v in zip(signs, x, strict=True)
    )


def quantization_variance(
    x: Sequence[Fraction], R: Fraction | int, levels: Sequence[Fraction]
) -> Fraction:
    r"""Return $R^2\sum_j(u_j-y_j)(y_j-\ell_j)$, the error of :func:`quantized`.

    >>> quantization_variance([Fraction(1)] * 4, 2, dithering_levels("standard_dithering", 1))
    Fraction(4, 1)
    """
    total = Fraction(0)
    for v in x:
        y = abs(v) / R
        low, high = neighbours(y, levels)
        total += (high - y) * (y - low)
    return R**2 * total


def error_share(x: Sequence[Fraction], R: Fraction | int, levels: Sequence[Fraction]) -> Fraction:
    r"""Return the error of :func:`quantized` over $\|x\|^2$.

    >>> error_share([Fraction(1)] * 16, 4, dithering_levels("standard_dithering", 1))
    Fraction(3, 1)
    """
    return quantization_variance(x, R, levels) / squared_norm(x)


def rand_k(x: Sequence[Fraction], K: int) -> Law:
    r"""Return the law of RandK: K of the d coordinates, multiplied by $\frac dK$.

    >>> rand_k([Fraction(1), Fraction(3)], 1)[1]
    (Fraction(1, 2), [Fraction(0, 1), Fraction(6, 1)])
    """
    d = len(x)
    kept = list(combinations(range(d), K))
    return [
        (Fraction(1, len(kept)), [x[j] * Fraction(d, K) * (j in S) for j in range(d)]) for S in kept
    ]


def one_bit(x: Sequence[Fraction]) -> Law:
    r"""Return the law of one-bit rounding: each coordinate to $\pm\|x\|$, without bias.

    Source: Definition 6.

    >>> one_bit([Fraction(1)])
    [(Fraction(1, 1), [Fraction(1, 1)])]
    """
    R = exact.norm(x)
    return independent(
        [(chance, R * (2 * bit - 1)) for chance, (bit,) in exact.iq_bits([(1 + v / R) / 2])]
        for v in x
    )
