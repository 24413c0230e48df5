"""Tuning as in the paper (D.2.2): the best power of two times theory's stepsize."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cqlib import methods, theory
from cqlib.methods import Trace
from cqlib.methods.contenders import Contender
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS

Array = NDArray[np.float64]

# Largest number of coordinates of a batch, so that it fits in the caches.
_BATCH = 2**18
_LIMIT = 20  # exponents of two are tried from -20 to 20


class Budget(NamedTuple):
    """Bits that each client may send, and the progress of gradient descent with them."""

    bits: float
    decades: float  # decrease of the squared gradient norm at the best stepsize


def gd_budget(
    problem: Problem,
    *,
    decades: float,
    most_rounds: int,
    powers: Sequence[int],
    fewest_rounds: int = 0,
) -> Budget:
    """Find the bits with which tuned gradient descent gains a number of decades.

    Args:
        problem: the problem to minimise.
        decades: decrease of the squared gradient norm in powers of ten, positive.
        most_rounds: largest number of rounds, even if the decrease is smaller.
        powers: exponents of two; the candidates are 2^power / L_-.
        fewest_rounds: smallest number of rounds, even if the decrease is reached earlier.

    Raises:
        ValueError: if decades is not positive, the numbers of rounds are not 0 <= fewest <= most
            and most >= 1, or gradient descent diverges with all these stepsizes.

    >>> from cqlib import problems
    >>> task = problems.quadratic_hessian_variance(n=16, d=16, noise=0.0, reg=1e-3, seed=0)
    >>> gd_budget(task, decades=4, most_rounds=100, powers=[0]).bits / (32 * 16)
    36.0
    """
    if not (0 <= fewest_rounds <= most_rounds and most_rounds >= 1):
        raise ValueError(f"need 0 <= {fewest_rounds=} <= {most_rounds=}, the latter at least 1")
    if not decades > 0:
        raise ValueError(f"decades must be positive, got {decades}")
    stepsize = theory.gd_stepsize(problem.smoothness().L_minus) * 2.0 ** np.array(powers)
    tried = min(max(fewest_rounds, 16), most_rounds)
    while True:
        trace = methods.gd(problem, stepsize=stepsize, rounds=tried)
        if trace.diverged.all():
            raise ValueError(f"gradient descent diverges with all of the powers {list(powers)}")
        with np.errstate(divide="ignore"):  # the gradient may be zero
            lost = np.log10(trace.grad_norm_sq[0, 0] / trace.grad_norm_sq.min(axis=1))
        enough = np.flatnonzero(lost >= decades)
        if len(enough) or tried == most_rounds:
            rounds = max(int(enough[0]), fewest_rounds) if len(enough) else trace.rounds
            return Budget(float(FLOAT_BITS * problem.d * rounds), float(lost[rounds]))
        tried = min(2 * tried, most_rounds)


@dataclass(frozen=True, eq=False)
class Tuned:
    """The candidates of a contender, and the choice among them.

    Args:
        contender: the contender.
        powers: k exponents of two, ascending; a candidate is 2^power times theory's stepsize.
        bit_budget: bits that each client may send.
        traces: one per candidate and seed, shape (k, seeds), each with one column.
    """

    contender: Contender
    powers: tuple[int, ...]
    bit_budget: float
    traces: tuple[tuple[Trace, ...], ...]

    @property
    def multiples(self) -> Array:
        """Multiples of the theoretical stepsize, shape (k,)."""
        return 2.0 ** np.array(self.powers)

    @cached_property
    def finals(self) -> Array:
        """Squared gradient norms at the budget, shape (k, seeds); infinite after divergence."""
        return self.curves(np.array([self.bit_budget]))[0]

    @cached_property
    def chosen(self) -> int:
        """The candidate with the smallest median over the seeds at the budget (D.2.2)."""
        return int(np.argmin(np.median(self.finals, axis=1)))

    @property
    def multiple(self) -> float:
        """The chosen multiple of the theoretical stepsize."""
        return float(self.multiples[self.chosen])

    @property
    def astray(self) -> Array:
        """Share of the seeds without a decrease, for every candidate, shape (k,)."""
        start = self.traces[0][0].grad_norm_sq[0, 0]
        return np.mean(self.finals >= start, axis=1)

    def curves(self, bits: Array) -> Array:
        """Squared gradient norms, shape (len(bits), k, seeds)."""
        return np.stack(
            [np.hstack([trace.at(bits) for trace in traces]) for traces in self.traces], axis=1
        )


def tune(
    contender: Contender,
    *,
    powers: Sequence[int],
    bit_budget: float,
    seeds: Sequence[int],
    coordinates: int,
) -> Tuned:
    """Run a contender for all seeds with powers of two times its theoretical stepsize.

    While the best candidate is the largest or the smallest, two more beyond it are tried. So the
    choice does not depend on the given powers. The search ends at 2^-20 and 2^20.

    Args:
        contender: the contender to run.
        powers: exponents of two of the first candidates.
        bit_budget: bits that each client may send.
        seeds: seeds of the runs; a deterministic contender runs once.
        coordinates: n d; it limits the number of seeds in a batch. The results depend on it only by
            rounding.

    Raises:
        ValueError: if there are no powers or no seeds.

    >>> from cqlib import problems
    >>> from cqbook.experiments import contenders
    >>> task = problems.quadratic_hessian_variance(n=16, d=16, noise=0.0, reg=1e-3, seed=0)
    >>> gd = contenders.gd(task)
    >>> tuned = tune(gd, powers=[1, 2], bit_budget=9000, seeds=[0], coordinates=256)
    >>> tuned.powers, tuned.multiple, tuned.astray.tolist()
    ((-1, 0, 1, 2, 3), 1.0, [0.0, 0.0, 0.0, 1.0, 1.0])
    """
    if not len(powers) or not len(seeds):
        raise ValueError(f"need one or more powers and seeds, got {powers!r} and {seeds!r}")
    wanted = list(seeds) if contender.random else list(seeds)[:1]
    found: dict[int, tuple[Trace, ...]] = {}
    more = sorted(set(powers))
    while more:
        found |= runs(contender, more, bit_budget, wanted, coordinates)
        ordered = sorted(found)
        traces = tuple(found[power] for power in ordered)
        tuned = Tuned(contender, tuple(ordered), bit_budget, traces)
        best = ordered[tuned.chosen]
        more = [power for power in range(best - 2, best + 3) if abs(power) <= _LIMIT]
        more = [power for power in more if power < ordered[0] or power > ordered[-1]]
        more = more if best in (ordered[0], ordered[-1]) else []
    return tuned


def runs(
    contender: Contender,
    powers: list[int],
    bit_budget: float,
    seeds: list[int],
    coordinates: int,
) -> dict[int, tuple[Trace, ...]]:
    """Run all seeds with the given powers of two, in batches of seeds.

    Returns:
        By power, a trace of one column per seed.
    """
    stepsize = contender.stepsize * 2.0 ** np.array(powers)
    size = max(1, _BATCH // (coordinates * len(powers)))
    columns: list[list[Trace]] = [[] for _ in powers]
    for start in range(0, len(seeds), size):
        part = seeds[start : start + size]
        batch = contender.run(stepsize=stepsize, bit_budget=bit_budget, seed=part)
        for column in range(len(batch.stepsize)):
            columns[column % len(powers)].append(batch.select(column))
    return {power: tuple(traces) for power, traces in zip(powers, columns, strict=True)}
