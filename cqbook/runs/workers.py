"""Run notebooks in processes of their own, which end when this one does, however it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cqbook.runs import notebook, provenance


def run_all(jobs: Sequence[notebook.Job], *, console: Console, force: bool = False) -> None:
    """Run jobs in parallel processes; all get their turn, failures are told last.

    Args:
        jobs: what to run.
        console: where progress is shown.
        force: run also what is up to date.

    Raises:
        NotebookError: if any failed.
    """
    now = provenance.Snapshot()
    waiting = [job for job in jobs if force or not notebook.is_current(job, now)]
    failures: list[str] = []
    columns = (TextColumn("notebooks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, TextColumn("{task.description}"), console=console) as progress,
        _workers() as pool,
    ):
        task = progress.add_task("", total=len(jobs), completed=len(jobs) - len(waiting))
        running = {pool.submit(notebook.run, job): job for job in waiting}
        started = time.monotonic()
        progress.update(task, description=", ".join(job.name for job in running.values()))
        left = dict(running)
        for future in as_completed(running):
            job = left.pop(future)
            try:
                seconds = future.result()["seconds"]
                progress.console.print(f"{job.name}: {seconds:.0f} s", highlight=False)
            except Exception as error:  # a dead kernel or worker too: the others go on
                failures.append(str(error) or type(error).__name__)
                elapsed = time.monotonic() - started
                progress.console.print(f"{job.name}: failed after {elapsed:.0f} s")
            names = ", ".join(other.name for other in left.values())
            progress.update(task, advance=1, description=names)
    if failures:
        raise notebook.NotebookError("\n".join(failures))


@contextmanager
def _workers() -> Iterator[ProcessPoolExecutor]:
    """Processes that run notebooks, and end when this one does, however it ends."""
    pool = ProcessPoolExecutor(
        max_workers=os.cpu_count() or 1, initializer=_start, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except KeyboardInterrupt:
        print("cqlib: interrupted; the same command goes on with what is missing", file=sys.stderr)
        os._exit(130)  # the workers see it, and the kernels see the workers
    finally:
        pool.shutdown()


def _start(parent: int) -> None:
    """Make a worker leave Ctrl-C to its parent, and end once the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)


def end_with(parent: int) -> None:
    """End this process once its parent is another one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
