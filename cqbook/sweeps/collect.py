"""Join the tables of a sweep's jobs: one tidy CSV for each name of a CSV in their results.

Every row names its job and the job's origin. These columns are the same in every run, so an
interrupted sweep gives the same bytes as one without interruption.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqbook.runs import provenance, runner
from cqbook.runs.job import Job
from cqbook.sweeps.sweep import Sweep, SweepError, as_text
from cqlib.files import write_atomic

_FROM = ("job", "commit", "cqlib", "fingerprint")


@dataclass(frozen=True)
class Collected:
    """The joined tables.

    Args:
        folder: folder of the tables.
        tables: the CSV texts, by name without ending.
        absent: the jobs left out, with the reason: "missing" or "out of date".
        jobs: the number of jobs of the sweep.
    """

    folder: Path
    tables: dict[str, str]
    absent: dict[str, str]
    jobs: int


def collect(sweep: Sweep, only: str | None = None) -> Collected:
    """Read the tables of all jobs that are up to date.

    Args:
        sweep: the sweep.
        only: name of one table, without ending; None for all tables.

    Raises:
        SweepError: if no up-to-date job has the table.
    """
    outdated = set(runner.outdated(sweep.jobs))
    absent: dict[str, str] = {}
    rows: dict[str, list[dict[str, str]]] = {}
    for name, job in sweep.jobs.items():
        made = job.folder / "provenance.json"
        if name in outdated:
            absent[name] = "out of date" if made.is_file() else "missing"
            continue
        facts = provenance.read(made)
        for table in _tables(facts):
            place = {key: as_text(value) for key, value in sweep.point(name).items()}
            origin = (name, facts["commit"], facts["cqlib"], facts["fingerprint"])
            place |= dict(zip(_FROM, origin, strict=True))
            rows.setdefault(table, []).extend(_rows(job, table, place))
    if only is not None:
        if only not in rows:
            raise SweepError(f"no table {only!r}; there are: {', '.join(sorted(rows)) or 'none'}")
        rows = {only: rows[only]}
    tables = {name: _csv(rows[name]) for name in sorted(rows)}
    return Collected(sweep.folder / "collected", tables, absent, len(sweep.jobs))


def write(collected: Collected, output: Path | None = None) -> list[Path]:
    """Write the tables, each whole or not at all; return the paths.

    Raises:
        SweepError: if ``output`` is given and there is not exactly one table.
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
    """Return the names of the tables made by a run, without files that were added later."""
    made = sorted(map(Path, facts["files"]))
    return [file.stem for file in made if file.parent == Path("results") and file.suffix == ".csv"]


def _rows(job: Job, name: str, place: Mapping[str, str]) -> Iterable[dict[str, str]]:
    """Yield a table's rows, each after the job's place in the grid and its origin."""
    file = job.folder / "results" / f"{name}.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        own = list(reader.fieldnames or ())
        before = {_free(key, own): value for key, value in place.items()}
        for row in reader:
            yield before | row


def _free(name: str, taken: list[str]) -> str:
    """Return a name for a leading column that differs from the table's columns.

    >>> _free("reg", ["reg", "value"])
    'parameter_reg'
    """
    prefix = "job_" if name in _FROM else "parameter_"
    while name in taken:
        name = prefix + name
    return name


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as CSV, columns in order of appearance, blank if a job lacks one."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
