"""MARINA as a distributed program, one client per process.

Start it by torchrun::

    torchrun --nproc-per-node 4 -m cqlib.distributed.marina --dataset a9a --compressor cq
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cqlib.compressors import Compressor, average
from cqlib.distributed.collectives import Group, NotEncodedError
from cqlib.distributed.marina.checkpoint import Checkpoint
from cqlib.distributed.mean import mean
from cqlib.keys import Key, Stream
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS

COLUMNS = ("round", "bits", "grad_norm_sq", "value")


@dataclass(frozen=True)
class Settings:
    """The settings of a run, the same on all processes.

    Args:
        compressor: C.
        p: probability of a round of whole gradients, in (0, 1].
        stepsize: gamma.
        rounds: T.
        seed: seed of coins and compressor.
        log_every: rounds between two rows of the log; the last round has one, too.
        save_every: rounds between two checkpoints; the last round has one, too.
    """

    compressor: Compressor
    p: float
    stepsize: float
    rounds: int
    seed: int
    log_every: int = 10
    save_every: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise ValueError(f"p must be in (0, 1], got {self.p}")
        if not 0 < self.stepsize < float("inf"):
            raise ValueError(f"stepsize must be positive and finite, got {self.stepsize}")
        for name in ("log_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rounds < 0:
            raise ValueError(f"rounds must be at least 0, got {self.rounds}")
        Key(self.seed)


def run(
    problem: Problem,
    settings: Settings,
    *,
    group: Group,
    facts: Mapping[str, str],
    start: Checkpoint | None = None,
    on_row: Callable[[Checkpoint], None] = lambda _: None,
    on_save: Callable[[Checkpoint], None] = lambda _: None,
) -> Checkpoint:
    r"""Run Algorithm 1; this process is the client of its rank.

    Iterates have the bits of ``methods.marina_by_bytes``. A client's whole gradient is sent as
    float64 and counted as 32 bits per coordinate, as in the paper. Gradients that only the log
    needs are not counted.

    Args:
        problem: the problem to minimise, with as many clients as processes.
        settings: the settings of the run.
        group: the processes.
        facts: description of the run, for its checkpoints.
        start: checkpoint from which to continue.
        on_row: called after every row of the log, with the state of the run.
        on_save: called when a checkpoint is due, with the state of the run.

    Returns:
        The state of the run at its end.

    Raises:
        NotEncodedError: on all processes, if the run diverges and a vector is too large to send.
        ValueError: if the problem has another number of clients.

    Source: Algorithm 1.
    """
    if problem.n != group.size:
        raise ValueError(
            f"the problem has {problem.n} clients, but the group has {group.size} processes"
        )
    d = problem.d
    if start is None:
        own, counted = problem.gradient(group.rank, problem.x0), group.sent_bytes
        direction = _whole(own, group)
        at = Checkpoint(
            facts=facts,
            round=0,
            sent_bits=0.0,
            cost_bits=float(FLOAT_BITS * d),
            sent_bytes=group.sent_bytes - counted,
            x=problem.x0,
            direction=direction,
            rows=torch.zeros(0, len(COLUMNS), dtype=torch.float64),
        )
        at = _logged(problem, at, direction)
        on_row(at)
    else:
        at, own = start, problem.gradient(group.rank, start.x)
        if at.round == settings.rounds and float(at.rows[-1, 0]) != at.round:
            # It was saved between two rows, and more rounds were planned.
            at = _logged(problem, at, _whole(own, group))
            on_row(at)
            on_save(at)
    while at.round < settings.rounds:
        old, key, counted = own, Key(settings.seed, at.round + 1), group.sent_bytes
        x = at.x - settings.stepsize * at.direction
        own = problem.gradient(group.rank, x)
        if key.uniform(Stream.COIN) < settings.p:
            direction, cost = _whole(own, group), float(FLOAT_BITS * d)
        else:
            direction = at.direction + mean(
                own - old, compressor=settings.compressor, key=key, group=group
            )
            cost = settings.compressor.bits(d, group.size)
        at = replace(
            at,
            round=at.round + 1,
            sent_bits=at.sent_bits + at.cost_bits,
            cost_bits=cost,
            sent_bytes=at.sent_bytes + group.sent_bytes - counted,
            x=x,
            direction=direction,
        )
        last = at.round == settings.rounds
        if last or at.round % settings.log_every == 0:
            at = _logged(problem, at, _whole(own, group))
            on_row(at)
        if last or at.round % settings.save_every == 0:
            on_save(at)
    return at


def _whole(own: Tensor, group: Group) -> Tensor:
    """Average of the clients' whole gradients, in float64, in their order."""
    gathered = group.all_gather(own.contiguous().view(torch.uint8))
    return average(gathered.view(torch.float64))


def _logged(problem: Problem, at: Checkpoint, gradient: Tensor) -> Checkpoint:
    row = [at.round, at.sent_bits, float((gradient**2).sum()), float(problem.value(at.x))]
    if not all(map(math.isfinite, row)):  # the same on all processes
        raise NotEncodedError("its gradient or value is not finite")
    return replace(at, rows=torch.cat([at.rows, torch.tensor([row], dtype=torch.float64)]))
