"""``cqlib demo``: something to try."""

from __future__ import annotations

import click


@click.group("demo")
def demo_group() -> None:
    """Try something on this machine, in less than a minute."""


@demo_group.command("distributed")
@click.option("--n", default=4, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--d", default=2**20, show_default=True, type=click.IntRange(1), help="Coordinates.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
def demo_distributed(n: int, d: int, repeats: int) -> None:
    """Take the mean of vectors of several processes, compressed and not: bytes, error, time."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from cqbook.network import demo

    with Console(stderr=True).status(f"{n} processes, {d} coordinates each"):
        found = demo.demonstrate(n, d, repeats)
    whole = found[0]
    table = Table("mean by", "bytes sent", "of float32", "error", "ms", box=box.SIMPLE_HEAD)
    for row in found:
        share = row["sent_bytes"] / whole["sent_bytes"] if n > 1 else 0.0
        table.add_row(
            escape(row["scheme"]),
            f"{row['sent_bytes']:,}",
            f"{share:.1%}",
            f"{row['error']:.2g}",
            f"{1000 * row['seconds']:.1f}",
        )
    Console().print(table)
    click.echo(
        f"{n} processes on this machine, joined by its loopback; vectors of {d} coordinates that "
        f"agree up to noise of a tenth.\nBytes are those that each process sends, the error is the "
        f"squared one of the mean over its square,\nand the time is from encoding to decoding. "
        f"Loopback is fast: over a slow link the bytes decide."
    )
