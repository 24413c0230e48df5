"""Frequencies of rounding up at many coordinates, against probabilities and variances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cqlib import Key, theory
from cqlib.kernels import reference
from cqlib.kernels.reference import rounding
from cqlib.keys import Stream

Integers = NDArray[np.int64]
RANKS = {"shift": reference.shift_ranks, "permutation": reference.permutation_ranks}


def largest_score(
    decide: Callable[[Integers], NDArray[np.bool_]],
    exact_variance: Callable[[NDArray[np.float64]], float],
    positions: Integers,
    *,
    n: int,
    draws: int,
) -> float:
    r"""Return the largest score |z| over positions: of each client's frequency, and of a variance.

    The variance is that of the number of ones at a coordinate. It should be $n^2$ times
    ``exact_variance``: $ny(1-y)$ for independent clients, at most $\frac14$ under CQ.

    Args:
        decide: function from positions, shape (n, draws), to bits.
        exact_variance: function from the clients' y to the variance of the mean of their bits.
        positions: values of y on the grid, in units of $2^{-31}$; all clients have the same y.
        n: number of clients.
        draws: number of coordinates.

    >>> half = np.array([2**30])
    >>> bits = np.array([[True, False], [False, True]])
    >>> largest_score(lambda _: bits, lambda y: 0.0, half, n=2, draws=2)  # one of two, always
    0.0
    """
    largest = 0.0
    for g in positions:
        y = g / 2**31
        up = decide(np.full((n, draws), g))
        of_shares = (up.mean(axis=1) - y) / np.sqrt(y * (1 - y) / draws)
        squares = (up.sum(axis=0) - n * y) ** 2
        expected = n**2 * exact_variance(np.full(n, y))
        error = max(squares.std(ddof=1) / np.sqrt(draws), 1e-6)
        of_spread = abs(squares.mean() - expected) / error
        largest = max(largest, float(np.abs(of_shares).max()), float(of_spread))
    return largest


def scores(positions: Integers, *, n: int, draws: int, key: Key) -> dict[str, float]:
    """Return the largest scores of independent rounding, and of correlated ones by kind of ranks.

    Args:
        positions: as for :func:`largest_score`.
        n: number of clients.
        draws: number of coordinates.
        key: key of all draws.

    Source: Definition 5 and Algorithm 2.

    >>> list(scores(np.array([2**30]), n=3, draws=8, key=Key(0)))
    ['independent', 'correlated, shift', 'correlated, permutation']
    """
    clients = np.arange(n)
    words = reference.stream_words(key.private(Stream.ROUNDING, clients), draws)
    size = {"n": n, "draws": draws}

    def independent(g: Integers) -> NDArray[np.bool_]:
        return rounding.round_independent(g, words)

    found = {"independent": largest_score(independent, theory.iq_variance, positions, **size)}
    for name in RANKS:
        drawn = ranks(name, n=n, draws=draws, key=key)

        def correlated(g: Integers, drawn: Integers = drawn) -> NDArray[np.bool_]:
            return rounding.round_correlated(g, words, drawn, n)

        found[f"correlated, {name}"] = largest_score(
            correlated, theory.cq_variance, positions, **size
        )
    return found


def ranks(name: str, *, n: int, draws: int, key: Key) -> Integers:
    """Return the clients' ranks at many coordinates, shape (n, draws).

    >>> sorted(ranks("shift", n=3, draws=1, key=Key(0))[:, 0].tolist())
    [0, 1, 2]
    """
    return RANKS[name](key, d=draws, clients=np.arange(n), n_clients=n)


def one_in_each_cell(drawn: Integers) -> bool:
    """Return True if every coordinate has each rank 0, ..., n - 1 once.

    >>> one_in_each_cell(np.array([[0, 1], [1, 1]]))
    False
    """
    return bool((np.sort(drawn, axis=0) == np.arange(len(drawn))[:, None]).all())
