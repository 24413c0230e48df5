"""Exact laws and errors in rational arithmetic, by enumerating all outcomes.

For a few clients and coordinates a compressor has finitely many outcomes. A law is a list of
(probability, outcome) with fractions as probabilities, so that results are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import permutations, product
from math import factorial, isqrt
from typing import Any

from cqbook.evidence.vectors import average, squared_norm

Bits = tuple[int, ...]
Law = list[tuple[Fraction, Any]]
BitLaw = Callable[[Sequence[Fraction]], Law]
Matrix = Sequence[Sequence[Fraction]]


def iq_bits(y: Sequence[Fraction]) -> Law:
    """Return the law of the clients' bits under independent quantization (Definition 5).

    Args:
        y: the clients' positions in their range, in [0, 1].

    >>> iq_bits([Fraction(1, 3)])
    [(Fraction(2, 3), (0,)), (Fraction(1, 3), (1,))]
    """
    return _independent([Fraction(v) for v in y])


def cq_bits(y: Sequence[Fraction]) -> Law:
    r"""Return the law of the clients' bits under correlated quantization (Algorithm 2).

    All n! permutations are equally likely. Given the ranks, the private offsets are independent,
    and client i rounds up with probability $\mathrm{clip}(ny_i-\pi_i,0,1)$.

    Args:
        y: the clients' positions in their range, in [0, 1].

    >>> cq_bits([Fraction(1, 2), Fraction(1, 2)])  # one of the two, always
    [(Fraction(1, 2), (0, 1)), (Fraction(1, 2), (1, 0))]
    """
    n = len(y)
    total: dict[Bits, Fraction] = {}
    for ranks in permutations(range(n)):
        chances = [
            min(max(n * Fraction(v) - r, Fraction(0)), Fraction(1))
            for v, r in zip(y, ranks, strict=True)
        ]
        for chance, bits in _independent(chances):
            total[bits] = total.get(bits, Fraction(0)) + chance / factorial(n)
    return [(chance, bits) for bits, chance in sorted(total.items())]


def _independent(chances: Sequence[Fraction]) -> Law:
    """Return the law of independent bits, without outcomes of probability 0."""
    law: Law = []
    for bits in product((0, 1), repeat=len(chances)):
        chance = Fraction(1)
        for bit, up in zip(bits, chances, strict=True):
            chance *= up if bit else 1 - up
        if chance:
            law.append((chance, bits))
    return law


def expectation(law: Law, value: Callable[[Any], Fraction]) -> Fraction:
    """Return the expectation of a function of the outcome.

    >>> expectation(iq_bits([Fraction(1, 3)] * 2), sum)
    Fraction(2, 3)
    """
    return sum((chance * value(outcome) for chance, outcome in law), Fraction(0))


def count_variance(law: Law, weights: Sequence[Fraction]) -> Fraction:
    """Return the variance of the weighted number of ones.

    >>> count_variance(cq_bits([Fraction(1, 2)] * 3), [Fraction(1)] * 3)
    Fraction(1, 4)
    """

    def total(bits: Bits) -> Fraction:
        return sum((w * b for w, b in zip(weights, bits, strict=True)), Fraction(0))

    mean = expectation(law, total)
    return expectation(law, lambda bits: (total(bits) - mean) ** 2)


def norm(a: Iterable[Fraction]) -> Fraction:
    """Return the 2-norm of a vector as a fraction.

    Raises:
        ValueError: if the norm is irrational.

    >>> norm([Fraction(3), Fraction(4)])
    Fraction(5, 1)
    """
    square = squared_norm([Fraction(v) for v in a])
    top, bottom = isqrt(square.numerator), isqrt(square.denominator)
    if Fraction(top**2, bottom**2) != square:
        raise ValueError(f"the norm of this vector is not rational: its square is {square}")
    return Fraction(top, bottom)


def quantization_error(X: Matrix, bits: BitLaw) -> Fraction:
    r"""Return $\mathbb E\|\frac1n\sum_iQ_i(a_i)-\bar a\|^2$ of one-bit quantization (Def. 6, 7).

    Args:
        X: rows $a_i$ with rational norms, shape (n, d).
        bits: :func:`iq_bits` or :func:`cq_bits`.

    >>> X = [[Fraction(1)] * 4] * 2
    >>> quantization_error(X, iq_bits), quantization_error(X, cq_bits)
    (Fraction(6, 1), Fraction(4, 1))
    """
    n = len(X)
    return rounding_variance(X, range(n), range(len(X[0])), bits) / n**2


def rounding_variance(
    X: Matrix, clients: Iterable[int], places: Iterable[int], bits: BitLaw
) -> Fraction:
    """Return the variance of the sum of vectors that are rounded to one bit per coordinate.

    Args:
        X: rows of all clients.
        clients: the clients that round; ``bits`` is the joint law of their bits.
        places: the rounded coordinates; each client's norm over them must be rational.
        bits: :func:`iq_bits` or :func:`cq_bits`.

    >>> rounding_variance([[Fraction(3), Fraction(4), Fraction(9)]], [0], [0, 1], iq_bits)
    Fraction(25, 1)
    """
    clients, places = list(clients), list(places)
    norms = {i: norm(X[i][j] for j in places) for i in clients}
    error = Fraction(0)
    for j in places:  # a client with a zero vector has a rank, too
        y = [(1 + X[i][j] / norms[i]) / 2 if norms[i] else Fraction(1, 2) for i in clients]
        error += count_variance(bits(y), [2 * norms[i] for i in clients])
    return error


def perm_k(n: int, d: int) -> Law:
    """Return the law of PermK: outcomes are n x d matrices of factors, 0 for coordinates not sent.

    For n <= d a random permutation of the coordinates is cut into n blocks whose sizes differ by at
    most one; each client gets a random block. Otherwise each client gets a random coordinate, such
    that the numbers of clients of two coordinates differ by at most one.

    >>> law = perm_k(2, 2)
    >>> law[0]
    (Fraction(1, 2), ((0, 2), (2, 0)))
    """
    if n <= d:
        small, more = divmod(d, n)
        sizes = [small + 1] * more + [small] * (n - more)
        owners = _dealt(sizes, d)  # for each coordinate, a client
        total: dict[Any, Fraction] = {}
        for owner in owners:
            rows = tuple(tuple(n if owner[j] == i else 0 for j in range(d)) for i in range(n))
            total[rows] = total.get(rows, Fraction(0)) + Fraction(1, len(owners))
        return [(chance, rows) for rows, chance in sorted(total.items())]
    small, more = divmod(n, d)
    sizes = [small + 1] * more + [small] * (d - more)
    places = _dealt(sizes, n)  # for each client, a coordinate
    found: Law = []
    for place in places:
        factors = tuple(
            tuple(Fraction(n, place.count(j)) if place[i] == j else Fraction(0) for j in range(d))
            for i in range(n)
        )
        found.append((Fraction(1, len(places)), factors))
    return found


def _dealt(sizes: Sequence[int], n: int) -> list[tuple[int, ...]]:
    """Return all maps from n items to boxes such that the boxes have these sizes in some order."""
    found = []
    for order in sorted(set(permutations(sizes))):
        things = [box for box, size in enumerate(order) for _ in range(size)]
        found += sorted(set(permutations(things)))
    assert all(len(each) == n for each in found)
    return found


def sparsified_error(X: Matrix, law: Law, bits: BitLaw | None = None) -> Fraction:
    """Return the error of the mean if clients send factors times coordinates.

    Args:
        X: rows $a_i$, shape (n, d).
        law: law of the factors, such as :func:`perm_k`.
        bits: with :func:`iq_bits`, each client then rounds the coordinates it keeps to one bit;
            the norms of the kept parts must be rational.

    >>> X = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    >>> sparsified_error(X, perm_k(2, 2))  # mean of the squared norms less that of the mean
    Fraction(1, 2)
    """
    n, d, means = len(X), len(X[0]), average(X)

    def error(rows: Sequence[Sequence[Fraction]]) -> Fraction:
        kept = [
            [f * v for f, v in zip(fs, row, strict=True)] for fs, row in zip(rows, X, strict=True)
        ]
        choice = squared_norm([u - v for u, v in zip(average(kept), means, strict=True)])
        if bits is None:
            return choice
        sent = [[j for j in range(d) if rows[i][j]] for i in range(n)]
        return (
            choice
            + sum((rounding_variance(kept, [i], sent[i], bits) for i in range(n)), Fraction(0))
            / n**2
        )

    return expectation(law, error)


def sampling_error(
    X: Matrix, probabilities: Sequence[Fraction], tau: int = 1, bits: BitLaw | None = None
) -> Fraction:
    r"""Return the error of the mean if tau drawn clients send $\frac1{\tau nq_i}a_i$.

    Args:
        X: rows $a_i$, shape (n, d).
        probabilities: $q_i$ of sum 1.
        tau: number of independent draws.
        bits: with :func:`iq_bits`, a drawn client rounds its vector to one bit per coordinate, with
            new randomness in every draw (Lemma 4); norms must be rational.

    >>> X = [[Fraction(3), Fraction(4)], [Fraction(0), Fraction(5)]]
    >>> sampling_error(X, [Fraction(1, 2)] * 2)
    Fraction(5, 2)
    """
    n, d, means = len(X), len(X[0]), average(X)
    one = Fraction(0)
    for q, row in zip(probabilities, X, strict=True):
        sent = [v / (n * q) for v in row]
        one += q * squared_norm([s - m for s, m in zip(sent, means, strict=True)])
        if bits is not None:
            one += q * rounding_variance([sent], [0], range(d), bits)
    return one / tau
