"""Distributed gradient descent: every client sends its whole gradient in every round."""

from __future__ import annotations

from numpy.typing import ArrayLike
from torch import Tensor

from cqlib.compressors import average
from cqlib.keys import Key
from cqlib.methods.descend import Progress, descend
from cqlib.methods.trace import Trace
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS


def gd_init(gradients: Tensor, *, key: Key) -> Progress:
    """Send all gradients."""
    return Progress(None, average(gradients), FLOAT_BITS * gradients.shape[-1])


def gd_step(memory: None, gradients: Tensor, *, key: Key) -> Progress:
    """Send all gradients, again."""
    return gd_init(gradients, key=key)


def gd(
    problem: Problem,
    *,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
) -> Trace:
    r"""Run gradient descent, $x^{t+1}=x^t-\gamma\nabla f(x^t)$, 32 d bits per client per round.

    Args:
        problem: the problem to minimise.
        stepsize: $\gamma$, a number or shape (b,).
        bit_budget: bits that a client may send.
        rounds: number of rounds; give this or ``bit_budget``.

    Raises:
        ValueError: unless stepsizes are positive and finite, and exactly one of ``bit_budget`` and
            ``rounds`` is given.

    Source: Section 1; MARINA with p = 1.

    >>> from cqlib import data, problems
    >>> problem = problems.logistic(data.load("breast_cancer"), n_clients=30, reg=0.1)
    >>> trace = gd(problem, stepsize=1 / problem.smoothness().L_minus, rounds=3)
    >>> trace.bits[:, 0].tolist()
    [0.0, 960.0, 1920.0, 2880.0]
    """
    return descend(
        problem, gd_init, gd_step, stepsize=stepsize, bit_budget=bit_budget, rounds=rounds
    )
