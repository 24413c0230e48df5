"""Laws of random vectors in fractions: a list of (probability, outcome)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product

from cqbook.evidence.exact import Law, expectation
from cqbook.evidence.vectors import Vector, squared_norm


def independent(laws: Iterable[Law]) -> Law:
    """Return the law of a vector whose coordinates are independent.

    Args:
        laws: the law of each coordinate.

    >>> half = Fraction(1, 2)
    >>> independent([[(half, 0), (half, 1)], [(Fraction(1), 5)]])
    [(Fraction(1, 2), [0, 5]), (Fraction(1, 2), [1, 5])]
    """
    joint: Law = []
    for outcome in product(*laws):
        chance = Fraction(1)
        for each, _ in outcome:
            chance *= each
        joint.append((chance, [value for _, value in outcome]))
    return joint


def mean_and_error(law: Law, target: Sequence[Fraction]) -> tuple[Vector, Fraction]:
    r"""Return $\mathbb E\,Z$ and $\mathbb E\|Z-x\|^2$ of a random vector Z.

    Args:
        law: outcomes are vectors, shape (d,).
        target: x, shape (d,).

    >>> half = Fraction(1, 2)
    >>> mean_and_error([(half, [0]), (half, [2])], [Fraction(1)])
    ([Fraction(1, 1)], Fraction(1, 1))
    """
    places = range(len(target))
    mean = [sum((chance * Fraction(z[j]) for chance, z in law), Fraction(0)) for j in places]

    def distance(z: Sequence[Fraction]) -> Fraction:
        return squared_norm([v - t for v, t in zip(z, target, strict=True)])

    return mean, expectation(law, distance)


def client_means(law: Law, n: int, d: int) -> list[Vector]:
    """Return the mean of each client's vector.

    Args:
        law: outcomes are n x d matrices, a row for each client.
        n: number of clients.
        d: number of coordinates.

    >>> client_means([(Fraction(1), ((1, 2), (3, 4)))], 2, 2)[1]
    [Fraction(3, 1), Fraction(4, 1)]
    """
    return [
        [
            sum((chance * Fraction(rows[i][j]) for chance, rows in law), Fraction(0))
            for j in range(d)
        ]
        for i in range(n)
    ]
