"""Distributed compressed gradient descent: clients compress their gradients, not changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from numpy.typing import ArrayLike
from torch import Tensor

from cqlib.keys import Key
from cqlib.methods.descend import Progress, descend_together
from cqlib.methods.marina import CombinatorialCompressor, mean_of_each
from cqlib.methods.trace import Trace
from cqlib.problems import Problem


def dcgd_init(
    gradients: Tensor, *, keys: Sequence[Key], compressor: CombinatorialCompressor
) -> Progress:
    """Send all gradients, compressed; members of a batch have keys of their own."""
    n, d = gradients.shape[-2:]
    return Progress(None, mean_of_each(compressor, gradients, keys), compressor.bits(d, n))


def dcgd_step(
    memory: None, gradients: Tensor, *, keys: Sequence[Key], compressor: CombinatorialCompressor
) -> Progress:
    """Send all gradients, compressed, again."""
    return dcgd_init(gradients, keys=keys, compressor=compressor)


def dcgd(
    problem: Problem,
    compressor: CombinatorialCompressor,
    *,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Trace:
    r"""Run DCGD: $x^{t+1}=x^t-\gamma\frac1n\sum_iC_i(\nabla f_i(x^t))$.

    At a solution the clients' gradients are not zero unless they are equal. So the compressor's
    error does not vanish there, and the stepsize limits the accuracy.

    Args:
        problem: the problem to minimise.
        compressor: C, or any unbiased estimate of the mean.
        stepsize: $\gamma$, a number or shape (b,).
        bit_budget: bits that a client may send.
        rounds: number of rounds; give this or ``bit_budget``.
        seed: seed of the compressor, in [0, 2^64), or several, run in one batch.

    Raises:
        ValueError: unless stepsizes are positive and finite, and exactly one of ``bit_budget`` and
            ``rounds`` is given.

    Source: Khirirat, Feyzmahdavian, Johansson 2018; taken to be the
        baseline of Section 4.1.

    >>> from cqlib import compressors, problems
    >>> task = problems.quadratic_hessian_variance(n=4, d=8, noise=0.5, reg=0.1, seed=0)
    >>> dcgd(task, compressors.make("cq"), stepsize=0.1, rounds=2).bits[:, 0].tolist()
    [0.0, 40.0, 80.0]
    """
    return descend_together(
        problem,
        partial(dcgd_init, compressor=compressor),
        partial(dcgd_step, compressor=compressor),
        stepsize=stepsize,
        bit_budget=bit_budget,
        rounds=rounds,
        seed=seed,
    )
