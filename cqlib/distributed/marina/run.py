"""MARINA as a distributed program, a client a process.

Start it by torchrun::

    torchrun --nproc-per-node 4 -m cqlib.distributed.marina --dataset a9a --compressor cq
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cqlib.compressors import Compressor, average
from cqlib.distributed.collectives import Group
from cqlib.distributed.marina.checkpoint import Checkpoint
from cqlib.distributed.mean import mean
from cqlib.keys import Key, Stream
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS

COLUMNS = ("round", "bits", "grad_norm_sq", "value")


@dataclass(frozen=True)
class Plan:
    """What a run does, the same on all processes.

    Args:
        compressor: C.
        p: probability of a round of whole gradients, in (0, 1].
        stepsize: gamma.
        rounds: T.
        seed: of coins and compressor.
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
    plan: Plan,
    *,
    group: Group,
    facts: Mapping[str, str],
    start: Checkpoint | None = None,
    on_row: Callable[[Checkpoint], None] = lambda _: None,
    on_save: Callable[[Checkpoint], None] = lambda _: None,
) -> Checkpoint:
    r"""Run Algorithm 1; this process is the client of its rank.

    Iterates have the bits of ``methods.marina_by_bytes``. A client's whole gradient goes as
    float64, and counts 32 bits a coordinate, as in the paper; those that only the log needs count
    nothing.

    Args:
        problem: what to minimise, with as many clients as processes.
        plan: what to do.
        group: the processes.
        facts: what the run is, for its checkpoints.
        start: where to go on.
        on_row: called after every row of the log, with where the run stands.
        on_save: called when a checkpoint is due.

    Returns:
        Where the run stands in the end.

    Raises:
        NotEncodedError: on all processes, if the run diverges beyond what can be sent.
        ValueError: for a problem of another number of clients.

    Source: Algorithm 1.
    """
    if problem.n != group.size:
        raise ValueError(f"the problem is of {problem.n} clients, and there are {group.size}")
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
    while at.round < plan.rounds:
        old, key, counted = own, Key(plan.seed, at.round + 1), group.sent_bytes
        x = at.x - plan.stepsize * at.direction
        own = problem.gradient(group.rank, x)
        if key.uniform(Stream.COIN) < plan.p:
            direction, cost = _whole(own, group), float(FLOAT_BITS * d)
        else:
            direction = at.direction + mean(
                own - old, compressor=plan.compressor, key=key, group=group
            )
            cost = plan.compressor.bits(d, group.size)
        at = replace(
            at,
            round=at.round + 1,
            sent_bits=at.sent_bits + at.cost_bits,
            cost_bits=cost,
            sent_bytes=at.sent_bytes + group.sent_bytes - counted,
            x=x,
            direction=direction,
        )
        last = at.round == plan.rounds
        if last or at.round % plan.log_every == 0:
            at = _logged(problem, at, _whole(own, group))
            on_row(at)
        if last or at.round % plan.save_every == 0:
            on_save(at)
    return at


def _whole(own: Tensor, group: Group) -> Tensor:
    """Mean of the clients' whole gradients, in float64, in their order."""
    gathered = group.all_gather(own.contiguous().view(torch.uint8))
    return average(gathered.view(torch.float64))


def _logged(problem: Problem, at: Checkpoint, gradient: Tensor) -> Checkpoint:
    row = [at.round, at.sent_bits, float((gradient**2).sum()), float(problem.value(at.x))]
    return replace(at, rows=torch.cat([at.rows, torch.tensor([row], dtype=torch.float64)]))
