"""Clients that share randomness: laws in fractions, and the parts of the error of their mean."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, pairwise, product
from typing import NamedTuple

from cqbook.evidence import exact
from cqbook.evidence.exact import BitLaw, Law, expectation
from cqbook.evidence.vectors import Rows, inner


def one_threshold_bits(y: Sequence[Fraction]) -> Law:
    """Return the law of the clients' bits if all use one uniform threshold.

    Args:
        y: the clients' positions in their range, in [0, 1].

    >>> one_threshold_bits([Fraction(1, 2), Fraction(1, 2)])
    [(Fraction(1, 2), (1, 1)), (Fraction(1, 2), (0, 0))]
    """
    ends = sorted({Fraction(0), Fraction(1), *map(Fraction, y)})
    return [(high - low, tuple(int(low < v) for v in y)) for low, high in pairwise(ends)]


def rand_k_factors(n: int, d: int, K: int, *, together: bool) -> Law:
    r"""Return the law of RandK: outcomes are n x d matrices of factors, $\frac dK$ or 0.

    Args:
        n: number of clients.
        d: number of coordinates.
        K: number of coordinates that a client keeps.
        together: True for one subset for all clients, False for one subset each.

    >>> len(rand_k_factors(2, 3, 1, together=True)), len(rand_k_factors(2, 3, 1, together=False))
    (3, 9)
    """
    rows = [
        tuple(Fraction(d, K) if j in S else Fraction(0) for j in range(d))
        for S in combinations(range(d), K)
    ]
    if together:
        return [(Fraction(1, len(rows)), (row,) * n) for row in rows]
    return [(Fraction(1, len(rows) ** n), choice) for choice in product(rows, repeat=n)]


class Parts(NamedTuple):
    r"""Parts of the error $\frac1{n^2}(\sum_iV_i+\sum_{i\ne k}C_{ik})$ of the clients' mean."""

    matrix: list[list[Fraction]]  # covariances of the clients' errors; V_i on the diagonal
    error: Fraction  # computed without the matrix

    @property
    def variances(self) -> Fraction:
        """The sum of the diagonal."""
        return sum((row[i] for i, row in enumerate(self.matrix)), Fraction(0))

    @property
    def off_diagonal(self) -> list[Fraction]:
        """The covariances of two clients, row by row."""
        return [c for i, row in enumerate(self.matrix) for k, c in enumerate(row) if i != k]

    @property
    def covariances(self) -> Fraction:
        """The sum of the entries off the diagonal."""
        return sum(self.off_diagonal, Fraction(0))


def one_bit_parts(X: Rows, bits: BitLaw) -> Parts:
    """Return the parts for clients that round to one bit per coordinate.

    Args:
        X: nonzero rows with rational norms, shape (n, d).
        bits: law of the clients' bits, such as :func:`exact.cq_bits`.

    >>> one_bit_parts([[Fraction(3), Fraction(4)]] * 2, exact.iq_bits).off_diagonal
    [Fraction(0, 1), Fraction(0, 1)]
    """
    n = len(X)
    norms = [exact.norm(row) for row in X]
    matrix = [[Fraction(0)] * n for _ in range(n)]
    for j in range(len(X[0])):
        y = [(1 + row[j] / R) / 2 for row, R in zip(X, norms, strict=True)]
        law = bits(y)
        for i, k in product(range(n), repeat=2):
            both = sum((chance * b[i] * b[k] for chance, b in law), Fraction(0))
            matrix[i][k] += 4 * norms[i] * norms[k] * (both - y[i] * y[k])
    return Parts(matrix, exact.quantization_error(X, bits))


def sparse_parts(X: Rows, law: Law) -> Parts:
    """Return the parts for clients that send factors times coordinates.

    Args:
        X: rows, shape (n, d).
        law: law of the factors, such as :func:`exact.perm_k`.

    >>> sparse_parts([[Fraction(1), Fraction(2)]] * 2, exact.perm_k(2, 2)).off_diagonal
    [Fraction(-5, 1), Fraction(-5, 1)]
    """

    def covariance(i: int, k: int) -> Fraction:
        def product_of_errors(factors: Rows) -> Fraction:
            own, other = (
                [(f - 1) * v for f, v in zip(factors[c], X[c], strict=True)] for c in (i, k)
            )
            return inner(own, other)

        return expectation(law, product_of_errors)

    clients = range(len(X))
    matrix = [[covariance(i, k) for k in clients] for i in clients]
    return Parts(matrix, exact.sparsified_error(X, law))


def negative_products(X: Rows) -> list[Fraction]:
    r"""Return $-\langle a_i,a_k\rangle$ for all $i\ne k$: PermK's covariances, for n <= d clients.

    >>> negative_products([[Fraction(1), Fraction(2)], [Fraction(3), Fraction(4)]])
    [Fraction(-11, 1), Fraction(-11, 1)]
    """
    return [-inner(a, b) for i, a in enumerate(X) for k, b in enumerate(X) if i != k]
