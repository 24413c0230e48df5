"""Sums that overflow their integer type, with the choices of Global-QSGD's public code.

All clients have the largest value M at a coordinate, which gives the largest possible sum.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb, floor
from typing import NamedTuple

import numpy as np

from cqlib.theory.global_qsgd import Reduction, sum_law

_LARGEST = 127  # largest signed integer of 8 bits, and largest exponent of 7 bits


class Outcome(NamedTuple):
    """The law of the decoded sum if the true mean is M."""

    lost: float  # probability of overflow
    mean: float  # expected value, over M


def linear_in_eight_bits(n: int, levels: Fraction | None = None) -> Outcome:
    """Return the outcome of adding n clients' rounded levels in signed eight bits.

    A client rounds its level without bias. The sum wraps around beyond 127.

    Args:
        n: number of clients.
        levels: the level of M; by default 127 / n, as in the public code.

    Source: the public code's choice; the probabilities are exact.

    >>> [linear_in_eight_bits(n).lost for n in (2, 4)]  # (1 - 1/n)^n
    [0.25, 0.31640625]
    >>> linear_in_eight_bits(4, Fraction(127 // 4))
    Outcome(lost=0.0, mean=1.0)
    """
    level = Fraction(_LARGEST, n) if levels is None else levels
    below, up = n * floor(level), level - floor(level)
    lost = mean = Fraction(0)
    for rounded_up in range(n + 1):
        chance = comb(n, rounded_up) * up**rounded_up * (1 - up) ** (n - rounded_up)
        total = below + rounded_up
        lost += chance * (total > _LARGEST)
        mean += chance * ((total + 128) % 256 - 128)
    return Outcome(float(lost), float(mean / (n * level)))


def exponents_in_seven_bits(n: int, reduction: Reduction, headroom: float | None = None) -> Outcome:
    r"""Return the outcome of a rounded sum of powers of two, of which the largest is $2^{-1}$.

    A sum that reaches $2^0$ is decoded to zero.

    Args:
        n: number of clients.
        reduction: "tree" or "fold".
        headroom: divisor of M; by default 2 n, as in the public code.

    Source: the public code's choice; the law of the sum is exact.

    >>> exponents_in_seven_bits(4, "fold").lost
    0.125
    >>> exponents_in_seven_bits(4, "fold", headroom=2.0**4).lost
    0.0
    """
    room = 2.0 * n if headroom is None else headroom
    s = floor(np.log2(room)) + 2  # number of levels of a client
    values, law = sum_law(np.full((n, 1), 1 / room), s, reduction)
    lost = float(law[0][values >= 1].sum())
    return Outcome(lost, float(law[0] @ np.where(values < 1, values, 0.0)) * room / n)
