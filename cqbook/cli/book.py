"""``cqlib book``: run the chapters and build the book."""

from __future__ import annotations

import os
from dataclasses import replace

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
    found = sweep.chapters(profile)
    # These take longest: they start first, so that none runs alone at the end.
    long = ("experiments/", "global_qsgd/")
    ordered = sorted(found.jobs.items(), key=lambda job: not job[0].startswith(long))
    found = replace(found, jobs=dict(ordered))
    # A job also waits: for its kernel to start, for its processes. So there is one job more than
    # processors.
    driver.run(found, driver.Options(cores=(os.cpu_count() or 1) + 1, retries=0), console)
    with console.status("building the book"):
        index, built = build.build(profile)
    click.echo("book built:" if built else "book is up to date:", err=True)
    click.echo(index)
