"""The improvement factor for n = d to infinity, enclosed between fractions: Appendix B.2."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple


class Enclosure(NamedTuple):
    """A number between two fractions."""

    low: Fraction
    high: Fraction

    @property
    def middle(self) -> Fraction:
        """The middle of the interval."""
        return (self.low + self.high) / 2


def polynomial(coefficients: Sequence[int], x: Fraction) -> Fraction:
    """Return the value of a polynomial, highest power first.

    >>> polynomial((1, 0, -2), Fraction(3, 2))
    Fraction(1, 4)
    """
    total = Fraction(0)
    for k in coefficients:
        total = total * x + k
    return total


def enclose_root(coefficients: Sequence[int], low: int, high: int, *, steps: int = 60) -> Enclosure:
    """Enclose a root of a polynomial by bisection.

    Args:
        coefficients: highest power first.
        low: a point where the polynomial is negative.
        high: a point where it is positive.
        steps: number of halvings of the interval.

    Raises:
        ValueError: if the signs at the ends are wrong.

    >>> root = enclose_root((1, 0, -2), 1, 2)
    >>> root.low**2 < 2 < root.high**2, float(root.high - root.low) < 1e-17
    (True, True)
    """
    a, b = Fraction(low), Fraction(high)
    if not polynomial(coefficients, a) < 0 < polynomial(coefficients, b):
        raise ValueError(f"the polynomial must be negative at {low} and positive at {high}")
    for _ in range(steps):
        middle = (a + b) / 2
        a, b = (middle, b) if polynomial(coefficients, middle) < 0 else (a, middle)
    return Enclosure(a, b)


def factor(u: Fraction, root_A: Fraction) -> Fraction:
    r"""Return $\frac{(1+u^2/32)(1+u\sqrt A)}{1+u^2}$, the factor at c = 1/32, $u^2=\frac{1-p}p$.

    >>> factor(Fraction(0), Fraction(1))
    Fraction(1, 1)
    """
    return (1 + u**2 / 32) * (1 + u * root_A) / (1 + u**2)


class LimitFactor(NamedTuple):
    """The least factor over p for a constant A that does not depend on d.

    Args:
        factor: bits over those of gradient descent.
        p: the minimising p.
        certain: the enclosure of the factor is narrower than 1e-12.
    """

    factor: float
    p: float
    certain: bool

    @property
    def over_cq(self) -> float:
        """The factor over CQ's limit, 1/32."""
        return 32 * self.factor


def limit_factor(root_A: Fraction) -> LimitFactor:
    r"""Return the limit for IQ with n = d, by the largest root of the derivative's numerator.

    $u^4-29u^2-\frac{62}{\sqrt A}u+32$, with $c=\frac1{32}$.

    Args:
        root_A: square root of A; 1/2 as read, 1 with the valid constant.

    Raises:
        ValueError: unless 62 / root_A is an integer and the largest root is between 5 and 9.

    Source: Appendix B.2.

    >>> round(limit_factor(Fraction(1, 2)).factor, 7)
    0.2277298
    """
    linear = Fraction(62) / root_A
    if linear.denominator != 1:
        raise ValueError(f"62 / root_A must be an integer, got {linear}")
    root = enclose_root((1, 0, -29, -int(linear), 32), 5, 9)
    width = abs(factor(root.low, root_A) - factor(root.high, root_A))
    least = factor(root.middle, root_A)
    return LimitFactor(float(least), float(1 / (1 + root.middle**2)), width < Fraction(1, 10**12))
