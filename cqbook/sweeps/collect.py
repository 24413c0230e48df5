"""Join the tables of a sweep's jobs: one tidy CSV for each name of a CSV in their results.

Every row says which job it is from and what that was made from. Nothing of it changes from run to
run, so a sweep that was interrupted gives the same bytes as one that was not.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqbook.runs import notebook, provenance
from cqbook.sweeps.sweep import Batch, SweepError, Task
from cqlib import __version__
from cqlib.files import write_atomic

_FROM = ("job", "commit", "cqlib", "key")


@dataclass(frozen=True)
class Collected:
    """What was found.

    Args:
        folder: where the tables go.
        tables: the CSV to write, by name without ending.
        absent: the jobs left out, and why: "missing" or "out of date".
        jobs: the number of jobs of the sweep.
    """

    folder: Path
    tables: dict[str, str]
    absent: dict[str, str]
    jobs: int


def collect(batch: Batch, only: str | None = None) -> Collected:
    """Read the tables of all jobs that are up to date.

    Args:
        batch: the sweep.
        only: the name of one table, without ending; all of them if None.

    Raises:
        SweepError: if no job that is up to date has the table.
    """
    now = provenance.Snapshot()
    absent: dict[str, str] = {}
    rows: dict[str, list[dict[str, str]]] = {}
    for task in batch.tasks.values():
        if notebook.is_current(task.job, now):
            facts = json.loads((task.job.folder / "provenance.json").read_text(encoding="utf-8"))
            for name in _tables(facts):
                rows.setdefault(name, []).extend(_rows(task, facts, name))
        else:
            made = (task.job.folder / "provenance.json").is_file()
            absent[task.name] = "out of date" if made else "missing"
    if only is not None:
        if only not in rows:
            raise SweepError(f"no table {only!r}; there are: {', '.join(sorted(rows)) or 'none'}")
        rows = {only: rows[only]}
    tables = {name: _csv(rows[name]) for name in sorted(rows)}
    return Collected(batch.folder / "collected", tables, absent, len(batch.tasks))


def write(collected: Collected, output: Path | None = None) -> list[Path]:
    """Write the tables, each whole or not at all; return where.

    Raises:
        SweepError: if there is not just one table for ``output``.
    """
    names = list(collected.tables)
    if output is not None and len(names) != 1:
        listed = ", ".join(names) or "none"
        raise SweepError(f"--output takes one table, there are: {listed}; choose with --table")
    places = {name: output or collected.folder / f"{name}.csv" for name in names}
    for name, place in places.items():
        write_atomic(place, collected.tables[name])
    return list(places.values())


def _tables(facts: Mapping[str, Any]) -> list[str]:
    """Names of the tables that a run made; a file that was put there later is none of them."""
    made = sorted(map(Path, facts["files"]))
    return [file.stem for file in made if file.parent == Path("results") and file.suffix == ".csv"]


def _rows(task: Task, facts: Mapping[str, Any], name: str) -> Iterable[dict[str, str]]:
    """A table's rows as they stand, after the job's place in the grid and its origin."""
    file = task.job.folder / "results" / f"{name}.csv"
    origin = (task.name, facts["commit"], __version__, facts["key"])
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        own = list(reader.fieldnames or ())
        before = {name: _cell(value) for name, value in task.point.items()}
        before |= dict(zip(_FROM, origin, strict=True))
        before = {_free(name, own): value for name, value in before.items()}
        for row in reader:
            yield before | row


def _free(name: str, taken: list[str]) -> str:
    """A name for a leading column that the table does not have.

    >>> _free("reg", ["reg", "value"])
    'parameter_reg'
    """
    prefix = "job_" if name in _FROM else "parameter_"
    while name in taken:
        name = prefix + name
    return name


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as CSV; columns in the order in which they come up, blank where a job has none."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
