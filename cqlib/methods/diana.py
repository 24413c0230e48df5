"""DIANA: clients compress their gradient minus a shift that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cqlib.compressors import Compressor, average
from cqlib.keys import Key
from cqlib.methods.descend import Progress, descend
from cqlib.methods.trace import Trace
from cqlib.problems import Problem


@dataclass(frozen=True)
class DianaMemory:
    """State that the clients and the server keep between rounds."""

    shifts: Tensor  # h_i of the clients, shape (b, n, d)


def diana_init(gradients: Tensor, *, key: Key, compressor: Compressor, alpha: float) -> Progress:
    """Start from shifts of zero: the first message is the compressed gradient."""
    memory = DianaMemory(torch.zeros_like(gradients))
    return diana_step(memory, gradients, key=key, compressor=compressor, alpha=alpha)


def diana_step(
    memory: DianaMemory, gradients: Tensor, *, key: Key, compressor: Compressor, alpha: float
) -> Progress:
    """Send compressed differences from the shifts, and add alpha times the messages to these."""
    n, d = gradients.shape[-2:]
    sent = compressor.compress(gradients - memory.shifts, key=key)
    direction = average(memory.shifts) + average(sent)
    return Progress(DianaMemory(memory.shifts + alpha * sent), direction, compressor.bits(d, n))


def diana(
    problem: Problem,
    compressor: Compressor,
    *,
    stepsize: ArrayLike,
    alpha: float | None = None,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Trace:
    r"""Run DIANA: $m_i=C_i(\nabla f_i(x^t)-h_i^t)$, $h_i^{t+1}=h_i^t+\alpha m_i$, $h_i^0=0$.

    $x^{t+1}=x^t-\gamma\big(\frac1n\sum_ih_i^t+\frac1n\sum_im_i\big)$. The shifts converge to the
    gradients at the solution, so that the compressed differences vanish there.

    Args:
        problem: the problem to minimise.
        compressor: C.
        stepsize: $\gamma$, a number or shape (b,).
        alpha: in (0, 1]; by default $\frac1{1+\omega}$, the largest that the theory allows.
        bit_budget: bits that a client may send.
        rounds: number of rounds; give this or ``bit_budget``.
        seed: seed of the compressor, in [0, 2^64), or several, run in one batch.

    Raises:
        ValueError: unless stepsizes are positive and finite, alpha is in (0, 1], and exactly one of
            ``bit_budget`` and ``rounds`` is given; without alpha, if the compressor has no omega.

    Source: Mishchenko, Gorbunov, Takáč, Richtárik 2019; Horváth et al. 2023.

    >>> from cqlib import compressors, problems
    >>> task = problems.quadratic_hessian_variance(n=4, d=8, noise=0.5, reg=0.1, seed=0)
    >>> diana(task, compressors.make("iq"), stepsize=0.1, rounds=2).bits[:, 0].tolist()
    [0.0, 40.0, 80.0]
    """
    if alpha is None:
        alpha = 1 / (1 + compressor.omega(problem.d, problem.n))
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha must be in (0, 1], got {alpha}")
    return descend(
        problem,
        partial(diana_init, compressor=compressor, alpha=alpha),
        partial(diana_step, compressor=compressor, alpha=alpha),
        stepsize=stepsize,
        bit_budget=bit_budget,
        rounds=rounds,
        seed=seed,
    )
