"""The measurements of a run: cases, sizes, order and effort."""

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
class Selection:
    """The cases that a run measures, and how long.

    Args:
        cases: ours.
        flat: the case that is compared between numbers of clients.
        effort: effort for most rows.
        careful: effort for rows that have a bar.
        sizes_of_more_threads: the d at which further numbers of threads are tried.
        reduce: makes the cases of other libraries as small as ours.
    """

    cases: tuple[Case, ...]
    flat: Case
    effort: Effort
    careful: Effort
    sizes_of_more_threads: tuple[int, ...]
    reduce: Callable[[Case], Case] = lambda case: case


def full() -> Selection:
    """Return the selection of all sizes, which takes some minutes."""
    careful = Effort(budget=60.0, longest=10.0)
    return Selection(ours.CASES, ours.FLAT, Effort(), careful, (2**20, 2**24))


def quick() -> Selection:
    """Return a selection of small sizes and few samples, to check in seconds that all cases run."""
    effort = Effort(rounds=3, fewest=2, sample=1e-4, budget=0.02, longest=0.2)
    cases = tuple(_small(case) for case in ours.CASES)
    return Selection(cases, _small(ours.FLAT), effort, effort, (_QUICK_SIZE,), _small)


def _small(case: Case) -> Case:
    sizes = tuple(sorted({min(d, _QUICK_SIZE) for d in case.sizes}))
    return replace(case, sizes=sizes, counts=case.counts[:3])


def rows(chosen: Selection, threads: Sequence[int]) -> Iterator[Row]:
    """Measure everything on the processor, small sizes first, and yield each row when it is done.

    Other libraries run with the first number of threads only: JAX cannot change it.
    """
    torch.set_num_threads(threads[0])
    loaded = [peers.load(name) for name in peers.NAMES]
    for peer in loaded:
        if peer.why:
            yield Row(peer.name, peer.name, "", "", MISSING, peer.why)
    subjects = [("cqlib", case) for case in chosen.cases]
    subjects += [(peer.name, chosen.reduce(case)) for peer in loaded for case in peer.cases]
    seconds: dict[tuple[str, str, int], float] = {}  # of one coordinate, when last measured
    for who, case, n, d in _points(subjects):
        few = who != "cqlib" or case.counts or d not in chosen.sizes_of_more_threads
        for count in threads[:1] if few else threads:
            barred = who == "cqlib" and has_bar(case.name, d)
            effort = chosen.careful if barred else chosen.effort
            known = (who, case.name, count)
            row = _row(who, case, n, d, count, effort, seconds.get(known, 0.0))
            if row.best is not None and row.coordinates is not None:
                seconds[known] = row.best / row.coordinates
            yield row
    yield from flat_rows(chosen, threads[0])


def flat_rows(chosen: Selection, threads: int) -> list[Row]:
    """Measure one case with all its numbers of clients in turn."""
    torch.set_num_threads(threads)
    case, points = chosen.flat, chosen.flat.points()
    operations = [case.setup(n, d) for n, d in points]
    size = case.sizes[0]
    copy, *timings = interleaved([memcpy(vector(size), target(size)), *operations], chosen.careful)
    return [
        measured("cqlib", case, n, d, threads=threads, timing=timing, copy=copy)
        for (n, d), timing in zip(points, timings, strict=True)
    ]


def gpu_rows(chosen: Selection) -> Iterator[Row]:
    """Measure the Triton kernels, if there is a CUDA device."""
    if not torch.cuda.is_available():
        return
    for _, case, n, d in _points([("triton", chosen.reduce(case)) for case in gpu.cases()]):
        yield _row("triton", case, n, d, 1, chosen.effort, 0.0, clock=gpu.cuda_clock, copy=gpu.copy)


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
    except Exception as error:  # an error must not lose the other rows
        why = f"{type(error).__name__}: {error}"
        return unmeasured(who, case, n, d, threads=threads, status=FAILED, why=why)
    return measured(who, case, n, d, threads=threads, timing=timing, copy=copied)
