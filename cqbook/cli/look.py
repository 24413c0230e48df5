"""``cqlib data``, ``claims``, ``verify``, ``compressors`` and ``info``: lists and facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cqbook.cli.options import profile_option

if TYPE_CHECKING:
    from rich.table import Table


@click.command("data")
def data_command() -> None:
    """List the named data sets, and verify their content."""
    from rich.console import Console
    from rich.table import Table

    from cqlib import data

    table = Table("name", "samples", "features", "from", "content", "licence")
    states = [_state(entry.name) for entry in data.ENTRIES]
    for entry, state in zip(data.ENTRIES, states, strict=True):
        size = f"{entry.N:,}", str(entry.d)
        _add(table, entry.name, *size, entry.package, state, entry.licence)
    Console().print(table)
    for entry in data.ENTRIES:
        click.echo(f"{entry.name}: {entry.source}")
    click.echo("Instead of a name you can give the path of any LibSVM file.")
    if any(state.startswith("refused") for state in states):
        raise SystemExit(1)


def _state(name: str) -> str:
    """Return the state of a data set: is its content the expected one?"""
    from cqlib import data

    try:
        data.load(name)
    except data.DataError as error:
        return f"refused: {error}"
    except ImportError as error:
        return f"not installed: {error}"
    return "verified"


@click.command("verify")
@click.argument("items", nargs=-1, metavar="[CLAIM]...")
def verify_command(items: tuple[str, ...]) -> None:
    """Derive exact verdicts again, in fractions, with nothing but the standard library.

    CLAIM is an id of the ledger, such as theorem-1; without one, all are derived, which takes
    seconds. The code is one file to be read, cqbook/verify.py.
    """
    from cqbook import verify
    from cqbook.cells import claims

    for unknown in (id for id in items if id not in verify.CHECKS):
        if unknown not in claims.ledger():
            raise click.UsageError(f"unknown claim {unknown!r}; see: cqlib claims")
        known = ", ".join(verify.CHECKS)
        raise click.UsageError(
            f"{unknown} has no derivation in fractions here; these have: {known}"
        )
    refuted = False
    for id in items or verify.CHECKS:
        click.echo(f"{claims.ledger()[id].title} ({id}): {verify.CHECKS[id].__doc__}")
        try:
            click.echo(f"  found: {verify.CHECKS[id]()}")
        except verify.Refuted as error:
            refuted = True
            click.echo(f"  the ledger's verdict does not follow: {error}")
    if refuted:
        raise SystemExit(1)


@click.command("claims")
@profile_option("standard")
def claims_command(profile: str) -> None:
    """List every item of the paper with the verdict of a profile's runs."""
    from rich.console import Console
    from rich.table import Table

    from cqbook import paths
    from cqbook.cells import claims
    from cqbook.runs import contents, job, run

    job.check_profile(profile)
    found: dict[str, list[claims.Evidence]] = {id: [] for id in claims.ledger()}
    for chapter in contents.chapters():
        folder = paths.runs(profile) / chapter
        if not (folder / "provenance.json").exists():
            continue
        for evidence in run.read(chapter, folder).evidence:
            found[evidence.id].append(evidence)
    table = Table("id", "about", "verdict", "measured")
    for item in claims.ledger().values():
        records = found[item.id]
        measured = "; ".join(e.measured for e in records)
        _add(table, item.id, item.name, claims.verdict(records), measured)
    Console().print(table)


@click.command("compressors")
@click.option("--n", default=64, show_default=True, type=click.IntRange(1), help="Clients.")
@click.option("--d", default=64, show_default=True, type=click.IntRange(1), help="Dimension.")
def compressors_command(n: int, d: int) -> None:
    """List the compressors: options, bits per client per round, constants for n clients."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from cqbook.book.compressors import compressor_rows

    headers = ["name", "joint", "bits", "omega", "A", "B", "A equal", "A paper"]
    title = f"n = {n} clients, d = {d} coordinates"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)  # fits in 80 columns
    for header in headers:
        table.add_column(header, no_wrap=True)
    options = Table("name", "options", title="What make(name) stands for", box=box.SIMPLE_HEAD)
    for name, given, *facts in compressor_rows(n, d):
        _add(table, name, *facts)
        _add(options, name, given)
    Console().print(table, options)


@click.command("info")
def info_command() -> None:
    """Show the backend of the kernels, the reason for it, and the versions in use."""
    from importlib.metadata import version

    import torch
    from rich.console import Console
    from rich.table import Table

    from cqlib.kernels import dispatch, limits

    table = Table("tensors on", "kernels", "why")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        _add(table, *dispatch.choose(device))
    Console().print(table)
    elsewhere = Table("backend", "operations", "lacking, or left to another backend, and why")
    for row in limits.rows():
        _add(elsewhere, *row)
    Console().print(elsewhere)
    versions = " ".join(f"{name} {version(name)}" for name in ("cqlib", "torch", "numba", "numpy"))
    click.echo(f"{versions}; {torch.get_num_threads()} threads")


def _add(table: Table, *cells: str) -> None:
    """Add a row of literal texts, in which brackets are no markup."""
    from rich.markup import escape

    table.add_row(*map(escape, cells))
