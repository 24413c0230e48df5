"""The loop that all methods share: x^{t+1} = x^t - stepsize g^t, for a whole batch at once.

Methods differ in how the server computes its direction g^t. A method is an ``init`` and a ``step``
that turn the clients' gradients into a :class:`Progress`; everything else is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cqlib.compressors import average
from cqlib.keys import Key, runs_of_keys
from cqlib.methods.trace import Trace
from cqlib.problems import Problem

# A member whose squared gradient norm has grown by this factor has diverged.
DIVERGENCE_GROWTH = 1e16
_BLOCK = 1024  # rows of a trace in one array

Bits: TypeAlias = NDArray[np.float64]


class Progress(NamedTuple):
    """Outcome of one communication round."""

    memory: Any  # state of clients and server: a frozen dataclass of tensors, batch axis first
    direction: Tensor  # g^t, shape (b, d)
    bits: float | Bits  # sent by each client in this round; shape (b,) if members differ


class Init(Protocol):
    """First round of a method."""

    def __call__(self, gradients: Tensor, *, key: Key) -> Progress:
        """Take the gradients at x^0, shape (b, n, d)."""


class Step(Protocol):
    """Any later round of a method."""

    def __call__(self, memory: Any, gradients: Tensor, *, key: Key) -> Progress:
        """Take the gradients at the new iterate, shape (b, n, d)."""


class InitOfSeeds(Protocol):
    """First round of a method, for the members of all seeds at once."""

    def __call__(self, gradients: Tensor, *, keys: Sequence[Key]) -> Progress:
        """Take the gradients at x^0, shape (b, n, d), and the key of each member."""


class StepOfSeeds(Protocol):
    """Any later round of a method, for the members of all seeds at once."""

    def __call__(self, memory: Any, gradients: Tensor, *, keys: Sequence[Key]) -> Progress:
        """Take the gradients at the new iterate, shape (b, n, d), and the key of each member."""


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
    seed at once, since these share all randomness; see :func:`descend_together` for all seeds.

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
    return descend_together(
        problem,
        partial(_seed_by_seed, init),
        partial(_seed_by_seed, step),
        stepsize=stepsize,
        bit_budget=bit_budget,
        rounds=rounds,
        seed=seed,
    )


def descend_together(
    problem: Problem,
    init: InitOfSeeds,
    step: StepOfSeeds,
    *,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Trace:
    """Do the same as :func:`descend`, with messages for the members of all seeds at once.

    This saves time where messages are small. Members of one seed are neighbours.
    """
    gamma, seeds = _check_stepsize(stepsize), _keys(seed)
    if (bit_budget is None) == (rounds is None):
        raise ValueError("give exactly one of bit_budget and rounds")
    for name, limit in (("bit_budget", bit_budget), ("rounds", rounds)):
        if limit is not None and not 0 <= limit < np.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {limit}")

    members = _Members.all(problem.x0, gamma, len(seeds))
    value, gradients = problem.value_and_gradients(members.x)
    norm_sq = average_norm_sq(gradients)
    limit_sq = DIVERGENCE_GROWTH * norm_sq[0]
    record = _Record(len(members.x), len(gamma))
    record.add(members, members.columns, norm_sq, value)
    keys, t = seeds, 0
    latest = init(gradients, keys=members.each(keys))
    while rounds is None or t < rounds:
        if bit_budget is not None:
            affordable = members.sent + latest.bits <= bit_budget
            members, latest = _kept(members, latest, torch.from_numpy(affordable))
        if len(members.x) == 0:
            break
        members = members.moved(latest)
        keys, t = [key.next() for key in keys], t + 1
        value, gradients = problem.value_and_gradients(members.x)
        norm_sq = average_norm_sq(gradients)  # not finite if any gradient is not
        alive, going_on = torch.isfinite(value) & (norm_sq <= limit_sq), members
        if not bool(alive.all()):
            members, latest = _kept(members, latest, alive)
            value, norm_sq, gradients = value[alive], norm_sq[alive], gradients[alive]
        record.add(going_on, members.columns, norm_sq, value)
        if len(members.x):
            latest = step(latest.memory, gradients, keys=members.each(keys))
    bits, norms, values = record.columns()
    numbers = np.array([key.seed for key in seeds], dtype=np.uint64)
    stepsizes = np.tile(gamma.numpy(), len(seeds))
    return Trace(bits, norms, values, stepsizes, np.repeat(numbers, len(gamma)))


@dataclass(frozen=True)
class _Members:
    """The members of the batch that have not ended, seed by seed."""

    columns: NDArray[np.int64]  # their columns of the trace, shape (b,)
    seeds: NDArray[np.int64]  # number of their seed, ascending, shape (b,)
    gamma: Tensor  # their stepsizes, shape (b,)
    x: Tensor  # their iterates, shape (b, d)
    sent: Bits  # that each client had sent when x was reached, shape (b,)

    @staticmethod
    def all(x0: Tensor, gamma: Tensor, seeds: int) -> _Members:
        """Return all members at the start."""
        b = len(gamma)
        columns = np.arange(b * seeds)
        gammas = gamma.repeat(seeds).to(x0.device)
        return _Members(
            columns, columns // b, gammas, x0.expand(b * seeds, -1), np.zeros(b * seeds)
        )

    def each(self, keys: list[Key]) -> list[Key]:
        """Return the key of each member from those of the seeds."""
        return [keys[seed] for seed in self.seeds.tolist()]

    def moved(self, latest: Progress) -> _Members:
        """Take the step along the latest direction."""
        x = self.x - self.gamma[:, None] * latest.direction
        return replace(self, x=x, sent=self.sent + latest.bits)

    def only(self, kept: Tensor) -> _Members:
        """Drop the others."""
        here = kept.cpu().numpy()
        gamma, x = self.gamma[kept], self.x[kept]
        return _Members(self.columns[here], self.seeds[here], gamma, x, self.sent[here])


def _kept(members: _Members, latest: Progress, kept: Tensor) -> tuple[_Members, Progress]:
    """Drop members, and their part of a message."""
    if bool(kept.all()):
        return members, latest
    bits = np.broadcast_to(latest.bits, len(kept))[kept.cpu().numpy()]
    memory, direction = _select(latest.memory, kept), latest.direction[kept]
    return members.only(kept), Progress(memory, direction, bits)


def _seed_by_seed(round_of_one: Any, *given: Any, keys: Sequence[Key]) -> Progress:
    """Do a round of the members of each seed, and join the outcomes."""
    found, start = [], 0
    for key, end in zip(*runs_of_keys(keys), strict=True):
        part = slice(start, end)
        found.append(round_of_one(*[_select(each, part) for each in given], key=key))
        start = end
    sizes = [len(each.direction) for each in found]
    bits = np.repeat([float(each.bits) for each in found], sizes)
    memory = _joined([each.memory for each in found])
    return Progress(memory, torch.cat([each.direction for each in found]), bits)


class _Record:
    """Bits, squared norm and value of all columns, row by row; NaN for seeds that have ended.

    Rows are stored in large blocks. Rows allocated one by one, between the gradients of each round,
    would fragment the heap, and long runs would take gigabytes.
    """

    def __init__(self, columns: int, stepsizes: int) -> None:
        self.seed_of = np.arange(columns) // stepsizes
        self.blocks: list[NDArray[np.float64]] = []
        self.rows = 0

    def add(
        self, going_on: _Members, running: NDArray[np.int64], norm_sq: Tensor, value: Tensor
    ) -> None:
        """Add a row: infinity for those members of seeds that go on which do not run."""
        place = self.rows % _BLOCK
        if place == 0:
            self.blocks.append(np.full((3, _BLOCK, len(self.seed_of)), np.nan))
        row = self.blocks[-1][:, place]
        sent = np.full(self.seed_of[-1] + 1, np.nan)
        sent[going_on.seeds] = going_on.sent  # the same for all members of a seed
        row[0] = sent[self.seed_of]
        row[1:, ~np.isnan(row[0])] = np.inf
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


def _select(memory: Any, part: Tensor | slice) -> Any:
    """Return a method's memory, or any tensor, of a part of the batch."""
    if memory is None or isinstance(memory, Tensor):
        return memory if memory is None else memory[part]
    kept = {f.name: _select(getattr(memory, f.name), part) for f in fields(memory)}
    return type(memory)(**kept)


def _joined(memories: list[Any]) -> Any:
    """Return the memory of a batch from those of its parts."""
    first = memories[0]
    if first is None or isinstance(first, Tensor):
        return first if first is None else torch.cat(memories)
    names = [f.name for f in fields(first)]
    return type(first)(**{name: _joined([getattr(m, name) for m in memories]) for name in names})
