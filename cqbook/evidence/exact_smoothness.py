"""Smoothness constants of small quadratics in fractions: Assumptions 2 and 3, Definition 4."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cqlib.theory import smoothness_of_hessians

Matrix = NDArray[Any]  # symmetric, 2 x 2, of fractions


class SquaredConstants(NamedTuple):
    """Squares of L_-, L_+ and L_pm."""

    minus: Fraction
    plus: Fraction
    pm: Fraction


def symmetric(a: int | Fraction, b: int | Fraction, c: int | Fraction) -> Matrix:
    """Return the matrix with rows (a, b) and (b, c), of fractions.

    >>> symmetric(2, 1, 2).tolist()
    [[Fraction(2, 1), Fraction(1, 1)], [Fraction(1, 1), Fraction(2, 1)]]
    """
    a, b, c = Fraction(a), Fraction(b), Fraction(c)
    return np.array([[a, b], [b, c]], dtype=object)


def largest_eigenvalue(M: Matrix) -> Fraction:
    r"""Return $\frac{a+c}2+\sqrt{(\frac{a-c}2)^2+b^2}$ of a symmetric 2 x 2 matrix.

    Raises:
        ValueError: if the square root is irrational.

    >>> largest_eigenvalue(symmetric(2, 1, 2))
    Fraction(3, 1)
    """
    a, b, c = M[0, 0], M[0, 1], M[1, 1]
    square = ((a - c) / 2) ** 2 + b**2
    top, bottom = isqrt(square.numerator), isqrt(square.denominator)
    if Fraction(top**2, bottom**2) != square:
        raise ValueError(f"the eigenvalues are irrational: {square} is no square of a fraction")
    return Fraction((a + c) / 2 + Fraction(top, bottom))


def determinant(M: Matrix) -> Fraction:
    """Return the determinant of a 2 x 2 matrix.

    >>> determinant(symmetric(2, 1, 2))
    Fraction(3, 1)
    """
    return Fraction(M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0])


def is_positive(M: Matrix, *, definite: bool = False) -> bool:
    """Return True if both eigenvalues are at least 0, or above 0 if ``definite``.

    >>> is_positive(symmetric(1, 1, 1)), is_positive(symmetric(1, 1, 1), definite=True)
    (True, False)
    """
    trace, product = M[0, 0] + M[1, 1], determinant(M)
    return bool(trace > 0 and product > 0 if definite else trace >= 0 and product >= 0)


def mean_and_mean_square(A: Sequence[Matrix]) -> tuple[Matrix, Matrix]:
    """Return the mean of matrices, and the mean of their squares.

    >>> mean, square = mean_and_mean_square([symmetric(1, 0, 1), symmetric(3, 0, 1)])
    >>> mean[0, 0], square[0, 0]
    (Fraction(2, 1), Fraction(5, 1))
    """
    stacked = np.stack(list(A))
    return stacked.sum(axis=0) / len(A), (stacked @ stacked).sum(axis=0) / len(A)


def squared_constants(A: Sequence[Matrix]) -> SquaredConstants:
    r"""Return the squared constants of quadratics with Hessians $A_i$, in fractions.

    $L_-^2=\lambda_{\max}(\bar A^2)$, $L_+^2=\lambda_{\max}(\frac1n\sum_iA_i^2)$,
    $L_\pm^2=\lambda_{\max}(\frac1n\sum_iA_i^2-\bar A^2)$.

    Raises:
        ValueError: if one of them is irrational.

    Source: Assumptions 2 and 3, Definition 4.

    >>> squared_constants([symmetric(2, 1, 2), symmetric(-2, -1, -2)])  # opposite clients
    SquaredConstants(minus=Fraction(0, 1), plus=Fraction(9, 1), pm=Fraction(9, 1))
    """
    mean, square = mean_and_mean_square(A)
    parts = mean @ mean, square, square - mean @ mean
    return SquaredConstants(*(largest_eigenvalue(part) for part in parts))


def in_order(constants: SquaredConstants) -> bool:
    r"""Return True if $L_-\le L_+$ and $L_+^2-L_-^2\le L_\pm^2\le L_+^2$.

    >>> in_order(SquaredConstants(Fraction(4), Fraction(9), Fraction(4)))
    False
    """
    minus, plus, pm = constants
    return minus <= plus and plus - minus <= pm <= plus


def library_agrees(A: Sequence[Matrix], tolerance: float = 1e-12) -> bool:
    """Return True if ``theory.smoothness_of_hessians`` has the same constants.

    >>> library_agrees([symmetric(3, 0, -1), symmetric(2, 3, -2)])
    True
    """
    found = smoothness_of_hessians(np.stack(list(A)).astype(float))
    roots = np.array([found.L_minus, found.L_plus, found.L_pm])
    squares = np.array([float(square) for square in squared_constants(A)])
    return bool((np.abs(roots - squares**0.5) <= tolerance).all())


def one_bent_client(n: int, t: Fraction) -> bool:
    r"""Return True if $L_\pm^2=\frac{t^2(n-1)}{n^2}\|u\|^4$ for one client with another Hessian.

    The clients are quadratics with the Hessian (2, 1; 1, 5), plus $t\,uu^\top$, $u=(1,2)$, for the
    first client.

    Source: the converse of Proposition 2.

    >>> one_bent_client(3, Fraction(1, 7))
    True
    """
    base = symmetric(2, 1, 5)
    bent = base + t * symmetric(1, 2, 4)
    expected = t**2 * Fraction(n - 1, n**2) * 25
    return squared_variance([bent, *[base] * (n - 1)]) == expected


def squared_variance(A: Sequence[Matrix]) -> Fraction:
    """Return L_pm^2 only; L_- may be irrational.

    >>> squared_variance([symmetric(1, 0, 0), symmetric(3, 0, 0)])
    Fraction(1, 1)
    """
    mean, square = mean_and_mean_square(A)
    return largest_eigenvalue(square - mean @ mean)
