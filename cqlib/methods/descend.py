"""The loop that all methods share: x^{t+1} = x^t - stepsize g^t, for a whole sweep at once.

Methods differ in how the server comes by its direction g^t. A method is an ``init`` and a ``step``
that turn the clients' gradients into a :class:`Round`; everything else is here.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cqlib.compressors import client_mean
from cqlib.keys import Key
from cqlib.methods.trace import Trace
from cqlib.problems import Problem

# A member whose squared gradient norm has grown by this much is beyond recovery.
DIVERGENCE_GROWTH = 1e16


class Round(NamedTuple):
    """Outcome of one communication round."""

    memory: Any  # what clients and server keep: a frozen dataclass of tensors, batch axis first
    direction: Tensor  # g^t, shape (b, d)
    bits: float  # sent by each client in this round


class Init(Protocol):
    """First round of a method."""

    def __call__(self, gradients: Tensor, *, key: Key) -> Round:
        """Take the gradients at x^0, shape (b, n, d)."""


class Step(Protocol):
    """Any later round of a method."""

    def __call__(self, memory: Any, gradients: Tensor, *, key: Key) -> Round:
        """Take the gradients at the new iterate, shape (b, n, d)."""


def descend(
    problem: Problem,
    init: Init,
    step: Step,
    *,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int = 0,
) -> Trace:
    """Run a method for every stepsize of a sweep.

    Args:
        problem: what to minimise.
        init: the method's first round.
        step: its later rounds.
        stepsize: positive number, or b of them: a sweep, sharing all randomness.
        bit_budget: stop before a client would have sent more bits than this.
        rounds: stop after this many rounds; give this or ``bit_budget``.
        seed: seed of all randomness, in [0, 2^64).

    Returns:
        The trace. A member whose squared gradient norm is not finite or has grown by
        ``DIVERGENCE_GROWTH`` has diverged: its entries are infinite from there on.
    """
    gamma = _check_stepsize(stepsize)
    if (bit_budget is None) == (rounds is None):
        raise ValueError("give exactly one of bit_budget and rounds")
    for name, limit in (("bit_budget", bit_budget), ("rounds", rounds)):
        if limit is not None and not 0 <= limit < np.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {limit}")

    b = len(gamma)
    active = torch.arange(b)
    x = problem.x0.expand(b, -1).clone()
    record = _Record(b)
    key = Key(seed)
    value, gradients = problem.value_and_gradients(x)
    norm_sq = _mean_norm_sq(gradients)
    limit_sq = DIVERGENCE_GROWTH * norm_sq
    record.add(active, 0.0, norm_sq, value)
    sent, done = 0.0, 0
    state = init(gradients, key=key)
    while len(active):
        if bit_budget is not None and sent + state.bits > bit_budget:
            break
        if rounds is not None and done >= rounds:
            break
        sent, done, key = sent + state.bits, done + 1, key.next()
        x = x - gamma[active][:, None] * state.direction
        value, gradients = problem.value_and_gradients(x)
        norm_sq = _mean_norm_sq(gradients)
        sane = torch.isfinite(value) & torch.isfinite(gradients).all(dim=(1, 2))
        alive = sane & (norm_sq <= limit_sq[active])
        if not bool(alive.all()):
            active, x, value, norm_sq = active[alive], x[alive], value[alive], norm_sq[alive]
            gradients, memory = gradients[alive], _select(state.memory, alive)
        else:
            memory = state.memory
        record.add(active, sent, norm_sq, value)
        if len(active):
            state = step(memory, gradients, key=key)
    return record.trace(gamma)


class _Record:
    """Collects the rows of a trace."""

    def __init__(self, b: int) -> None:
        self.b = b
        self.bits: list[float] = []
        self.rows: list[np.ndarray] = []

    def add(self, active: Tensor, bits: float, norm_sq: Tensor, value: Tensor) -> None:
        row = np.full((2, self.b), np.inf)
        row[:, active.numpy()] = torch.stack([norm_sq, value]).cpu().numpy()
        self.bits.append(bits)
        self.rows.append(row)

    def trace(self, gamma: Tensor) -> Trace:
        rows = np.stack(self.rows)
        bits = np.repeat(np.array(self.bits)[:, None], self.b, axis=1)
        return Trace(bits, rows[:, 0].copy(), rows[:, 1].copy(), gamma.numpy().copy())


def _check_stepsize(stepsize: ArrayLike) -> Tensor:
    gamma = np.atleast_1d(np.asarray(stepsize, dtype=np.float64))
    if gamma.ndim != 1 or not (np.isfinite(gamma) & (gamma > 0)).all() or not len(gamma):
        raise ValueError(f"stepsize must be a positive number or several, got {stepsize!r}")
    return torch.from_numpy(gamma.copy())


def _mean_norm_sq(gradients: Tensor) -> Tensor:
    return (client_mean(gradients) ** 2).sum(dim=-1)


def _select(memory: Any, alive: Tensor) -> Any:
    """Drop the members of a sweep that have diverged from a method's memory."""
    if memory is None:
        return None
    if not isinstance(memory, Tensor):
        kept = {f.name: _select(getattr(memory, f.name), alive) for f in fields(memory)}
        return type(memory)(**kept)
    return memory[alive]
