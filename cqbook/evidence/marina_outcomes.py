"""Expectations of MARINA over all coins and all outcomes of the compressor."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Fractions = NDArray[Any]  # of fractions


def perm_k(
    A: Sequence[Fractions], x0: Fractions, p: Fraction, gamma: Fraction, T: int
) -> list[Fraction]:
    r"""Return the exact $\mathbb E\|\nabla f(x^t)\|^2$, t < T, of MARINA with PermK, n = d = 2.

    A compressed round has two outcomes: one client sends the first coordinate, doubled, the other
    client the second. So T rounds have $3^{T-1}$ branches.

    Args:
        A: Hessians of the two clients, whose mean has its minimum 0 at the origin, in fractions.
        x0: start, shape (2,), of fractions.
        p: probability of a round of whole gradients.
        gamma: stepsize.
        T: number of iterates.

    >>> from cqbook.evidence.exact_smoothness import symmetric
    >>> one = symmetric(1, 0, 1)
    >>> x0 = np.array([Fraction(1), Fraction(0)])
    >>> perm_k([one, one], x0, Fraction(1, 2), Fraction(1, 2), 2)  # equal clients: as GD
    [Fraction(1, 1), Fraction(1, 4)]
    """
    H = (A[0] + A[1]) / 2
    branches: list[tuple[Any, Fractions, Fractions]] = [(Fraction(1), x0, H @ x0)]
    squares: list[Fraction] = []
    for _ in range(T):
        squares.append(sum((c * ((H @ x) @ (H @ x)) for c, x, _ in branches), Fraction(0)))
        after = []
        for c, x, g in branches:
            y = x - gamma * g
            a = [each @ (y - x) for each in A]
            after.append((c * p, y, H @ y))
            for i in (0, 1):  # factor 2 of the client and 1/2 of the mean cancel
                sent = np.array([a[i][0], a[1 - i][1]])
                after.append((c * (1 - p) / 2, y, g + sent))
        branches = after
    return squares


def cq_equal_clients(x0: Array, n: int, p: float, gamma: float, T: int) -> Array:
    r"""Return shares of the guarantee after 1 to T rounds of MARINA with CQ and equal clients.

    $f_i(x)=\frac12\|x\|^2$. For equal inputs the number of clients that round a coordinate up is
    one of two neighbours of $ny$, so that a compressed round has $2^d$ outcomes.

    Args:
        x0: start, shape (d,), not 0.
        n: number of clients.
        p: probability of a round of whole gradients.
        gamma: stepsize.
        T: number of rounds.

    Returns:
        $\frac\gamma{2\Delta^0}\sum_{s<t}\mathbb E\|\nabla f(x^s)\|^2$, t = 1 to T, shape (T,).

    >>> cq_equal_clients(np.array([3.0]), 2, 0.5, 0.25, 2).round(4).tolist()  # d = 1: exact
    [0.25, 0.3906]
    """
    w, x, g, total = np.ones(1), x0[None], x0[None], []
    for t in range(T):
        total.append(w @ (x**2).sum(axis=1))
        if t == T - 1:
            break
        w, x, g = _next(w, x, g, n, p, gamma)
    return np.asarray(gamma * np.cumsum(total) / (x0 @ x0))


def _next(
    w: Array, x: Array, g: Array, n: int, p: float, gamma: float
) -> tuple[Array, Array, Array]:
    """Return probabilities, points and directions after a round, without probability 0."""
    a = -gamma * g
    norms = np.linalg.norm(a, axis=1, keepdims=True)
    y = n * (1 + np.divide(a, norms, out=np.zeros_like(a), where=norms > 0)) / 2
    ups = np.floor(y)
    branches = [(w * p, x + a)]
    for bits in np.array(list(product((0, 1), repeat=x.shape[1]))):
        chance = np.prod(np.where(bits, y - ups, 1 - (y - ups)), axis=1)
        branches.append((w * (1 - p) * chance, g + norms * (2 * (ups + bits) / n - 1)))
    weights = np.concatenate([chance for chance, _ in branches])
    directions = np.concatenate([direction for _, direction in branches])
    points = np.tile(x + a, (len(branches), 1))
    kept = weights > 0
    return weights[kept], points[kept], directions[kept]
