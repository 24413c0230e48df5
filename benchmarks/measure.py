"""Timing: operations take turns, so that the machine's state affects all of them alike."""

from __future__ import annotations

import ctypes
import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles

import numpy as np
from numpy.typing import NDArray

from benchmarks.case import Operation

Clock = Callable[
    [Operation, int], tuple[float, float]
]  # (operation, calls) -> wall-clock and processor seconds


@dataclass(frozen=True)
class Effort:
    """How long each row is measured.

    Args:
        rounds: samples of every operation; fewer if the budget does not allow them.
        fewest: samples that are taken in any case.
        sample: least seconds of a sample; fast operations are called repeatedly.
        budget: seconds for one row.
        longest: calls that should take more seconds are not measured.
    """

    rounds: int = 9
    fewest: int = 3
    sample: float = 2e-3
    budget: float = 1.5
    longest: float = 1.5


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, a number per sample, and the number of busy processors."""

    seconds: tuple[float, ...]
    cores: float
    calls: int = 1  # in a sample

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        first, _, third = quantiles(self.seconds, n=4, method="inclusive")
        return first, third


def cpu_clock(operation: Operation, calls: int) -> tuple[float, float]:
    """Return wall-clock seconds and processor seconds of all calls together."""
    busy, start = time.process_time(), time.perf_counter()
    for _ in range(calls):
        operation()
    return time.perf_counter() - start, time.process_time() - busy


def interleaved(
    operations: Sequence[Operation], effort: Effort, *, clock: Clock = cpu_clock
) -> list[Timing]:
    """Time operations in turn, after one call of each that is not counted."""
    for operation in operations:
        operation()
    once = [max(clock(operation, 1)[0], 1e-7) for operation in operations]
    calls = [math.ceil(effort.sample / seconds) for seconds in once]
    expected = sum(n * seconds for n, seconds in zip(calls, once, strict=True))
    affordable = max(effort.fewest, int(effort.budget / expected))
    rounds = min(effort.rounds, affordable)
    wall: list[list[float]] = [[] for _ in operations]
    busy = [0.0] * len(operations)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for i, operation in enumerate(operations):
                seconds, processors = clock(operation, calls[i])
                wall[i].append(seconds / calls[i])
                busy[i] += processors / calls[i]
    finally:
        if collecting:
            gc.enable()
    return [Timing(tuple(w), b / sum(w), n) for w, b, n in zip(wall, busy, calls, strict=True)]


def memcpy(source: NDArray[np.float32], target: NDArray[np.float32]) -> Operation:
    """Return the C library's copy of one vector to another, with one thread."""
    to, of = (array.ctypes.data_as(ctypes.c_void_p) for array in (target, source))
    return partial(ctypes.memmove, to, of, source.nbytes)
