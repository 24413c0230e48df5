"""Run a function on several new processes of this machine, in one gloo group."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

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
        work = (n, folder, seconds, function, args)
        multiprocessing.set_forkserver_preload(_PRELOADED)
        start_processes(_work, work, n, start_method="forkserver")  # type: ignore[no-untyped-call]
        results = [Path(folder) / str(rank) for rank in range(n)]
        return [torch.load(result, weights_only=True) for result in results]


def _work(rank: int, n: int, folder: str, seconds: float, function: Any, args: Any) -> None:
    one_thread()
    patience = timedelta(seconds=seconds)
    store = (Path(folder) / "store").as_uri()
    dist.init_process_group("gloo", store, rank=rank, world_size=n, timeout=patience)
    try:
        torch.save(function(rank, n, *args), Path(folder) / str(rank))
    finally:
        dist.destroy_process_group()
