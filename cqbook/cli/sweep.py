"""``cqlib sweep`` and ``cqlib collect``: grids of parameters, and their tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cqbook.sweeps.sweep import Sweep


@click.command("sweep")
@click.argument("words", nargs=-1, metavar="[FILE] [-- SNAKEMAKE...]")
@click.option("--profile", help="Run the book's chapters with this profile, instead of a file.")
@click.option("--cores", type=click.IntRange(1), help="Jobs at a time here.  [default: all]")
@click.option(
    "--retries",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="How often a failed job is tried again.",
)
@click.option("--executor", default="", help="Where jobs run: slurm, or another installed plugin.")
@click.option(
    "--jobs",
    default=50,
    show_default=True,
    type=click.IntRange(1),
    help="Jobs at a time with an executor.",
)
def sweep_command(
    words: tuple[str, ...],
    profile: str | None,
    cores: int | None,
    retries: int,
    executor: str,
    jobs: int,
) -> None:
    """Run a sweep of parameters, or all chapters, here or on a cluster.

    FILE names a notebook and a grid of parameters; every combination is a job, a run like any
    other. A job that is up to date is not repeated, so after any interruption the same command
    completes what is missing. With --executor the jobs run under Snakemake; what
    follows -- goes to it. Example:

    cqlib sweep sweeps/clients.yml --cores 2
    """
    from rich.console import Console

    from cqbook.sweeps import driver

    requested, more = _requested(words, profile, executor)
    options = driver.Options(cores or 0, retries, executor, jobs, more)
    driver.run(requested, options, Console(stderr=True))
    click.echo(requested.folder)


@click.command("collect")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--table", help="Only the CSV of this name in the jobs' results/.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where one table goes.  [default: runs/sweeps/NAME/collected/TABLE.csv]",
)
@click.option("--partial", is_flag=True, help="Collect what is there, and exit with 0.")
def collect_command(file: Path, table: str | None, output: Path | None, partial: bool) -> None:
    """Join the tables of a sweep's jobs into one CSV each.

    Every row begins with the job's place in the grid and what it was made from. Jobs that are
    missing or out of date are named, and left out; then nothing is written unless --partial.
    """
    from cqbook.sweeps import collect, sweep

    found = collect.collect(sweep.read(file), table)
    for name, state in found.absent.items():
        click.echo(f"{state}: {name}", err=True)
    if found.absent and not partial:
        told = f"{len(found.absent)} of {found.jobs} jobs missing or out of date"
        raise RuntimeError(f"{told}; complete them with cqlib sweep {file}, or add --partial")
    for path in collect.write(found, output):
        click.echo(path)


def _requested(
    words: tuple[str, ...], profile: str | None, executor: str
) -> tuple[Sweep, tuple[str, ...]]:
    """Return the requested sweep, and the arguments for Snakemake."""
    from cqbook.runs.parameters import ParameterError
    from cqbook.sweeps import sweep

    named = words[:1] if words and not words[0].startswith("-") else ()
    if len(named) + (profile is not None) != 1:
        raise ParameterError("give a sweep file, or --profile for the book's chapters")
    more = words[len(named) :]
    if more and not more[0].startswith("-"):
        raise ParameterError(f"one sweep file at a time: {more[0]!r} is one too many")
    if more and not executor:
        raise ParameterError(f"{more[0]!r} is for Snakemake, which works with --executor only")
    return sweep.read(Path(words[0])) if named else sweep.chapters(str(profile)), more
