"""Vectors of a few clients, in fractions: norms, averages, and the terms of the AB-inequality."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Vector = list[Fraction]
Rows = Sequence[Sequence[Fraction]]


def vector(*numbers: int | str | Fraction) -> Vector:
    """Return numbers as fractions.

    Args:
        numbers: integers, fractions, or strings such as "4/3".

    >>> vector(3, "-4/3")
    [Fraction(3, 1), Fraction(-4, 3)]
    """
    return [Fraction(v) for v in numbers]


def integer_vectors(rng: np.random.Generator, n: int, d: int, size: int = 9) -> list[Vector]:
    """Return n vectors of d random integers from -size to size.

    >>> len(integer_vectors(np.random.default_rng(0), 2, 3))
    2
    """
    return [vector(*map(int, row)) for row in rng.integers(-size, size + 1, (n, d))]


def as_floats(X: Rows) -> NDArray[np.float64]:
    """Return rows in float64, shape (n, d).

    >>> as_floats([vector("1/2", 3)]).tolist()
    [[0.5, 3.0]]
    """
    return np.array([[float(v) for v in row] for row in X])


def squared_norm(x: Sequence[Fraction]) -> Fraction:
    r"""Return $\|x\|^2$.

    >>> squared_norm(vector(3, -4))
    Fraction(25, 1)
    """
    return sum((v * v for v in x), Fraction(0))


def inner(x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction:
    r"""Return $\langle x,y\rangle$.

    >>> inner(vector(1, 2), vector(3, -1))
    Fraction(1, 1)
    """
    return sum((u * v for u, v in zip(x, y, strict=True)), Fraction(0))


def average(X: Rows) -> Vector:
    r"""Return $\bar a=\frac1n\sum_ia_i$.

    >>> average([vector(1, 2), vector(2, 2)])
    [Fraction(3, 2), Fraction(2, 1)]
    """
    return [sum(column, Fraction(0)) / len(X) for column in zip(*X, strict=True)]


def mean_squares(X: Rows) -> tuple[Fraction, Fraction]:
    r"""Return $\frac1n\sum_i\|a_i\|^2$ and $\|\bar a\|^2$, the two terms of the AB-inequality.

    >>> mean_squares([vector(3, 4), vector(-3, 4)])
    (Fraction(25, 1), Fraction(16, 1))
    """
    return sum(map(squared_norm, X), Fraction(0)) / len(X), squared_norm(average(X))


def ab_bound(A: Fraction | int, B: Fraction | int, X: Rows) -> Fraction:
    r"""Return $A\frac1n\sum_i\|a_i\|^2-B\|\bar a\|^2$, the right side of Assumption 5.

    >>> ab_bound(2, 1, [vector(3, 4), vector(-3, 4)])
    Fraction(34, 1)
    """
    mean_square, square_of_mean = mean_squares(X)
    return A * mean_square - B * square_of_mean


def same(fraction: Fraction, number: float) -> bool:
    """Return True if a float equals a fraction within 1e-12, relative for fractions above 1.

    >>> same(Fraction(1, 3), 1 / 3), same(Fraction(1, 3), 0.333)
    (True, False)
    """
    return bool(abs(float(fraction) - number) <= 1e-12 * max(1.0, abs(number)))
