"""Ratios of a page's inequalities: by a new search, and at the worst stored input."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cqbook.evidence.inequalities import INEQUALITIES
from cqbook.evidence.worst_inputs import worst_input

TOLERANCE = 1e-9  # relative, for rounding errors


def report(
    names: Iterable[str], *, evaluations: int = 100_000, restarts: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Search for the worst inputs of inequalities, and evaluate the stored ones.

    Args:
        names: names in ``INEQUALITIES``.
        evaluations: smallest number of inputs to try for each.
        restarts: number of starts of each search.
        seed: seed of the search.

    Returns:
        A row per inequality: inputs tried now, the largest ratio of left to right side (now or
        stored), True if a ratio above 1 was found, and True if that is as claimed.

    Raises:
        KeyError: for an unknown name.

    >>> report(["Theorem 1"], evaluations=1000).values.tolist()
    [['Theorem 1', 1280, 1.0, False, True]]
    """
    rows = []
    for name in names:
        inequality = INEQUALITIES[name]
        found = inequality.search(evaluations=evaluations, restarts=restarts, seed=seed)
        ratio = max(found.ratio, float(inequality.ratio(worst_input(name))[0]))
        above = ratio > 1 + TOLERANCE
        rows.append((name, found.evaluations, round(ratio, 4), above, above != inequality.valid))
    columns = ["left side over right side", "tried", "worst", "above 1", "as claimed"]
    return pd.DataFrame(rows, columns=columns)
