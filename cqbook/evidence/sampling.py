"""Samples against expectations: standard errors, scores, and limits for several tests.

The tests of a page share one family-wise level: if all expectations are right, the probability that
any test fails is at most this level (Bonferroni).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from scipy.stats import t as student

from cqlib import Key
from cqlib.compressors import Compressor

Array = NDArray[np.float64]


def squared_errors(
    compressor: Compressor, X: torch.Tensor, *, rounds: int, seed: int, first_round: int = 0
) -> Array:
    r"""Return $\|\frac1n\sum_i\mathcal C_i(a_i)-\bar a\|^2$ in each of a number of rounds.

    Args:
        compressor: the compressor; its ``mean`` is used.
        X: rows $a_i$, shape (n, d).
        rounds: number of rounds.
        seed: seed of the keys.
        first_round: number of the first round.

    Returns:
        Shape (rounds,).

    >>> from cqlib.compressors import make
    >>> squared_errors(make("identity"), torch.eye(2), rounds=2, seed=0).tolist()
    [0.0, 0.0]
    """
    target = X.mean(0)
    keys = [Key(seed, round=first_round + t) for t in range(rounds)]
    return np.array([float(((compressor.mean(X, key=k) - target) ** 2).sum()) for k in keys])


def standard_error(samples: Array) -> Any:
    """Return the standard error of the mean over axis 0; a float if there is only this axis.

    >>> standard_error(np.array([1.0, 3.0]))
    1.0
    """
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return float(error) if samples.ndim == 1 else error


def scores(samples: Array, expected: ArrayLike) -> Any:
    """Return the deviation of the mean over axis 0 from the expectation, in standard errors.

    Args:
        samples: shape (k, ...), k >= 2.
        expected: expectation, of a shape that broadcasts to (...).

    Returns:
        Signed scores, shape (...); a float if there is only axis 0.

    >>> scores(np.array([1.0, 3.0]), 1.0)
    1.0
    """
    found = (samples.mean(axis=0) - np.asarray(expected)) / standard_error(samples)
    return float(found) if samples.ndim == 1 else found


def normal_scores(difference: Any, error: Any, rounds: Any) -> Any:
    """Convert Student's t, a difference over its standard error, to a normal score.

    With few samples large values of t are likely. The normal score has the same tail probability as
    t. So scores of different numbers of samples can be compared with one limit.

    Args:
        difference: difference of a mean from its expectation.
        error: standard error of this mean.
        rounds: number of samples, at least 2.

    Returns:
        Signed scores, of the shape of the arguments.

    >>> round(float(normal_scores(2.0, 1.0, 5)), 2), round(float(normal_scores(2.0, 1.0, 10**6)), 2)
    (1.57, 2.0)
    """
    tail = student.logsf(np.abs(difference / error), df=rounds - 1)
    size = -norm.ppf(np.exp(np.maximum(tail, -700.0)))
    return np.copysign(size, difference)


def limit(level: float, tests: int) -> float:
    """Return the two-sided limit of absolute normal scores for a family-wise level.

    >>> round(limit(0.05, 1), 2), round(limit(1e-6, 100), 2)
    (1.96, 5.73)
    """
    return float(norm.isf(level / (2 * tests)))


def student_limit(level: float, tests: int, samples: int) -> float:
    """Return the two-sided limit of absolute t scores of few samples for a family-wise level.

    >>> round(student_limit(0.05, 1, 5), 2)
    2.78
    """
    return float(student.isf(level / (2 * tests), df=samples - 1))


def bernstein_radius(samples: Array, spread: ArrayLike, level: float) -> Array:
    r"""Return a bound of the distance of the mean over axis 0 from its expectation, for any law.

    It is $\sqrt{2v\Lambda/k}+\frac{7s\Lambda}{3(k-1)}$ with $\Lambda=\log\frac4{level}$, the sample
    variance v and k samples. It is exceeded with probability at most ``level``.

    Args:
        samples: shape (k, ...).
        spread: s, length of an interval that contains all values, of a shape that broadcasts.
        level: level of one coordinate.

    Source: the empirical Bernstein inequality, Maurer and Pontil 2009, both sides.

    >>> float(bernstein_radius(np.zeros(8), 3.0, 4 / np.e))
    1.0
    """
    k, log = len(samples), np.log(4 / level)
    radius = np.sqrt(2 * samples.var(axis=0, ddof=1) * log / k)
    return np.asarray(radius + 7 * np.asarray(spread) * log / (3 * (k - 1)))
