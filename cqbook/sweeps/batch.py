"""Run a batch with Snakemake: what it is told, and how both end together.

Snakemake schedules, counts, retries and speaks to clusters (see the ``Snakefile``). It is told here
which jobs are out of date, since a run knows what it was made from; its own records and file times
decide nothing.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from cqbook import paths
from cqbook.runs import notebook, provenance
from cqbook.sweeps import sweep
from cqbook.sweeps.owner import PATIENCE, owned
from cqbook.sweeps.sweep import Batch, Task

_DRIVER = "CQLIB_BATCH_DRIVER"
_AGAIN = "the same command goes on with what is missing"
_INSTALL = "pip install -c constraints.txt -e '.[batch]'"


class BatchError(RuntimeError):
    """The batch did not complete."""


class Interrupted(BatchError):
    """Somebody stopped the batch."""


@dataclass(frozen=True)
class Options:
    """How to run.

    Args:
        cores: jobs at a time on this machine; 0 for as many as it has processors.
        retries: how often a failed job is tried again.
        executor: an installed executor plugin of Snakemake, such as slurm; "" for this machine.
        jobs: jobs at a time with an executor.
        more: arguments for Snakemake as they are.
    """

    cores: int = 0
    retries: int = 1
    executor: str = ""
    jobs: int = 50
    more: tuple[str, ...] = ()


# --- what the Snakefile asks ---------------------------------------------------------------------


def by_notebook(batch: Batch) -> dict[str, list[str]]:
    """Return the names of the tasks by notebook."""
    found: dict[str, list[str]] = {}
    for task in batch.tasks.values():
        found.setdefault(task.job.name, []).append(task.name)
    return found


def rule_name(notebook_name: str) -> str:
    """Return a rule's name for a notebook.

    >>> rule_name("theory/marina")
    'theory_marina'
    """
    return "".join(c if c.isalnum() else "_" for c in notebook_name)


def outputs(task: Task) -> tuple[str, str]:
    """Return what a task always makes, relative to the batch's folder."""
    return f"{task.name}/{task.job.source.stem}.ipynb", f"{task.name}/provenance.json"


def key(task: Task, snapshot: provenance.Snapshot) -> str:
    """Return the digest of all that a task depends on."""
    return snapshot.key(task.job.source, task.job.parameters)


def command(task: Task) -> list[str]:
    """Return the `cqlib run` of a task, all parameters spelt out."""
    given = [
        word for name, value in task.job.parameters.items() for word in ("-p", name, _yaml(value))
    ]
    program = str(Path(sys.executable).with_name("cqlib"))
    return [program, "run", str(task.job.source), *given, "-o", str(task.job.folder)]


def _yaml(value: object) -> str:
    """A value in one line, such that YAML reads just this value.

    >>> _yaml([1e-05, "1", True])
    "[1.0e-05, '1', true]"
    """
    text = yaml.safe_dump([value], default_flow_style=True, width=float("inf"))
    return text.strip()[1:-1]


def end_with_driver() -> None:
    """Make Snakemake, which leads its group of processes, end once `cqlib sweep` is gone."""
    if driver := os.environ.get(_DRIVER):
        threading.Thread(target=_end_after, args=(int(driver),), daemon=True).start()


def _end_after(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(0.5)
    os.killpg(0, signal.SIGINT)  # it cancels what it has submitted
    time.sleep(PATIENCE)
    os.killpg(0, signal.SIGKILL)


# --- driving Snakemake ---------------------------------------------------------------------------


def run(batch: Batch, options: Options) -> None:
    """Complete a batch.

    Raises:
        BatchError: if a job failed, or Snakemake is not installed.
        OwnedError: if somebody is at work in the folder.
        SweepError: if the folder belongs to another sweep file.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise BatchError(f"a batch needs Snakemake; in the checkout: {_INSTALL}")
    with owned(batch.folder) as ours:
        sweep.claim(batch)
        if ours.abandoned:
            _snakemake(batch, ["--unlock", "--quiet", "all"], ours.handle)
        waiting = _waiting(batch)
        logs = {task.name: _written(_log(batch, task)) for task in waiting}
        print(f"{len(waiting)} of {len(batch.tasks)} jobs to run", file=sys.stderr, flush=True)
        if not waiting and not options.more:
            return
        code = _snakemake(batch, arguments(waiting, options), ours.handle)
        if code < 0:  # within the block: whoever comes next clears up
            raise BatchError(f"Snakemake was ended by signal {-code}; {_AGAIN}")
    if code != 0:
        left = _waiting(batch)
        if not left:
            raise BatchError(f"all jobs are complete, yet Snakemake ended with exit code {code}")
        new = [t for t in left if _written(_log(batch, t)) not in (None, logs.get(t.name))]
        told = [*(_failure(batch, task) for task in new), "not all jobs completed"]
        raise BatchError("\n".join(told) + f" (logs: {batch.folder / 'logs'}); {_AGAIN}")


def arguments(waiting: Sequence[Task], options: Options) -> list[str]:
    """Return what Snakemake is told for the tasks that are not up to date."""
    forced = [outputs(task)[1] for task in waiting]
    where = ["--executor", options.executor, "--jobs", str(options.jobs)]
    return [
        *(["--forcerun", *forced] if forced else []),
        *("--rerun-triggers", "input"),  # there are none: what is forced or missing runs
        *("--rerun-incomplete", "--keep-going"),
        *("--quiet", "host", "reason"),  # leaves names of jobs and k of n
        *("--retries", str(options.retries), "--scheduler", "greedy"),
        *(where if options.executor else ["--cores", str(options.cores or "all")]),
        *options.more,
    ]


def _waiting(batch: Batch) -> list[Task]:
    """The tasks that are not up to date now."""
    now = provenance.Snapshot()
    return [task for task in batch.tasks.values() if not notebook.is_current(task.job, now)]


def _log(batch: Batch, task: Task) -> Path:
    return batch.folder / "logs" / f"{task.name}.log"


def _written(log: Path) -> int | None:
    """When a log was written: one that stays as it was is of an earlier start."""
    return log.stat().st_mtime_ns if log.is_file() else None


def _failure(batch: Batch, task: Task) -> str:
    """What a job that did not complete said last."""
    lines = _log(batch, task).read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line for line in lines if line.strip()] or ["no word"]
    return f"{task.name}: {said[-1].removeprefix('cqlib: ')}"


def _snakemake(batch: Batch, words: list[str], handle: int) -> int:
    """Run Snakemake to its end, and take it along if we are stopped."""
    command = [
        *(sys.executable, "-P", "-m", "snakemake"),  # -P: no packages of the current folder
        *("--snakefile", str(paths.root() / "Snakefile"), "--directory", str(batch.folder)),
        *("--config", "=".join(batch.given)),
        *words,
    ]
    with _heeding_interrupts():
        child = subprocess.Popen(
            command,
            env={**os.environ, _DRIVER: str(os.getpid())},
            process_group=0,
            pass_fds=(handle,),  # the folder stays owned for as long as Snakemake lives
        )
    try:
        return child.wait()
    except KeyboardInterrupt:
        _stop(child)
        raise Interrupted(f"interrupted; {_AGAIN}") from None
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


@contextmanager
def _heeding_interrupts() -> Iterator[None]:
    """Start children that heed SIGINT, even if we do not, as in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Interrupt Snakemake and its jobs, until they end, we lose patience, or the user does."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(child.pid, signal.SIGINT)
        child.wait(PATIENCE)
