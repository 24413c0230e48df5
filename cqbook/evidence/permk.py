"""PermK, and Algorithm 3 with blocks of any sizes, in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations, product
from typing import NamedTuple

from cqbook.evidence import exact
from cqbook.evidence.exact import BitLaw, Law
from cqbook.evidence.vectors import Rows, average, squared_norm


def omega(n: int, d: int) -> Fraction:
    r"""Return $\omega$ of a client of PermK: $n-1$, and $n\,\mathbb E\frac1m-1$ for n > d.

    m is the number of clients that share a client's coordinate.

    >>> omega(3, 5), omega(5, 2)
    (Fraction(2, 1), Fraction(13, 12))
    """
    if n <= d:
        return Fraction(n - 1)
    q, r = divmod(n, d)
    return n * (Fraction(d - r, d * q) + Fraction(r, d * (q + 1))) - 1


def factor_moments(law: Law, n: int, d: int, power: int) -> list[Fraction]:
    """Return the means of a power of the factors, for every client and coordinate.

    Args:
        law: outcomes are n x d matrices of factors, such as :func:`exact.perm_k`.
        n: number of clients.
        d: number of coordinates.
        power: 1 for means, 2 for mean squares.

    >>> factor_moments(exact.perm_k(2, 2), 2, 2, 2)
    [Fraction(2, 1), Fraction(2, 1), Fraction(2, 1), Fraction(2, 1)]
    """
    return [
        sum((chance * Fraction(f[i][j]) ** power for chance, f in law), Fraction(0))
        for i, j in product(range(n), range(d))
    ]


def block_numbers(size: int, b: int) -> list[int]:
    """Return a block number for each of ``size`` items; sizes of blocks differ by at most one.

    >>> block_numbers(5, 2)
    [0, 0, 0, 1, 1]
    """
    small, more = divmod(size, b)
    return [k for k in range(b) for _ in range(small + (k < more))]


class Blocks(NamedTuple):
    """The effect of b blocks of any sizes on a coordinate of a client, and on equal inputs."""

    kept: int  # pairs of permutations that put client and coordinate into blocks of the same number
    permutations: int  # number of pairs of permutations of clients and coordinates
    mean_factor: Fraction  # b times the probability of being kept; 1 if unbiased
    spread: Fraction  # squared error of equal inputs over |a|^2, without rounding


def blocks(n: int, d: int, b: int) -> Blocks:
    r"""Return the effect of b blocks of any sizes, over all permutations of both.

    The mean of equal inputs is $\frac{bn_k}n$ times their value if the coordinate's block has $n_k$
    clients.

    Args:
        n: number of clients.
        d: number of coordinates.
        b: number of blocks.

    >>> blocks(3, 3, 2)[:3]
    (20, 36, Fraction(10, 9))
    """
    by_client, by_place = block_numbers(n, b), block_numbers(d, b)
    pairs = list(product(permutations(by_client), permutations(by_place)))
    kept = sum(clients[0] == places[0] for clients, places in pairs)
    deviations = [(Fraction(b * by_client.count(k), n) - 1) ** 2 for k in by_place]
    spread = sum(deviations, Fraction(0)) / d
    return Blocks(kept, len(pairs), b * Fraction(kept, len(pairs)), spread)


def permk_cq_error(X: Rows, b: int, bits: BitLaw = exact.cq_bits) -> Fraction:
    """Return the error of the mean of PermK+CQ with b blocks (Algorithm 3), over all permutations.

    Args:
        X: rows $a_i$, shape (n, d); the norms over d / b coordinates must be rational.
        b: number of blocks, a divisor of n and d.
        bits: :func:`exact.cq_bits`, or :func:`exact.iq_bits` for PermK+IQ.

    Raises:
        ValueError: if b does not divide n and d, or a norm is irrational.

    >>> permk_cq_error([[Fraction(1), Fraction(2)]] * 2, b=2)  # one coordinate each: no rounding
    Fraction(0, 1)
    """
    n, d = len(X), len(X[0])
    if n % b or d % b:
        raise ValueError(f"b = {b} must divide n = {n} and d = {d}")
    means = average(X)
    total, count = Fraction(0), 0
    for rows in _blocks(tuple(range(n)), b):
        for columns in _blocks(tuple(range(d)), b):
            count += 1
            for clients, places in zip(rows, columns, strict=True):
                kept = [[b * v for v in row] for row in X]
                total += exact.rounding_variance(kept, clients, places, bits) / n**2
                for j in places:
                    mean = sum((kept[i][j] for i in clients), Fraction(0)) / n
                    total += (mean - means[j]) ** 2
    return total / count


def _blocks(things: tuple[int, ...], b: int) -> list[list[tuple[int, ...]]]:
    """Return all partitions of items into b ordered blocks of equal size."""
    if b == 1:
        return [[things]]
    found = []
    for first in combinations(things, len(things) // b):
        rest = tuple(i for i in things if i not in first)
        found += [[first, *others] for others in _blocks(rest, b - 1)]
    return found


def subset_formula(a: Sequence[Fraction], n: int, b: int) -> Fraction:
    r"""Return the error of Algorithm 3 for equal inputs, from CQ's error over all subsets.

    $b\,\mathbb E_S\,\mathrm{MSE}_{n/b}(a_S)$, where S is a random subset of $\frac db$ coordinates.

    Args:
        a: the vector of all clients; parts of d / b coordinates have rational norms.
        n: number of clients, a multiple of b.
        b: number of blocks, a divisor of d.

    Source: Corollary 3, with CQ's exact error.

    >>> subset_formula([Fraction(1)] * 8, 4, 2)
    Fraction(8, 1)
    """
    parts = [[a[j] for j in S] for S in combinations(range(len(a)), len(a) // b)]
    errors = [exact.quantization_error([part] * (n // b), exact.cq_bits) for part in parts]
    return b * sum(errors, Fraction(0)) / len(errors)


def constants(n: int, d: int, b: int) -> tuple[Fraction, Fraction]:
    r"""Return A and B of Algorithm 3 for column blocks of any sizes $d_k$.

    $A=\frac1n\big(\frac bd\sum_kd_k^2-b\big)+\frac{b-1}{n-1}$, $B=\frac{b-1}{n-1}$.

    Args:
        n: number of clients, at least 2, a multiple of b.
        d: number of coordinates.
        b: number of blocks.

    Source: the theorem on Algorithm 3 in the chapter on PermK+CQ.

    >>> constants(4, 5, 2)
    (Fraction(17, 15), Fraction(1, 3))
    """
    columns = block_numbers(d, b)
    widths = [columns.count(k) for k in range(b)]
    B = Fraction(b - 1, n - 1)
    return Fraction(b * sum(v**2 for v in widths), d * n) - Fraction(b, n) + B, B


def error_with_iq(X: Rows, b: int) -> Fraction:
    """Return the error of Algorithm 3 with IQ in place of CQ, over all placements.

    Args:
        X: rows, shape (n, d); n and d are small, since all permutations of both are enumerated.
        b: number of blocks, a divisor of n; column blocks may have different sizes.

    >>> error_with_iq([[Fraction(3), Fraction(4)]] * 2, 2), error_with_iq([[Fraction(3)] * 2], 1)
    (Fraction(0, 1), Fraction(18, 1))
    """
    n, d = len(X), len(X[0])
    means = average(X)
    placements = set(permutations(block_numbers(n, b))), set(permutations(block_numbers(d, b)))
    total = Fraction(0)
    for rows, columns in product(*placements):
        for j in range(d):
            kept_by = [X[i][j] for i in range(n) if rows[i] == columns[j]]
            total += (Fraction(b, n) * sum(kept_by, Fraction(0)) - means[j]) ** 2
        for i in range(n):
            kept = [b * X[i][j] for j in range(d) if rows[i] == columns[j]]
            total += max(len(kept) - 1, 0) * squared_norm(kept) / n**2
    return total / (len(placements[0]) * len(placements[1]))
