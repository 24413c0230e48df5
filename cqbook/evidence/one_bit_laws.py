"""Algorithm 2 and independent rounding at one coordinate: checks in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from cqbook.evidence.exact import Law, count_variance, cq_bits, iq_bits
from cqbook.evidence.vectors import same
from cqlib import theory

OF_EQUAL = ("IQ mean", "IQ exact", "CQ exact", "IQ bound", "CQ bound")
OF_UNEQUAL = ("unbiased", "never worse", "closed form", "covariance", "negative")


def bit_means(law: Law, n: int) -> list[Fraction]:
    """Return the probability that each of n clients rounds up.

    >>> bit_means(cq_bits([Fraction(1, 3), Fraction(1)]), 2)
    [Fraction(1, 3), Fraction(1, 1)]
    """
    return [sum((chance * bits[i] for chance, bits in law), Fraction(0)) for i in range(n)]


def mean_variance(law: Law, n: int) -> Fraction:
    """Return the variance of the mean of the bits of n clients.

    >>> mean_variance(cq_bits([Fraction(1, 4)] * 2), 2)
    Fraction(1, 16)
    """
    return count_variance(law, [Fraction(1)] * n) / n**2


def equal_positions(y: Fraction, n: int) -> dict[str, bool]:
    r"""Check n clients at one position: means, errors and bounds, for the range [0, 1].

    IQ: $\frac1ny(1-y)\le\frac1{4n}$. CQ: $\frac1{n^2}\varphi(1-\varphi)\le\frac1{4n^2}$ with the
    fractional part $\varphi$ of ny; "attained" is True if this is an equality.

    Args:
        y: position, in [0, 1].
        n: number of clients.

    Source: Proposition 3 and Theorem 1.

    >>> equal_positions(Fraction(1, 4), 2)["attained"]
    True
    """
    law = iq_bits([y] * n)
    iq, cq = mean_variance(law, n), mean_variance(cq_bits([y] * n), n)
    phi = n * y - int(n * y)
    return {
        "IQ mean": bit_means(law, n) == [y] * n,
        "IQ exact": iq == y * (1 - y) / n,
        "CQ exact": cq == phi * (1 - phi) / n**2,
        "IQ bound": iq <= Fraction(1, 4 * n),
        "CQ bound": cq <= Fraction(1, 4 * n**2),
        "attained": cq == Fraction(1, 4 * n**2),
    }


def unequal_positions(y: Sequence[Fraction]) -> dict[str, bool]:
    """Check CQ at any positions: means, IQ's error as a bound, the library's formulas.

    Args:
        y: positions of two clients or more, in [0, 1].

    Source: Theorem 1, and the covariance of two clients.

    >>> all(unequal_positions([Fraction(1, 3), Fraction(1, 2)]).values())
    True
    """
    n, law = len(y), cq_bits(y)
    cq, iq = mean_variance(law, n), mean_variance(iq_bits(y), n)
    both = sum((chance * bits[0] * bits[1] for chance, bits in law), Fraction(0))
    covariance = both - y[0] * y[1]
    formula = theory.cq_covariance(float(y[0]), float(y[1]), n)
    closed_form = theory.cq_variance(np.array([float(v) for v in y]))
    return {
        "unbiased": bit_means(law, n) == list(y),
        "never worse": cq <= iq,
        "closed form": same(cq, float(closed_form)),
        "covariance": same(covariance, float(formula)),
        "negative": covariance <= 0,
    }
