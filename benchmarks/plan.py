"""One run: which cases at which sizes, in which order, with how much effort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks import gpu, ours, peers
from benchmarks.bars import has_bar
from benchmarks.case import Case, Operation
from benchmarks.inputs import target, vector
from benchmarks.measure import Clock, Effort, cpu_clock, interleaved, memcpy
from benchmarks.row import FAILED, MISSING, NOT_RUN, Row, measured, unmeasured

_QUICK_SIZE = 2**16


@dataclass(frozen=True)
class Plan:
    """What a run measures.

    Args:
        cases: ours.
        flat: the case whose numbers of clients are compared with each other.
        effort: for most rows.
        careful: for rows that have a bar.
        sizes_of_more_threads: where other numbers of threads than the first are tried.
    """

    cases: tuple[Case, ...]
    flat: Case
    effort: Effort
    careful: Effort
    sizes_of_more_threads: tuple[int, ...]
    reduce: Callable[[Case], Case] = lambda case: case


def full() -> Plan:
    """Return the plan of all sizes: some minutes."""
    careful = Effort(budget=60.0, longest=10.0)
    return Plan(ours.CASES, ours.FLAT, Effort(), careful, (2**20, 2**24))


def quick() -> Plan:
    """Return a plan of small sizes and few rounds: seconds, to see that everything runs."""
    effort = Effort(rounds=3, fewest=2, sample=1e-4, budget=0.02, longest=0.2)
    cases = tuple(_small(case) for case in ours.CASES)
    return Plan(cases, _small(ours.FLAT), effort, effort, (_QUICK_SIZE,), _small)


def _small(case: Case) -> Case:
    sizes = tuple(sorted({min(d, _QUICK_SIZE) for d in case.sizes}))
    return replace(case, sizes=sizes, counts=case.counts[:3])


def rows(plan: Plan, threads: Sequence[int]) -> Iterator[Row]:
    """Measure everything on the processor, the small sizes first, and yield rows as they come.

    Other libraries run with the first number of threads only: JAX cannot change it.
    """
    torch.set_num_threads(threads[0])
    loaded = [peers.load(name) for name in peers.NAMES]
    for peer in loaded:
        if peer.why:
            yield Row(peer.name, peer.name, "", "", MISSING, peer.why)
    subjects = [("cqlib", case) for case in plan.cases]
    subjects += [(peer.name, plan.reduce(case)) for peer in loaded for case in peer.cases]
    seconds: dict[tuple[str, str, int], float] = {}  # of one coordinate, when last measured
    for who, case, n, d in _points(subjects):
        few = who != "cqlib" or case.counts or d not in plan.sizes_of_more_threads
        for count in threads[:1] if few else threads:
            barred = who == "cqlib" and has_bar(case.name, d)
            effort = plan.careful if barred else plan.effort
            known = (who, case.name, count)
            row = _row(who, case, n, d, count, effort, seconds.get(known, 0.0))
            if row.best is not None and row.coordinates is not None:
                seconds[known] = row.best / row.coordinates
            yield row
    yield from flat_rows(plan, threads[0])


def flat_rows(plan: Plan, threads: int) -> list[Row]:
    """Measure one case for all its numbers of clients in one loop."""
    torch.set_num_threads(threads)
    case, points = plan.flat, plan.flat.points()
    operations = [case.setup(n, d) for n, d in points]
    size = case.sizes[0]
    copy, *timings = interleaved([memcpy(vector(size), target(size)), *operations], plan.careful)
    return [
        measured("cqlib", case, n, d, threads=threads, timing=timing, copy=copy)
        for (n, d), timing in zip(points, timings, strict=True)
    ]


def gpu_rows(plan: Plan) -> Iterator[Row]:
    """Measure the Triton programs, if there is a CUDA device."""
    if not torch.cuda.is_available():
        return
    for _, case, n, d in _points([("triton", plan.reduce(case)) for case in gpu.cases()]):
        yield _row("triton", case, n, d, 1, plan.effort, 0.0, clock=gpu.cuda_clock, copy=gpu.copy)


def _points(
    subjects: Iterable[tuple[str, Case]],
) -> list[tuple[str, Case, int, int]]:
    points = [(who, case, n, d) for who, case in subjects for n, d in case.points()]
    return sorted(points, key=lambda point: point[1].coordinates(*point[2:]))


def _copy(d: int) -> Operation:
    return memcpy(vector(d), target(d))


def _row(
    who: str,
    case: Case,
    n: int,
    d: int,
    threads: int,
    effort: Effort,
    seconds: float,
    *,
    clock: Clock = cpu_clock,
    copy: Callable[[int], Operation] = _copy,
) -> Row:
    size = case.coordinates(n, d)
    if seconds * size > effort.longest:
        why = f"a call would take about {seconds * size:.2g} s"
        return unmeasured(who, case, n, d, threads=threads, status=NOT_RUN, why=why)
    torch.set_num_threads(threads)
    try:
        copied, timing = interleaved([copy(size), case.setup(n, d)], effort, clock=clock)
    except Exception as error:  # one that fails must not lose the others
        why = f"{type(error).__name__}: {error}"
        return unmeasured(who, case, n, d, threads=threads, status=FAILED, why=why)
    return measured(who, case, n, d, threads=threads, timing=timing, copy=copied)
