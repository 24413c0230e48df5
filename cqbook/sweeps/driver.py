"""Complete a sweep, on this machine, or on a cluster with an executor of Snakemake.

On a cluster Snakemake submits, counts and retries (see the ``Snakefile``). It gets only the jobs
that are out of date; its own records and file times are not used.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cqbook import paths
from cqbook.runs import family, runner, worker
from cqbook.runs.locks import owned
from cqbook.runs.runner import AGAIN, Interrupted, JobsError
from cqbook.sweeps.sweep import Sweep, SweepError, mark
from cqlib.files import write_atomic


def patience() -> float:
    """Return the seconds in which Snakemake may cancel submitted jobs: ``CQLIB_PATIENCE``, or 30.

    Raises:
        SweepError: if the variable is not a number from 0 on.
    """
    told = os.environ.get("CQLIB_PATIENCE", "30")
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SweepError(f"CQLIB_PATIENCE must be a number of seconds, got {told!r}")
    return seconds


@dataclass(frozen=True)
class Options:
    """Options of a sweep.

    Args:
        cores: number of jobs at a time on this machine; 0 for the number of processors.
        retries: number of further attempts for a failed job.
        executor: an installed executor plugin of Snakemake, such as slurm; "" for this machine.
        jobs: number of jobs at a time with an executor.
        more: further arguments for Snakemake.
    """

    cores: int = 0
    retries: int = 1
    executor: str = ""
    jobs: int = 50
    more: tuple[str, ...] = ()


def run(sweep: Sweep, options: Options, console: Console) -> None:
    """Complete a sweep.

    Raises:
        JobsError: if a job failed.
        OwnedError: if another process owns the folder.
        SweepError: if the folder belongs to another sweep file, or the executor is not installed.
    """
    if options.executor:
        _check_installed(options.executor)
        patience()
    with owned(sweep.folder):
        mark(sweep)
        if options.executor:
            _submit(sweep, options, console)
        else:
            logs, cores, retries = sweep.folder / "logs", options.cores, options.retries
            runner.complete(sweep.jobs, logs=logs, console=console, cores=cores, retries=retries)


def arguments(options: Options) -> list[str]:
    """Return Snakemake's arguments: it must run all given jobs.

    >>> arguments(Options(executor="slurm", jobs=2))[-4:]
    ['--executor', 'slurm', '--jobs', '2']
    """
    return [
        *("--forceall", "--rerun-incomplete", "--nolock", "--keep-going"),
        *("--quiet", "host", "reason"),  # shows only names of jobs and k of n
        *("--retries", str(options.retries), "--scheduler", "greedy"),
        *("--executor", options.executor, "--jobs", str(options.jobs)),
        *options.more,
    ]


def end_with(driver: int) -> None:
    """End Snakemake and its process group once `cqlib sweep` is gone."""
    seconds = patience()

    def end() -> None:
        os.killpg(0, signal.SIGINT)  # Snakemake cancels its submitted jobs
        time.sleep(seconds)
        os.killpg(0, signal.SIGKILL)

    family.when_gone(driver, end)


def _check_installed(executor: str) -> None:
    """Raise SweepError unless Snakemake has this executor."""
    import snakemake  # noqa: F401  # for the error message on its installation
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    names = sorted(ExecutorPluginRegistry().get_registered_plugins())
    if executor not in names:
        raise SweepError(f"no executor {executor!r} is installed; installed: {', '.join(names)}")


def _submit(sweep: Sweep, options: Options, console: Console) -> None:
    """Complete a sweep with Snakemake."""
    names = runner.outdated(sweep.jobs)
    console.print(f"{len(names)} of {len(sweep.jobs)} jobs to run", highlight=False)
    if not names:
        return
    logs = sweep.folder / "logs"
    for name in names:
        (logs / f"{name}.log").unlink(missing_ok=True)  # left by an earlier start
    commands = {name: worker.command(sweep.jobs[name]) for name in names}
    write_atomic(sweep.folder / ".jobs.json", json.dumps(commands))
    code = _snakemake(sweep.folder, arguments(options))
    if code < 0:
        raise JobsError(f"Snakemake was ended by signal {-code}; {AGAIN}")
    left = runner.outdated(sweep.jobs) if code else []
    if code and not left:
        raise JobsError(f"all jobs are complete, yet Snakemake ended with exit code {code}")
    if code:
        tried = [name for name in left if (logs / f"{name}.log").is_file()]
        raise JobsError(runner.incomplete([runner.said_last(n, logs) for n in tried], logs))


def _snakemake(folder: Path, words: Sequence[str]) -> int:
    """Run Snakemake to its end; if this process is stopped, stop Snakemake, too.

    No path goes through ``--config``, which Snakemake reads as YAML.
    """
    command = [
        # -P excludes packages in the current folder.
        *(sys.executable, "-P", "-m", "cqbook.sweeps.driver_snakemake"),
        *("--snakefile", str(paths.root() / "Snakefile"), "--directory", str(folder)),
        *("--config", f"driver={os.getpid()}"),
        *words,
    ]
    with _heeding_interrupts():
        child = subprocess.Popen(command, process_group=0)
    try:
        return child.wait()
    except KeyboardInterrupt:
        _interrupt(child)
        raise Interrupted(f"interrupted; {AGAIN}") from None
    finally:
        if child.poll() is None:
            family.end([child.pid])


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """Interrupt Snakemake, and wait until it ends, the time is up, or the user interrupts again."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(child.pid, signal.SIGINT)
        child.wait(patience())


@contextmanager
def _heeding_interrupts() -> Iterator[None]:
    """Let children react to SIGINT even if this process ignores it, as in a script's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
