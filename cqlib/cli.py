"""The ``cqlib`` command."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch
import yaml
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cqlib import __version__, book, claims, data, notebook, pages, paths
from cqlib.kernels import dispatch

_out = Console()
_err = Console(stderr=True)


def _profile(default: str) -> Callable[[Any], Any]:
    text = "quick, or the name of a file in profiles/ such as standard."
    return click.option("--profile", default=default, show_default=True, help=text)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def app() -> None:
    """Rerun the companion's notebooks; look at its data, claims and compressors."""


@app.command()
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...")
@click.option(
    "-p",
    "--parameter",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="Set a parameter; the value is read as YAML. Repeat for more.",
)
@_profile("quick")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run, for one notebook.  [default: runs/PROFILE/NOTEBOOK]",
)
@click.option("--force", is_flag=True, help="Run even if the folder is up to date.")
def run(
    notebooks: tuple[str, ...],
    parameter: tuple[tuple[str, str], ...],
    profile: str,
    output: Path | None,
    force: bool,
) -> None:
    """Run notebooks with strict parameters.

    NOTEBOOK is a path, or a name below notebooks/ such as quickstart. A run is a folder with the
    executed notebook, its figures, data and claims, and how it was made. Example:

    cqlib run quickstart -p n_clients 64 -p ranks permutation
    """
    if output is not None and len(notebooks) > 1:
        raise notebook.ParameterError("--output goes with one notebook")
    overrides = {name: _value(name, text) for name, text in parameter}
    jobs = [
        notebook.job(source, profile=profile, overrides=overrides, folder=output)
        for source in dict.fromkeys(map(_find, notebooks))
    ]
    _run_all(jobs, force=force)
    for job in jobs:
        click.echo(job.folder)


@app.command("data")
def data_command() -> None:
    """List the data sets: what is here, from where, and whether it is what it should be."""
    table = Table("name", "samples", "features", "where", "state", "file")
    statuses = data.status()
    for s in statuses:
        table.add_row(s.name, str(s.N), str(s.d), s.where, s.state, str(s.path or ""))
    _out.print(table)
    if any(s.where == "absent" for s in statuses):
        click.echo(
            "Absent sets are downloaded when they are first used, or replaced by a labelled "
            "stand-in. CQLIB_DATA names a folder of files to use instead."
        )
    if any(s.state.startswith("refused") for s in statuses):
        raise SystemExit(1)


@app.command("claims")
@_profile("standard")
def claims_command(profile: str) -> None:
    """List every item of the paper with the verdict of a profile's runs."""
    notebook.check_profile(profile)
    found: dict[str, list[claims.Evidence]] = {id: [] for id in claims.ledger()}
    for chapter in book.chapters():
        for evidence in claims.read(paths.runs(profile) / chapter / "claims.jsonl"):
            found[evidence.id].append(evidence)
    table = Table("id", "about", "verdict", "measured")
    for item in claims.ledger().values():
        records = found[item.id]
        measured = "; ".join(e.measured for e in records)
        table.add_row(item.id, item.name, claims.verdict(records), measured)
    _out.print(table)


@app.command("compressors")
@click.option("--n", default=64, show_default=True, type=click.IntRange(1), help="Clients.")
@click.option("--d", default=64, show_default=True, type=click.IntRange(1), help="Dimension.")
def compressors_command(n: int, d: int) -> None:
    """List the compressors: options, bits per client per round, constants for n clients."""
    headers = ["name", "joint", "bits", "omega", "A", "B", "A equal", "A paper"]
    title = f"n = {n} clients, d = {d} coordinates"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)  # fits in 80 columns
    for header in headers:
        table.add_column(header, no_wrap=True)
    options = Table("name", "options", title="What make(name) stands for", box=box.SIMPLE_HEAD)
    for name, given, *facts in pages.compressor_rows(n, d):
        table.add_row(name, *facts)
        options.add_row(name, given)
    _out.print(table, options)


@app.command("info")
def info_command() -> None:
    """Say what the kernels run on, and why, and which versions are at work."""
    table = Table("tensors on", "kernels", "why")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        table.add_row(*dispatch.choose(device))
    _out.print(table)
    versions = " ".join(f"{name} {version(name)}" for name in ("cqlib", "torch", "numba", "numpy"))
    click.echo(f"{versions}; {torch.get_num_threads()} threads")


@app.command("book")
@_profile("standard")
def book_command(profile: str) -> None:
    """Run what is not up to date, build the book, and print the path of its index page."""
    _run_all([notebook.job(_find(name), profile=profile) for name in book.chapters()])
    with _err.status("building the book"):
        index, built = book.build(profile)
    click.echo("book built:" if built else "book is up to date:", err=True)
    click.echo(index)


@app.command("store")
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...")
def store_command(notebooks: tuple[str, ...]) -> None:
    """Write the quick profile's outputs into notebooks, for the tests to compare with."""
    for name in notebooks:
        source = _find(name)
        notebook.store(source)
        click.echo(source)


def _find(name: str) -> Path:
    """A notebook by path or by its name below ``notebooks/``."""
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name)
    found = paths.notebooks() / f"{name.removesuffix('.ipynb')}.ipynb"
    if not found.is_file():
        folder = paths.notebooks()
        known = sorted(notebook.notebook_name(path) for path in folder.rglob("*.ipynb"))
        raise notebook.ParameterError(f"no notebook {name!r}; known: {', '.join(known)}")
    return found


def _value(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise notebook.ParameterError(f"the value of {name} is no YAML: {text!r}") from None


def _run_all(jobs: list[notebook.Job], *, force: bool = False) -> None:
    """Run jobs in parallel processes with progress; all get their turn, failures are told last."""
    waiting = [job for job in jobs if force or not notebook.is_current(job)]
    failures: list[str] = []
    columns = (TextColumn("notebooks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, TextColumn("{task.description}"), console=_err) as progress,
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


def main() -> None:
    """Run the command: exit code 0 if all went well, 1 if something failed, 2 for wrong use."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as for Ctrl-C
        app(prog_name="cqlib")
    except notebook.ParameterError as error:
        _fail(error, 2)
    except (RuntimeError, ValueError, OSError) as error:
        _fail(error, 1)


@contextmanager
def _workers() -> Iterator[ProcessPoolExecutor]:
    """Processes that run notebooks, and end when this one does, however it ends."""
    pool = ProcessPoolExecutor(
        max_workers=os.cpu_count() or 1, initializer=_end_with, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except KeyboardInterrupt:
        print("cqlib: interrupted; the same command goes on with what is missing", file=sys.stderr)
        os._exit(130)  # the workers see it, and the kernels see the workers
    finally:
        pool.shutdown()


def _end_with(parent: int) -> None:
    """Make a worker leave Ctrl-C to its parent, and end once the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _fail(error: Exception, code: int) -> None:
    print(f"cqlib: {error}", file=sys.stderr)
    raise SystemExit(code)
