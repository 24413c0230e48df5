"""``cqlib run`` and ``cqlib store``: execute notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cqbook.cli.options import profile_option


@click.command("run")
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...")
@click.option(
    "-p",
    "--parameter",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="Set a parameter; the value has the type of the notebook's own. Lists and texts in "
    "quotation marks are read as YAML. Repeat for more.",
)
@profile_option("quick")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run, for one notebook.  [default: runs/PROFILE/NOTEBOOK]",
)
@click.option("--force", is_flag=True, help="Run even if the folder is up to date.")
def run_command(
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
    from rich.console import Console

    from cqbook.runs import data_files, job, runner
    from cqbook.runs.parameters import ParameterError, defaults

    if output is not None and len(notebooks) > 1:
        raise ParameterError("--output goes with one notebook")
    names = [name for name, _ in parameter]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ParameterError(f"parameter {twice[0]!r} is given twice")
    given = {name: _value(name, text) for name, text in parameter}
    found = []
    for source in dict.fromkeys(map(job.find, notebooks)):
        overrides = data_files.located(given, Path.cwd(), defaults(source))
        found.append(job.planned(source, profile=profile, overrides=overrides, folder=output))
    jobs = {job.unique_name(each.source): each for each in found}
    runner.complete(jobs, logs=None, console=Console(stderr=True), force=force)
    for each in found:
        click.echo(each.folder)


@click.command("store")
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...")
def store_command(notebooks: tuple[str, ...]) -> None:
    """Write the quick profile's outputs into notebooks, for the tests to compare with."""
    from cqbook.runs import job, notebook

    for name in notebooks:
        source = job.find(name)
        notebook.store(source)
        click.echo(source)


def _value(name: str, text: str) -> Any:
    """Return the value of a parameter: a plain text, or what YAML makes of brackets and quotes."""
    from cqbook import strict_yaml
    from cqbook.runs.parameters import ParameterError

    if text.lstrip()[:1] not in ("[", "{", "'", '"'):
        return strict_yaml.Plain(text)
    try:
        return strict_yaml.load(text, typed=False)
    except strict_yaml.YAMLError:
        raise ParameterError(f"the value of {name} is not valid YAML: {text!r}") from None
