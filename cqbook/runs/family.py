"""Children that end with their parent, even if the parent is killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil


def end(pids: Iterable[int]) -> None:
    """Kill processes and all their descendants, and wait until they are gone."""
    psutil.wait_procs([gone for pid in pids for gone in _kill(pid)], timeout=10)


def when_gone(parent: int, act: Callable[[], object]) -> None:
    """Call a function, in a thread, once this process has another parent: the old one is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        act()

    threading.Thread(target=watch, daemon=True).start()


def end_with(parent: int) -> None:
    """End this process and all its descendants once its parent is gone."""
    when_gone(parent, lambda: _kill(os.getpid()))


def _kill(pid: int) -> list[psutil.Process]:
    """Kill the descendants of a process, then the process; return all of them."""
    try:
        top = psutil.Process(pid)
        found = [*top.children(recursive=True), top]
    except psutil.NoSuchProcess:
        return []
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return found
