"""The ``cqlib`` command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click
import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from cqbook import paths
from cqbook.book import contents
from cqbook.cells import claims
from cqbook.runs import data_files, notebook, workers
from cqbook.sweeps import batch, collect, sweep
from cqlib import __version__, data

# Commands import torch and what needs it themselves: it takes longer than most of them.

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
@click.option("--parent", type=int, hidden=True, help="End when this process is not the parent.")
def run(
    notebooks: tuple[str, ...],
    parameter: tuple[tuple[str, str], ...],
    profile: str,
    output: Path | None,
    force: bool,
    parent: int | None,
) -> None:
    """Run notebooks with strict parameters.

    NOTEBOOK is a path, or a name below notebooks/ such as quickstart. A run is a folder with the
    executed notebook, its figures, data and claims, and how it was made. Example:

    cqlib run quickstart -p n_clients 64 -p ranks permutation
    """
    if parent is not None:
        workers.end_with(parent)
    if output is not None and len(notebooks) > 1:
        raise notebook.ParameterError("--output goes with one notebook")
    given = {name: _value(name, text) for name, text in parameter}
    overrides = data_files.located(given, Path.cwd())
    jobs = [
        notebook.job(source, profile=profile, overrides=overrides, folder=output)
        for source in dict.fromkeys(map(_find, notebooks))
    ]
    workers.run_all(jobs, console=_err, force=force)
    for job in jobs:
        click.echo(job.folder)


@app.command("data")
def data_command() -> None:
    """List the data sets that have a name, and compare their content with what it should be."""
    table = Table("name", "samples", "features", "from", "content", "licence")
    states = [_state(entry) for entry in data.ENTRIES]
    for entry, state in zip(data.ENTRIES, states, strict=True):
        size = f"{entry.N:,}", str(entry.d)
        table.add_row(entry.name, *size, entry.package, state, entry.licence)
    _out.print(table)
    for entry in data.ENTRIES:
        click.echo(f"{entry.name}: {entry.source}")
    click.echo("Any LibSVM file will do, too: give its path in place of a name.")
    if any(state.startswith("refused") for state in states):
        raise SystemExit(1)


def _state(entry: data.Entry) -> str:
    """Say whether the content of a set is the known one."""
    try:
        data.load(entry.name)
    except data.DataError as error:
        return f"refused: {error}"
    except ImportError as error:
        return f"not installed: {error}"
    return "as known"


@app.command("claims")
@_profile("standard")
def claims_command(profile: str) -> None:
    """List every item of the paper with the verdict of a profile's runs."""
    notebook.check_profile(profile)
    found: dict[str, list[claims.Evidence]] = {id: [] for id in claims.ledger()}
    for chapter in contents.chapters():
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
    from cqbook.book.compressors import compressor_rows

    headers = ["name", "joint", "bits", "omega", "A", "B", "A equal", "A paper"]
    title = f"n = {n} clients, d = {d} coordinates"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)  # fits in 80 columns
    for header in headers:
        table.add_column(header, no_wrap=True)
    options = Table("name", "options", title="What make(name) stands for", box=box.SIMPLE_HEAD)
    for name, given, *facts in compressor_rows(n, d):
        table.add_row(name, *facts)
        options.add_row(name, given)
    _out.print(table, options)


@app.command("info")
def info_command() -> None:
    """Say what the kernels run on, and why, and which versions are at work."""
    import torch

    from cqlib.kernels import dispatch, limits

    table = Table("tensors on", "kernels", "why")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        table.add_row(*dispatch.choose(device))
    _out.print(table)
    elsewhere = Table("backend", "operations", "lacking, or left to another backend, and why")
    for row in limits.rows():
        elsewhere.add_row(*row)
    _out.print(elsewhere)
    versions = " ".join(f"{name} {version(name)}" for name in ("cqlib", "torch", "numba", "numpy"))
    click.echo(f"{versions}; {torch.get_num_threads()} threads")


