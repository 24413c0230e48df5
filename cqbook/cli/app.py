"""All commands together."""

from __future__ import annotations

import click

from cqbook.cli import book, demo, look, run, sweep
from cqlib import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def app() -> None:
    """Rerun the companion's notebooks; look at its data, claims and compressors."""


for command in (
    *(run.run_command, run.store_command, book.book_command),
    *(sweep.sweep_command, sweep.collect_command),
    *(look.data_command, look.claims_command, look.verify_command),
    *(look.compressors_command, look.info_command),
    demo.demo_group,
):
    app.add_command(command)
