"""Tables that a run saves in addition to its figures."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from cqlib.files import write_atomic


def save(name: str, table: pd.DataFrame) -> None:
    """Save a table as CSV in the results of the run, with six significant digits.

    Args:
        name: file name without ending, unique in the notebook.
        table: a row per observation.

    The variable ``CQLIB_RESULTS`` of ``cqlib run`` names the folder; without it nothing is saved.
    """
    if folder := os.environ.get("CQLIB_RESULTS"):
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_atomic(Path(folder) / f"{name}.csv", text)