@app.command("book")
@_profile("standard")
def book_command(profile: str) -> None:
    """Run what is not up to date, build the book, and print the path of its index page."""
    jobs = [notebook.job(_find(name), profile=profile) for name in contents.chapters()]
    workers.run_all(jobs, console=_err)
    from cqbook.book import build

    with _err.status("building the book"):
        index, built = build.build(profile)
    click.echo("book built:" if built else "book is up to date:", err=True)
    click.echo(index)


@app.command("sweep")
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
    completes what is missing. What follows -- goes to Snakemake. Example:

    cqlib sweep sweeps/clients.yml --cores 2
    """
    planned, more = _batch(words, profile)
    options = batch.Options(cores or 0, retries, executor, jobs, more)
    try:
        batch.run(planned, options)
    except batch.Interrupted as error:
        _fail(error, 130)
    click.echo(planned.folder)


@app.command("collect")
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
    found = collect.collect(sweep.read(file), table)
    for name, state in found.absent.items():
        click.echo(f"{state}: {name}", err=True)
    if found.absent and not partial:
        told = f"{len(found.absent)} of {found.jobs} jobs missing or out of date"
        raise RuntimeError(f"{told}; complete them with cqlib sweep {file}, or add --partial")
    for path in collect.write(found, output):
        click.echo(path)


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


def _batch(words: tuple[str, ...], profile: str | None) -> tuple[sweep.Batch, tuple[str, ...]]:
    """The batch that is meant, and what is for Snakemake."""
    named = words[:1] if words and not words[0].startswith("-") else ()
    if len(named) + (profile is not None) != 1:
        raise notebook.ParameterError("give a sweep file, or --profile for the book's chapters")
    more = words[len(named) :]
    if more and not more[0].startswith("-"):
        raise notebook.ParameterError(f"one sweep file at a time: {more[0]!r} is one too many")
    return sweep.read(Path(words[0])) if named else sweep.chapters(str(profile)), more


def _value(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise notebook.ParameterError(f"the value of {name} is no YAML: {text!r}") from None


@app.group("demo")
def demo_group() -> None:
    """Try something on this machine, in less than a minute."""


@demo_group.command("distributed")
@click.option("--n", default=4, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--d", default=2**20, show_default=True, type=click.IntRange(1), help="Coordinates.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
def demo_distributed(n: int, d: int, repeats: int) -> None:
    """Take the mean of vectors of several processes, compressed and not: bytes, error, time."""
    from cqbook.network import demo

    with _err.status(f"{n} processes, {d} coordinates each"):
        found = demo.demonstrate(n, d, repeats)
    whole = found[0]
    table = Table("mean by", "bytes sent", "of float32", "error", "ms", box=box.SIMPLE_HEAD)
    for row in found:
        share = row["sent_bytes"] / whole["sent_bytes"] if n > 1 else 0.0
        table.add_row(
            row["scheme"],
            f"{row['sent_bytes']:,}",
            f"{share:.1%}",
            f"{row['error']:.2g}",
            f"{1000 * row['seconds']:.1f}",
        )
    _out.print(table)
    click.echo(
        f"{n} processes on this machine, joined by its loopback; vectors of {d} coordinates that "
        f"agree up to noise of a tenth.\nBytes are those that each process sends, the error is the "
        f"squared one of the mean over its square,\nand the time is from encoding to decoding. "
        f"Loopback is fast: over a slow link the bytes decide."
    )


def main() -> None:
    """Run the command: exit code 0 if all went well, 1 if something failed, 2 for wrong use."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as for Ctrl-C
        app(prog_name="cqlib")
    except notebook.ParameterError as error:
        _fail(error, 2)
    except (RuntimeError, ValueError, OSError) as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> NoReturn:
    print(f"cqlib: {error}", file=sys.stderr)
    raise SystemExit(code)
