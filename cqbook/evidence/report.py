"""Results on a page's inequalities: searched now, and replayed at the worst input known."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cqbook.evidence.inequalities import INEQUALITIES
from cqbook.evidence.worst_inputs import worst_input

TOLERANCE = 1e-9  # of rounding, relative


def report(
    names: Iterable[str], *, evaluations: int = 100_000, restarts: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Search for the worst inputs of some inequalities, and look at those stored.

    Args:
        names: of ``INEQUALITIES``.
        evaluations: least number of inputs to try for each.
        restarts: number of starts of each search.
        seed: of the search.

    Returns:
        A row for each: inputs tried now, the largest ratio of left to right side known (now or
        stored), whether a ratio above 1 was found, and whether that is as claimed.

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
