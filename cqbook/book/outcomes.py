"""The page of wins, ties and losses over all experiments, made from the tables that runs left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
import pandas as pd

from cqbook.experiments.outcomes import OUTCOMES

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
    lines += [
        "Numbers of settings: wins, ties, undecided, losses.",
        "",
        "| method | against | task | " + " | ".join(_GROUPS) + " |",
        "|" + "---|" * (3 + len(_GROUPS)),
    ]
    for pair, part in everything.groupby(["method", "against", "task"], sort=False):
        cells = [*map(str, pair), *(_tally(part[belongs(part)]) for belongs in _GROUPS.values())]
        lines.append("| " + " | ".join(cells) + " |")
    for name, table in tables.items():
        link = f"{{doc}}`/notebooks/{name}`"
        lines += ["", f"## {_title(runs[name])}", "", f"Figure and tables: {link}.", ""]
        lines += _settings(table)
    return "\n".join([*lines, ""])


_GROUPS: dict[str, Callable[[pd.DataFrame], pd.Series[bool]]] = {
    "all": lambda table: table.n > 0,
    "$n\\ge d$": lambda table: table.n >= table.d,
    "$n<d$": lambda table: table.n < table.d,
    "$n\\le d/4$": lambda table: 4 * table.n <= table.d,
}


def _tally(table: pd.DataFrame) -> str:
    """Counts in the order of the outcomes, or a dash where there is nothing to count."""
    found = [int((table.outcome == outcome).sum()) for outcome in OUTCOMES]
    return ", ".join(map(str, found)) if len(table) else "–"


def _title(folder: Path) -> str:
    """The heading of a run's notebook."""
    (file,) = folder.glob("*.ipynb")
    first = nbformat.read(file, as_version=4).cells[0].source
    return str(first.splitlines()[0].removeprefix("# "))


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
