"""The saved files of a run, each written completely or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import figures
from benchmarks.row import Row, records, rounded
from cqlib.files import write_atomic

FILES = ("results.json", "results.csv", "throughput.svg", "clients.svg")
SCHEMA = 1


def save(folder: Path, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """Write everything: JSON has all, CSV the rows, SVG the figures."""
    listed = list(rows)
    table = records(listed)
    whole = {"schema": SCHEMA, **rounded(dict(about)), "rows": table}
    csv = pd.DataFrame(table).to_csv(index=False, lineterminator="\n")
    contents = (
        json.dumps(whole, indent=1, ensure_ascii=False) + "\n",
        csv,
        figures.throughput(listed),
        figures.clients(listed),
    )
    for name, content in zip(FILES, contents, strict=True):
        write_atomic(folder / name, content)
