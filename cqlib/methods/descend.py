"""The loop that all methods share: x^{t+1} = x^t - stepsize g^t, for a whole batch at once.

Methods differ in how the server computes its direction g^t. A method is an ``init`` and a ``step``
that turn the clients' gradients into a :class:`Progress`; everything else is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cqlib.compressors import average
from cqlib.keys import Key
from cqlib.methods.trace import Trace
from cqlib.problems import Problem

# A member whose squared gradient norm has grown by this factor has diverged.
DIVERGENCE_GROWTH = 1e16
_BLOCK = 1024  # rows of a trace in one array


class Progress(NamedTuple):
    """Outcome of one communication round."""

    memory: Any  # state of clients and server: a frozen dataclass of tensors, batch axis first
    direction: Tensor  # g^t, shape (b, d)
    bits: float  # sent by each client in this round


class Init(Protocol):
    """First round of a method."""

    def __call__(self, gradients: Tensor, *, key: Key) -> Progress:
        """Take the gradients at x^0, shape (b, n, d)."""


class Step(Protocol):
    """Any later round of a method."""

    def __call__(self, memory: Any, gradients: Tensor, *, key: Key) -> Progress:
        """Take the gradients at the new iterate, shape (b, n, d)."""


def descend(
    problem: Problem,
    init: Init,
    step: Step,
    *,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Trace:
    """Run a method for every seed and every stepsize, all in one batch.

    Gradients are computed for the whole batch at once. Messages are computed for all members of a
    seed at once, since these share all randomness.

    Args:
        problem: the problem to minimise.
        init: the method's first round.
        step: its later rounds.
        stepsize: a positive number, or several.
        bit_budget: stop before a client would have sent more bits than this.
        rounds: stop after this many rounds; give this or ``bit_budget``.
        seed: seed of all randomness, in [0, 2^64), or several.

    Returns:
        The trace, with a column for every seed and stepsize, seed by seed. A member has diverged
        when its squared gradient norm is not finite or has grown by ``DIVERGENCE_GROWTH``: its
        entries are infinite from there on.

    Raises:
        ValueError: unless stepsizes are positive and finite, seeds are different integers in range,
            and exactly one of ``bit_budget`` and ``rounds`` is given.
    """
    gamma, keys = _check_stepsize(stepsize), _keys(seed)
    if (bit_budget is None) == (rounds is None):
        raise ValueError("give exactly one of bit_budget and rounds")
    for name, limit in (("bit_budget", bit_budget), ("rounds", rounds)):
        if limit is not None and not 0 <= limit < np.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {limit}")

    def goes_on(group: _Group) -> bool:
        if len(group.x) == 0 or (rounds is not None and group.key.round >= rounds):
            return False
        return bit_budget is None or group.sent + group.latest.bits <= bit_budget

    b = len(gamma)
    x = problem.x0.expand(b * len(keys), -1)
    value, gradients = problem.value_and_gradients(x)
    norm_sq = average_norm_sq(gradients)
    limit_sq = DIVERGENCE_GROWTH * norm_sq[0]
    groups = []
    for own, key in zip(torch.split(torch.arange(len(x)), b), keys, strict=True):
        groups.append(_Group(own, own, gamma, x[own], key, 0.0, init(gradients[own], key=key)))
    record = _Record(len(x))
    record.add(groups, norm_sq, value)
    while groups := [group for group in groups if goes_on(group)]:
        groups = [group.moved() for group in groups]
        value, gradients = problem.value_and_gradients(torch.cat([group.x for group in groups]))
        norm_sq = average_norm_sq(gradients)  # not finite if any gradient is not
        alive = torch.isfinite(value) & (norm_sq <= limit_sq)
        if not bool(alive.all()):
            parts = torch.split(alive, [len(group.x) for group in groups])
            groups = [group.only(part) for group, part in zip(groups, parts, strict=True)]
            value, norm_sq, gradients = value[alive], norm_sq[alive], gradients[alive]
        record.add(groups, norm_sq, value)
        parts = torch.split(gradients, [len(group.x) for group in groups])
        groups = [group.sends(step, part) for group, part in zip(groups, parts, strict=True)]
    bits, norms, values = record.columns()
    seeds = np.array([key.seed for key in keys], dtype=np.uint64)
    return Trace(bits, norms, values, np.tile(gamma.numpy(), len(keys)), np.repeat(seeds, b))


@dataclass(frozen=True)
class _Group:
    """The members of one seed."""

    columns: Tensor  # columns of the trace that belong to all members
    running: Tensor  # columns of the members that have not diverged, shape (b,)
    gamma: Tensor  # their stepsizes, shape (b,)
    x: Tensor  # their iterates, shape (b, d)
    key: Key  # of the latest message; its round is the number of rounds done
    sent: float  # bits that each client had sent when x was reached
    latest: Progress  # the message that the next iterate is made from

    def moved(self) -> _Group:
        """Take the step along the latest direction."""
        x = self.x - self.gamma[:, None] * self.latest.direction
        return replace(self, x=x, key=self.key.next(), sent=self.sent + self.latest.bits)

    def only(self, alive: Tensor) -> _Group:
        """Drop members that have diverged."""
        kept = self.running[alive], self.gamma[alive], self.x[alive]
        latest = self.latest._replace(memory=_select(self.latest.memory, alive))
        return _Group(self.columns, *kept, self.key, self.sent, latest)

    def sends(self, step: Step, gradients: Tensor) -> _Group:
        """Let the clients send their next message."""
        if len(gradients) == 0:
            return self
        return replace(self, latest=step(self.latest.memory, gradients, key=self.key))


class _Record:
    """Bits, squared norm and value of all columns, row by row; NaN for seeds that have ended.

    Rows are stored in large blocks. Rows allocated one by one, between the gradients of each round,
    would fragment the heap, and long runs would take gigabytes.
    """

    def __init__(self, b: int) -> None:
        self.b = b
        self.blocks: list[NDArray[np.float64]] = []
        self.rows = 0

    def add(self, groups: list[_Group], norm_sq: Tensor, value: Tensor) -> None:
        place = self.rows % _BLOCK
        if place == 0:
            self.blocks.append(np.full((3, _BLOCK, self.b), np.nan))
        row = self.blocks[-1][:, place]
        for group in groups:
            row[:, group.columns.numpy()] = np.array([[group.sent], [np.inf], [np.inf]])
        running = torch.cat([group.running for group in groups]).numpy()
        row[1:, running] = torch.stack([norm_sq, value]).cpu().numpy()
        self.rows += 1

    def columns(self) -> NDArray[np.float64]:
        """Return all rows, shape (3, rows, b)."""
        return np.concatenate(self.blocks, axis=1)[:, : self.rows].copy()


def _keys(seed: int | Sequence[int]) -> list[Key]:
    keys = [Key(each) for each in np.atleast_1d(np.asarray(seed, dtype=object)).tolist()]
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(f"seed must be one integer or several different ones, got {seed!r}")
    return keys


def _check_stepsize(stepsize: ArrayLike) -> Tensor:
    gamma = np.atleast_1d(np.asarray(stepsize, dtype=np.float64))
    if gamma.ndim != 1 or not (np.isfinite(gamma) & (gamma > 0)).all() or not len(gamma):
        raise ValueError(f"stepsize must be a positive number or several, got {stepsize!r}")
    return torch.from_numpy(gamma.copy())


def average_norm_sq(gradients: Tensor) -> Tensor:
    """Squared norm of the clients' average gradient: shape (b, n, d) to (b,)."""
    return (average(gradients) ** 2).sum(dim=-1)


def _select(memory: Any, alive: Tensor) -> Any:
    """Return a method's memory without the members of the batch that have diverged."""
    if memory is None:
        return None
    if not isinstance(memory, Tensor):
        kept = {f.name: _select(getattr(memory, f.name), alive) for f in fields(memory)}
        return type(memory)(**kept)
    return memory[alive]
