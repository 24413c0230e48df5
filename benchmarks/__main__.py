"""The command: measure, print, save."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import first_call, gpu, memory, ours, save, selection, tables
from benchmarks.bars import bars
from benchmarks.machine import machine
from benchmarks.row import FAILED
from cqbook import paths

RESULTS = paths.root() / "benchmarks" / "results"
QUICK_RESULTS = paths.root() / "build" / "benchmarks"  # the book does not show these


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--quick", is_flag=True, help="Small sizes and few repetitions: seconds, not minutes."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for results.json, results.csv and the figures.  "
    "[default: benchmarks/results; with --quick build/benchmarks]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Numbers of threads; other libraries run with the first. Repeat for more.",
)
def main(quick: bool, out: Path | None, threads: tuple[int, ...]) -> None:
    """Measure speed against memcpy and against other libraries, print it and save it.

    A missed bar or a library that is not installed is reported, but is not a failure.
    """
    started = time.monotonic()
    out = out or (QUICK_RESULTS if quick else RESULTS)
    facts = machine()  # first, for the load of the machine before the measurements
    chosen = selection.quick() if quick else selection.full()
    rows = []
    with Console(stderr=True).status("starting") as status:
        for row in chain(selection.rows(chosen, threads), selection.gpu_rows(chosen)):
            rows.append(row)
            status.update(f"{row.name}, n = {row.n}, d = {row.d}: {row.status}")
        status.update("first calls, memory, compiled kernels")
        first = [] if quick else first_call.first_calls(ours.FIRST_CALLS)
        used = [] if quick else memory.memory(ours.MEMORY, ours.LARGEST)
        compiled = {"rows": [], "why": "left out of a quick run"} if quick else gpu.compiled()
    about: dict[str, Any] = {
        "quick": quick,
        "seconds": time.monotonic() - started,
        "threads": list(threads),
        "machine": facts,
        "load_after": list(os.getloadavg()),
        "effort": asdict(chosen.effort),
        "bars": bars(rows),
        "first_calls": first,
        "memory": used,
        "gpu_compiled": compiled,
    }
    save.save(out, rows, about)
    console = Console()
    if console.width < tables.WIDTH:
        console = Console(width=tables.WIDTH)
    console.print(tables.speeds(rows))
    console.print(tables.unmeasured(rows))
    if not quick:
        console.print(tables.children(first, used))
    console.print(tables.bars(about["bars"]))
    console.print(f"saved in {out} after {about['seconds']:.0f} s")
    if any(row.who == "cqlib" and row.status == FAILED for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
