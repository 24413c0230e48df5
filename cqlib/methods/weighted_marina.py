"""Weighted MARINA: MARINA with one random map of all clients' vectors in place of their average."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from cqlib.methods.marina import CombinatorialCompressor, marina
from cqlib.methods.trace import Trace
from cqlib.problems import Problem


def weighted_marina(
    problem: Problem,
    compressor: CombinatorialCompressor,
    *,
    p: float,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Trace:
    r"""Run weighted MARINA (Algorithm 4).

    $x^{t+1}=x^t-\gamma g^t$; with probability p, $g^{t+1}=\nabla f(x^{t+1})$ at 32 d bits per
    client, else $g^{t+1}=g^t+S(\{\nabla f_i(x^{t+1})-\nabla f_i(x^t)\}_i)$ at
    ``compressor.bits(d, n)``. If S is the average of compressors of single clients, independent or
    correlated, this is MARINA; the code is the same.

    Args:
        problem: the problem to minimise.
        compressor: S.
        p: probability of a round of whole gradients, in (0, 1].
        stepsize: $\gamma$, a number or shape (b,); see ``theory.marina_stepsize`` (with the
            weighted constants) and ``theory.iscc_stepsize``.
        bit_budget: bits that a client may send; the first whole gradient counts.
        rounds: number of rounds; give this or ``bit_budget``.
        seed: seed of coins and compressor, in [0, 2^64), or several, run in one batch.

    Raises:
        ValueError: unless stepsizes are positive and finite, exactly one of ``bit_budget`` and
            ``rounds`` is given, and p is in (0, 1].

    Source: Algorithm 4; Theorem 2 is its guarantee.

    >>> from cqlib import compressors, problems
    >>> task = problems.quadratic_smoothness(n=4, d=8, noise=1.0, reg=0.0, seed=0)
    >>> iscc = compressors.make("iscc", inner=compressors.make("iq"))
    >>> trace = weighted_marina(task, iscc, p=0.01, stepsize=0.1, rounds=3, seed=1)
    >>> trace.bits[:, 0].tolist()  # whole gradients first, then 8 + 32 bits from one of 4 clients
    [0.0, 256.0, 266.0, 276.0]
    """
    return marina(
        problem,
        compressor,
        p=p,
        stepsize=stepsize,
        bit_budget=bit_budget,
        rounds=rounds,
        seed=seed,
    )
