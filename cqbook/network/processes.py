"""Run a function on several new processes of this machine, in one gloo group."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import resource_tracker
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

from cqbook.threads import one_thread

# A server imports these once, and every process is forked from it; DDP needs the first.
_PRELOADED = [
    "torch._dynamo",
    "cqbook.network.training",
    "cqlib.kernels.cpu",
    "sklearn.datasets",
]


def on_ranks(n: int, function: Callable[..., Any], *args: Any, seconds: float = 120.0) -> list[Any]:
    """Call ``function(rank, n, *args)`` on n new processes and return the results by rank.

    Each process has one thread. The function must be importable, and its result must consist of
    tensors, numbers, text, lists, tuples and dictionaries.

    Args:
        n: number of processes.
        function: the function.
        args: its arguments after rank and n; they are pickled.
        seconds: time limit for a process that waits for another.

    Raises:
        Exception: if the function raises on any process.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = (n, os.getpid(), folder, seconds, function, args)
        multiprocessing.set_forkserver_preload(_PRELOADED)
        resource_tracker.ensure_running()  # it unblocks signals, and must be first
        with _deaf_to_interrupts():
            ensure_running()
        start_processes(  # type: ignore[no-untyped-call]
            _work, work, n, daemon=True, start_method="forkserver"
        )
        results = [Path(folder) / str(rank) for rank in range(n)]
        return [torch.load(result, weights_only=True) for result in results]


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let new children not hear of Ctrl-C, which reaches all processes: this one ends them.

    The signal is blocked, not ignored, so that this process hears of it afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(caller: int) -> None:
    """End this process once the caller is gone, which is not its parent."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(caller)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.2)
    os._exit(1)


def _work(
    rank: int, n: int, caller: int, folder: str, seconds: float, function: Any, args: Any
) -> None:
    faulthandler.enable()  # a crash says where it was
    threading.Thread(target=_end_with, args=(caller,), daemon=True).start()
    one_thread()
    patience = timedelta(seconds=seconds)
    store = (Path(folder) / "store").as_uri()
    dist.init_process_group("gloo", store, rank=rank, world_size=n, timeout=patience)
    try:
        torch.save(function(rank, n, *args), Path(folder) / str(rank))
    finally:
        dist.destroy_process_group()
