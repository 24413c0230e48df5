"""The page of wins, ties and losses over all experiments, made from the tables that runs left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cqlib.experiments.outcomes import counts

TABLE = "outcomes.csv"  # in the results of a run
_FACTS = ("task", "method", "against", "decades", "low", "high", "p", "outcome")


def outcomes_page(runs: Mapping[str, Path]) -> str:
    """Return the page: who wins in how many settings, by numbers of clients, then every setting.

    Args:
        runs: folders of the runs, by chapter; those without a table of outcomes are passed over.
    """
    tables = {
        name: pd.read_csv(folder / "results" / TABLE)
        for name, folder in runs.items()
        if (folder / "results" / TABLE).exists()
    }
    lines = [
        "# Who wins",
        "",
        "All experiments of this part in one place: within the same bits, each method at the "
        "stepsize that was tuned for it, does the first method end with a smaller gradient than "
        "the second? The runs that are compared have fresh seeds. A win or a loss is a difference "
        "that a rank sum test finds, with all comparisons of a page taken together (5 %). A tie "
        "is a difference whose 95 % confidence interval stays below a factor of two either way; "
        "the rest is undecided. The last columns say by how many decades of the squared gradient "
        "norm the first method ends below the second, with that interval.",
        "",
    ]
    if not tables:
        return "\n".join([*lines, "No run of this profile left a table.", ""])
    everything = pd.concat(tables.values(), ignore_index=True)
    counted: list[tuple[object, ...]] = []
    groups = {
        "all settings": everything,
        "n at least d": everything[everything.n >= everything.d],
        "n below d": everything[everything.n < everything.d],
        "n at most d / 4": everything[4 * everything.n <= everything.d],
    }
    head = ["method", "against", "task", "settings", "wins", "ties", "undecided", "losses"]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for label, table in groups.items():
        tally = counts(table, by=["method", "against", "task"]).reset_index()
        counted += [(*row[:3], label, *row[3:]) for row in tally.to_numpy().tolist()]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in sorted(counted)]
    for name, table in tables.items():
        lines += ["", f"## {{doc}}`/notebooks/{name}`", "", *_settings(table)]
    return "\n".join([*lines, ""])


def _settings(table: pd.DataFrame) -> list[str]:
    known = [column for column in table.columns if column not in _FACTS]
    head = [*known, "method", "against", "outcome", "decades", "from", "to"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in table.to_dict("records"):
        setting = [
            f"{row[column]:g}" if _is_number(row[column]) else row[column] for column in known
        ]
        numbers = [f"{row[column]:.2g}" for column in ("decades", "low", "high")]
        cells = [*setting, row["method"], row["against"], f"**{row['outcome']}**", *numbers]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))
