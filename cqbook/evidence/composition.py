"""Sparsifiers and one-bit rounding in either order: exact errors and their constants."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from cqbook.evidence import exact
from cqbook.evidence.dependence import rand_k_factors
from cqbook.evidence.exact import Law
from cqbook.evidence.vectors import Rows, average, squared_norm
from cqlib import theory


def quantize_first_error(X: Rows, law: Law) -> Fraction:
    """Return the exact error of a sparsifier applied to one-bit rounded inputs.

    Args:
        X: rows with rational norms, shape (n, d); n d is small, since all roundings are enumerated.
        law: law of the factors, such as :func:`exact.perm_k`.

    >>> quantize_first_error([[Fraction(1), Fraction(0)]], exact.perm_k(1, 2))
    Fraction(1, 1)
    """
    n, d = len(X), len(X[0])
    norms = [exact.norm(row) for row in X]
    y = [(1 + v / R) / 2 for row, R in zip(X, norms, strict=True) for v in row]
    total = Fraction(0)
    for chance, bits in exact.iq_bits(y):
        rounded = [[norms[i] * (2 * bits[i * d + j] - 1) for j in range(d)] for i in range(n)]
        shift = [u - v for u, v in zip(average(rounded), average(X), strict=True)]
        total += chance * (exact.sparsified_error(rounded, law) + squared_norm(shift))
    return total


class Order(NamedTuple):
    """A sparsifier and one-bit rounding, in one of the two orders."""

    label: str
    A: float
    B: float
    error: Callable[[Rows], Fraction]  # exact


def orders(n: int, d: int) -> list[Order]:
    """Return PermK and Rand2, each after and before one-bit rounding, with their constants.

    Args:
        n: number of clients, a divisor of d.
        d: number of coordinates, even.

    Source: the two propositions on composition in the chapter on the AB-inequality.

    >>> [(order.A, order.B) for order in orders(2, 4)]
    [(2.0, 1.0), (4.0, 1.0), (1.5, 0.0), (3.5, 0.0)]
    """
    perm_k, rand_2 = exact.perm_k(n, d), rand_k_factors(n, d, 2, together=False)
    A_rand = (d / 2 - 1) / n
    first, then = theory.sparsify_first_constants, theory.quantize_first_constants
    return [
        Order(
            "one-bit rounding of PermK",
            *first(1.0, 1.0, n - 1, d // n - 1, n),
            lambda X: exact.sparsified_error(X, perm_k, exact.iq_bits),
        ),
        Order(
            "PermK of one-bit rounding",
            *then(1.0, 1.0, d - 1, n),
            lambda X: quantize_first_error(X, perm_k),
        ),
        Order(
            "one-bit rounding of Rand2",
            *first(A_rand, 0.0, d / 2 - 1, 1, n),
            lambda X: exact.sparsified_error(X, rand_2, exact.iq_bits),
        ),
        Order(
            "Rand2 of one-bit rounding",
            *then(A_rand, 0.0, d - 1, n),
            lambda X: quantize_first_error(X, rand_2),
        ),
    ]
