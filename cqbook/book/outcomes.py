"""The page of wins, ties and losses in all experiments, made from the tables of the runs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd

from cqbook.book.tables import table
from cqbook.book.templates import plain, render
from cqbook.experiments.outcomes import OUTCOMES
from cqbook.runs.run import Run

TABLE = "outcomes.csv"  # in the results of a run
_FACTS = ("task", "method", "against", "decades", "low", "high", "p", "outcome")
_GROUPS: dict[str, Callable[[pd.DataFrame], pd.Series[bool]]] = {
    "all": lambda settings: settings.n > 0,
    "$n\\ge d$": lambda settings: settings.n >= settings.d,
    "$n<d$": lambda settings: settings.n < settings.d,
    "$n\\le d/4$": lambda settings: 4 * settings.n <= settings.d,
}


class Chapter(NamedTuple):
    """The part of the page on one run."""

    name: str
    title: str
    settings: str  # a table


def outcomes_page(runs: Iterable[Run]) -> str:
    """Return the page: numbers of wins by number of clients, then every setting.

    It skips runs without a table of outcomes.
    """
    with_table = [run for run in runs if TABLE in run.results]
    outcomes = [pd.read_csv(io.BytesIO(run.results[TABLE])) for run in with_table]
    chapters = [
        Chapter(run.name, _title(run), _settings(found))
        for run, found in zip(with_table, outcomes, strict=True)
    ]
    counts = _counts(pd.concat(outcomes, ignore_index=True)) if outcomes else ""
    return render("outcomes", chapters=chapters, counts=counts)


def _counts(outcomes: pd.DataFrame) -> str:
    """Return a table of the numbers of outcomes, a row per pair of methods and task."""
    rows = [
        (
            *(plain(str(name)) for name in pair),
            *(_tally(part[belongs(part)]) for belongs in _GROUPS.values()),
        )
        for pair, part in outcomes.groupby(["method", "against", "task"], sort=False)
    ]
    return table(("method", "against", "task", *_GROUPS), rows)


def _tally(outcomes: pd.DataFrame) -> str:
    """Return the numbers of wins, ties, undecided and losses; a dash if all are 0."""
    counts = [int((outcomes.outcome == outcome).sum()) for outcome in OUTCOMES]
    return ", ".join(map(str, counts)) if len(outcomes) else "–"


def _settings(outcomes: pd.DataFrame) -> str:
    """Return a table of every setting and its outcome."""
    known = [column for column in outcomes.columns if column not in _FACTS]
    rows = [
        (
            *(_cell(row[column]) for column in known),
            plain(row["method"]),
            plain(row["against"]),
            f"**{row['outcome']}**",
            *(f"{row[column]:.2g}" for column in ("decades", "low", "high")),
        )
        for row in outcomes.to_dict("records")
    ]
    return table((*known, "method", "against", "outcome", "decades", "from", "to"), rows)


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else plain(str(value))


def _title(run: Run) -> str:
    """Return the title of a run's notebook."""
    first = run.notebook().cells[0].source
    return str(first.splitlines()[0].removeprefix("# "))
