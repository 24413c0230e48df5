"""Drawing clients with given probabilities: Assumption 6 and Lemma 4, exact and sampled."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence import exact
from cqbook.evidence.exact import Law
from cqbook.evidence.laws import mean_and_error
from cqbook.evidence.vectors import Rows, Vector, average, squared_norm
from cqlib import Key
from cqlib.compressors import Compressor

# Integer vectors with integer norms, by dimension.
_POOL: dict[int, list[tuple[int, ...]]] = {
    2: [(3, 4), (5, 12), (8, 15), (1, 0)],
    3: [(1, 2, 2), (2, 3, 6), (1, 4, 8), (0, 3, 4)],
}


def draw_case(rng: np.random.Generator, n: int, d: int) -> tuple[list[Vector], Vector]:
    """Return n vectors of dimension 2 or 3 with rational norms, and probabilities of sum 1.

    >>> X, q = draw_case(np.random.default_rng(0), 3, 2)
    >>> len(X), sum(q)
    (3, Fraction(1, 1))
    """
    X = []
    for _ in range(n):
        base = rng.permutation(_POOL[d][rng.integers(4)]) * rng.choice([1, -1], d)
        scale = Fraction(int(rng.integers(0, 6)), 5)
        X.append([scale * int(v) for v in base])
    parts = [int(v) for v in rng.integers(1, 9, n)]
    return X, [Fraction(v, sum(parts)) for v in parts]


def one_draw(X: Rows, q: Sequence[Fraction], *, quantized: bool) -> Law:
    r"""Return the law of S for one draw, which chooses client i with probability $q_i$.

    The client sends $\frac1{nq_i}a_i$ (importance sampling), or this vector rounded by IQ (ISCC).

    Args:
        X: rows $a_i$ with rational norms, shape (n, d).
        q: probabilities, shape (n,).
        quantized: True to round to one bit per coordinate.

    Source: Section 3.4.

    >>> one_draw([[Fraction(3)], [Fraction(1)]], [Fraction(1, 2)] * 2, quantized=False)
    [(Fraction(1, 2), [Fraction(3, 1)]), (Fraction(1, 2), [Fraction(1, 1)])]
    """
    n, law = len(X), []
    for chance, row in zip(q, X, strict=True):
        length = exact.norm(row)
        if not (quantized and length):
            law.append((chance, [v / (n * chance) for v in row]))
            continue
        for signs in product((1, -1), repeat=len(row)):
            p = chance
            for s, v in zip(signs, row, strict=True):
                p *= (1 + s * v / length) / 2
            law.append((p, [s * length / (n * chance) for s in signs]))
    return law


def mean_of_two(law: Law) -> Law:
    """Return the law of the mean of two independent draws.

    >>> mean_of_two([(Fraction(1, 2), [Fraction(0)]), (Fraction(1, 2), [Fraction(2)])])[1]
    (Fraction(1, 4), [Fraction(1, 1)])
    """
    return [
        (p * r, [(s + t) / 2 for s, t in zip(S, R, strict=True)])
        for (p, S), (r, R) in product(law, law)
    ]


def weighted_mean_square(X: Rows, w: Sequence[Fraction]) -> Fraction:
    r"""Return $\frac1n\sum_i\frac1{nw_i}\|a_i\|^2$, the first term of Assumption 6.

    >>> weighted_mean_square([[Fraction(1)], [Fraction(3)]], [Fraction(1, 4), Fraction(3, 4)])
    Fraction(4, 1)
    """
    n = len(X)
    terms = (squared_norm(row) / (n * v) for row, v in zip(X, w, strict=True))
    return sum(terms, Fraction(0)) / n


def weighted_variance(X: Rows, w: Sequence[Fraction]) -> Fraction:
    r"""Return $\sum_iw_i\|\frac1{nw_i}a_i-\bar a\|^2$, the difference of the terms of Assumption 6.

    >>> weighted_variance([[Fraction(1)], [Fraction(3)]], [Fraction(1, 4), Fraction(3, 4)])
    Fraction(0, 1)
    """
    n, bar, total = len(X), average(X), Fraction(0)
    for v, row in zip(w, X, strict=True):
        total += v * squared_norm([a / (n * v) - b for a, b in zip(row, bar, strict=True)])
    return total


def check_case(X: Rows, q: Sequence[Fraction], *, quantized: bool, tau: int) -> dict[str, bool]:
    r"""Check that Lemma 4 is an equality, and that the library has the same error.

    Args:
        X: rows with rational norms, shape (n, d).
        q: probabilities of the draws.
        quantized: True for ISCC of IQ, omega = d - 1; False for importance sampling, omega = 0.
        tau: number of draws, 1 or 2.

    Returns:
        S is unbiased; its error is $\frac1\tau\big((\omega+1)\frac1n\sum_i\frac1{nq_i}\|a_i\|^2
        -\|\bar a\|^2\big)$; the same as :func:`exact.sampling_error`; the weighted terms differ by
        a variance.

    Source: Lemma 4, Assumption 6.

    >>> X, q = draw_case(np.random.default_rng(0), 2, 2)
    >>> all(check_case(X, q, quantized=True, tau=1).values())
    True
    """
    law = one_draw(X, q, quantized=quantized)
    mean, error = mean_and_error(law if tau == 1 else mean_of_two(law), average(X))
    omega = len(X[0]) - 1 if quantized else 0
    weighted, square = weighted_mean_square(X, q), squared_norm(average(X))
    bits = exact.iq_bits if quantized else None
    return {
        "unbiased": mean == average(X),
        "equality": error == ((1 + omega) * weighted - square) / tau,
        "same as library": error == exact.sampling_error(X, q, tau, bits),
        "spread": weighted - square == weighted_variance(X, q),
    }


class Draws(NamedTuple):
    """Rounds of ISCC.

    Args:
        hits: number of draws of each client, shape (n,).
        errors: squared error of the mean in each round.
        one_client: True if every outcome was the message of exactly one client.
    """

    hits: NDArray[np.float64]
    errors: NDArray[np.float64]
    one_client: bool


def sampled_draws(
    iscc: Compressor, X: NDArray[np.float64], q: NDArray[np.float64], *, rounds: int, seed: int
) -> Draws:
    r"""Run ISCC of IQ, and find the sending client of each round by the size $\|a_i\|/(nq_i)$.

    Args:
        iscc: ISCC of IQ with the probabilities q.
        X: rows of different sizes, shape (n, d).
        q: probabilities, shape (n,).
        rounds: number of rounds.
        seed: seed of the keys.

    >>> from cqlib.compressors import make
    >>> q = np.array([0.5, 0.5])
    >>> iscc = make("iscc", inner=make("iq"), probabilities=tuple(q))
    >>> found = sampled_draws(iscc, np.array([[1.0, 0.0], [0.0, 3.0]]), q, rounds=4, seed=0)
    >>> found.one_client, float(found.hits.sum())
    (True, 4.0)
    """
    n, mean = len(X), X.mean(0)
    lengths = np.linalg.norm(X, axis=1) / (n * q)
    hits, errors, one_client = np.zeros(n), [], True
    for t in range(rounds):
        S = iscc.mean(torch.from_numpy(X), key=Key(seed, t)).numpy()
        near = np.isclose(np.abs(S)[:, None], lengths, rtol=1e-6).all(axis=0)
        one_client &= bool(near.sum() == 1)
        hits += near
        errors.append(((S - mean) ** 2).sum())
    return Draws(hits, np.array(errors), one_client)
