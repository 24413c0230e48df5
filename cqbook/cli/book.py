"""``cqlib book``: run the chapters and build the book."""

from __future__ import annotations

import click

from cqbook.cli.options import profile_option


@click.command("book")
@profile_option("standard")
def book_command(profile: str) -> None:
    """Run what is not up to date, build the book, and print the path of its index page."""
    from rich.console import Console

    from cqbook.book import build
    from cqbook.sweeps import driver, sweep

    console = Console(stderr=True)
    driver.run(sweep.chapters(profile), driver.Options(retries=0), console)
    with console.status("building the book"):
        index, built = build.build(profile)
    click.echo("book built:" if built else "book is up to date:", err=True)
    click.echo(index)
