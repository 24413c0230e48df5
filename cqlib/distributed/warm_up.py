"""Compilation ahead of the messages of a call.

The kernels are compiled at their first use, which takes seconds, and minutes on a busy machine.
Between the collectives of a call, that time would count as the network's, and end in a timeout. So
it runs in a thread of its own, and meanwhile the process answers the others; see
:class:`cqlib.distributed.messages.Agreement`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import cycle, islice, pairwise
from typing import Any

import numpy as np
import torch

from cqlib.compressors import Compressor, wire
from cqlib.compressors.types import Context, Message, Received
from cqlib.distributed.costs import shard_ends
from cqlib.kernels import dispatch
from cqlib.kernels.derived import reduction
from cqlib.keys import Key

_LARGEST = 2**15 + 3  # longer vectors need no other machine code
_KEY = Key(0)
_lock = threading.Lock()
_compilations: dict[str, Compilation] = {}


class Compilation(threading.Thread):
    """A thread that compiles, once in a process for equal arguments."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(name="compilation")
        self._arguments, self._ended = arguments, threading.Event()

    @property
    def goes_on(self) -> bool:
        """True until it has ended; ``is_alive`` is False before it runs, and after a Ctrl-C."""
        return not self._ended.is_set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end, but not longer than this."""
        self._ended.wait(seconds)

    def run(self) -> None:
        """Compile; a second time after an error, since a warning that is one is given once."""
        try:
            for _ in range(2):
                with suppress(Exception):
                    _compile(*self._arguments)
                    break
        finally:
            self._ended.set()


def find_folder() -> None:
    """Choose the folder of the machine code now, so that a warning comes in the caller's thread."""
    from cqlib.kernels.cpu.compiled import (
        compile as compiling,
    )  # here, since Numba is slow to import

    compiling.find_folder()


def _let_all_end() -> None:
    """Wait for all compilations, since a child of a fork would wait for the compiler for ever."""
    for each in list(_compilations.values()):
        if each is not threading.current_thread():
            each.wait()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_let_all_end)


def warm_up(
    compressor: Compressor,
    second: Compressor | None,
    *,
    strategy: str,
    d: int,
    n: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Compilation:
    """Compile what one process runs in a mean: encode and read messages, sum them up.

    It happens once in a process for equal arguments, and sends nothing. Errors are left to the mean
    itself, which raises them on all processes.

    Args:
        compressor: the compressor of all processes.
        second: compressor of the means of shards, if any.
        strategy: the way of the exchange.
        d: number of coordinates.
        n: number of processes.
        dtype: that of the vector.
        device: that of the vector.

    Returns:
        The thread that compiles, which has ended if nothing is left to do.

    Raises:
        RuntimeWarning: once, if warnings are errors and there is no folder for the machine code.
    """
    if dispatch.choose("cpu").backend == "cpu":
        find_folder()
    shards = {min(b - a, _LARGEST) for a, b in pairwise(shard_ends(d, n)) if b > a}
    d = min(d, _LARGEST)
    about = repr((compressor, second and (second, shards), strategy, d, n, dtype, device))
    with _lock:
        if about not in _compilations:
            work = (compressor, second, shards, strategy, d, n, dtype, device)
            started = Compilation(*work)
            started.start()
            _compilations[about] = started
        return _compilations[about]


def _compile(
    compressor: Compressor,
    second: Compressor | None,
    shards: set[int],
    strategy: str,
    d: int,
    n: int,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Run the parts of a mean that use kernels, on a vector of this process's own."""
    with _current(device):
        wide = dtype if dtype == torch.float64 else torch.float32
        x = torch.linspace(-1, 1, d, dtype=wide, device=device)
        received = list(_messages(compressor, x, n))
        if strategy in ("all_gather", "two_shot"):
            for messages in (received, received[:1]):  # unlike clients, and equal ones
                all_of_them = list(islice(cycle(messages), n))  # some kernels take all at once
                wire.mean(compressor, all_of_them, d, n, torch.float64 if second else dtype)
        wire.read(compressor, *received[0])  # for errors that are fed back
        if second is not None:
            for size in shards:
                for message, ctx in _messages(second, x[:size].double(), 1):
                    wire.read(second, message, ctx)
        _sums(compressor, strategy, received, x, n)


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one, since every thread begins with the first."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _messages(c: Compressor, x: torch.Tensor, n: int) -> Iterator[tuple[Message, Context]]:
    """Yield the messages of a few clients with multiples of a vector; silent ones have none."""
    own = None if c.before is None else c.before.merge([c.before.of(3 * x)] * n)
    shared = None if own is None else np.asarray(own, dtype=np.float32)
    for client in range(min(n, 3)):
        ctx = Context(len(x), np.array([client]), n, _KEY, shared)
        message = wire.write(c, x * (client + 1), ctx)
        if message is not None:
            yield message, ctx


def _sums(c: Compressor, strategy: str, received: Received, x: torch.Tensor, n: int) -> None:
    """Run the sums of integers on their way."""
    sums, fused, d = c.sums, c.fused, len(x)
    if sums is None or sums.kind is None or strategy == "all_gather":
        return
    (message, ctx), *_ = received
    if fused and fused.write_levels:
        fused.write_levels(x, ctx)
    total = wire.read_levels(c, sums, message, ctx).astype(np.int64)
    if strategy == "two_shot":
        width = (2 * sums.bound(n)).bit_length()
        packed = dispatch.host().pack_integers(total + sums.bound(n), width)
        dispatch.host().unpack_integers(packed, d, width)
    if strategy == "tree":
        kind = np.int8 if sums.bound(n) <= 127 else np.int16
        words = reduction.sum_words(_KEY, np.array([0]), d)[0]
        dispatch.host().add_powers(total.astype(kind), total.astype(kind), words)
    sums.decode(total, ctx.shared, n)
