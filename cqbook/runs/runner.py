"""Run jobs on this machine, one process each: `cqlib run`, `cqlib book` and `cqlib sweep`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cqbook import paths
from cqbook.runs import family, provenance, worker
from cqbook.runs.job import Job, is_current

AGAIN = "run the same command again to complete the missing jobs"
_PAUSE = 0.1  # seconds between two looks at the running jobs


class JobsError(RuntimeError):
    """Some jobs failed; the message has the last line of the log of each."""


class Interrupted(JobsError):
    """The user stopped the command."""

    exit_code = 130


@dataclass(frozen=True)
class Attempt:
    """A running job.

    Args:
        process: its process.
        started: time of its start, by `time.monotonic`.
        retries: number of further attempts if this one fails.
    """

    process: subprocess.Popen[bytes]
    started: float
    retries: int


@dataclass(frozen=True)
class Ended:
    """A job whose process has ended: its seconds, its exit, and True if it is tried again."""

    name: str
    seconds: float
    failed: bool
    again: bool

    def __str__(self) -> str:
        how = f"{'failed after ' if self.failed else ''}{self.seconds:.0f} s"
        return f"{self.name}: {how}{', trying again' if self.again else ''}"


def outdated(jobs: Mapping[str, Job]) -> list[str]:
    """Return the names of the jobs without an up-to-date run in their folder."""
    now = provenance.Snapshot()
    return [name for name, job in jobs.items() if not is_current(job, now)]


def complete(
    jobs: Mapping[str, Job],
    *,
    logs: Path | None,
    console: Console,
    cores: int = 0,
    retries: int = 0,
    force: bool = False,
) -> None:
    """Run the jobs that are not up to date. If a job fails, the others go on.

    The jobs end with this process, even if it is killed; completed runs stay.

    Args:
        jobs: by name.
        logs: folder of the logs, NAME.log each; None to keep none.
        console: the console for progress messages.
        cores: number of jobs at a time; 0 for the number of processors.
        retries: number of further attempts for a failed job.
        force: run also jobs that are up to date.

    Raises:
        JobsError: if a job failed.
        Interrupted: on Ctrl-C, or on SIGTERM if it is treated as Ctrl-C.
        FileNotFoundError: if there is no checkout, which every job needs.
    """
    paths.root()
    waiting = list(jobs) if force else outdated(jobs)
    console.print(f"{len(waiting)} of {len(jobs)} jobs to run", highlight=False)
    failed = []
    running: dict[str, Attempt] = {}
    columns = [TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    columns.append(TextColumn("{task.description}", markup=False))
    temporary = tempfile.TemporaryDirectory()
    said = logs or Path(temporary.name)
    try:
        with temporary, Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=len(jobs), completed=len(jobs) - len(waiting))
            chosen = {name: jobs[name] for name in waiting}
            for ended in _run(chosen, said, cores or os.cpu_count() or 1, retries, running):
                progress.console.print(str(ended), markup=False, highlight=False)
                progress.update(bar, advance=not ended.again, description=", ".join(running))
                if ended.failed and not ended.again:
                    failed.append(said_last(ended.name, said))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {AGAIN}") from None
    finally:
        family.end(attempt.process.pid for attempt in running.values())
    if failed:
        raise JobsError(incomplete(failed, logs))


def incomplete(told: Iterable[str], logs: Path | None) -> str:
    """Return an error message: a line for each failed job, then advice."""
    where = f" (logs: {logs})" if logs else ""
    return "\n".join([*told, f"not all jobs completed{where}; {AGAIN}"])


def said_last(name: str, logs: Path) -> str:
    """Return a job's name and the last line of its log, without the notebook's name in front."""
    log = _log(logs, name)
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line for line in text.split("\n") if line.strip()] or ["ended without a message"]
    told = lines[-1].removeprefix("cqlib: ")
    notebook, _, rest = told.partition(": ")
    return f"{name}: {rest if notebook in (name, name.rpartition('-')[0]) else told}"


def _run(
    jobs: Mapping[str, Job], logs: Path, cores: int, retries: int, running: dict[str, Attempt]
) -> Iterator[Ended]:
    """Run jobs, and yield each attempt when it ends; ``running`` is kept up to date."""
    waiting = deque((name, retries) for name in jobs)
    while waiting or running:
        while waiting and len(running) < cores:
            name, left = waiting.popleft()
            running[name] = _start(jobs[name], _log(logs, name), left, again=left < retries)
        time.sleep(_PAUSE)
        for name in [name for name, it in running.items() if it.process.poll() is not None]:
            attempt = running.pop(name)
            failed = attempt.process.returncode != 0
            again = failed and attempt.retries > 0
            if again:
                waiting.append((name, attempt.retries - 1))
            yield Ended(name, time.monotonic() - attempt.started, failed, again)


def _start(job: Job, log: Path, retries: int, *, again: bool) -> Attempt:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab" if again else "wb") as said:
        process = subprocess.Popen(
            [*worker.command(job), "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            process_group=0,  # Ctrl-C must not reach the jobs: this process ends them
        )
    return Attempt(process, time.monotonic(), retries)


def _log(logs: Path, name: str) -> Path:
    return logs / f"{name}.log"
