"""Counts of checks: the number of cases in which each statement is true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def tally(cases: Iterable[Mapping[str, bool]], *, total: str = "cases") -> dict[str, int]:
    """Return the number of cases, and for each check the number of cases in which it is true.

    Args:
        cases: a value for each check, by name; all cases make the same checks.
        total: name of the number of cases, the first entry.

    Raises:
        ValueError: if a case has other checks than the first one.

    >>> tally([{"unbiased": True, "attained": False}, {"unbiased": True, "attained": True}])
    {'cases': 2, 'unbiased': 2, 'attained': 1}
    """
    counts = {total: 0}
    for case in cases:
        if not counts[total]:
            counts |= dict.fromkeys(case, 0)
        elif counts.keys() - {total} != set(case):
            raise ValueError(f"case {counts[total]} makes other checks: {', '.join(case)}")
        counts[total] += 1
        for name, true in case.items():
            counts[name] += bool(true)
    return counts


def all_true(counts: Mapping[str, int], names: Iterable[str], *, total: str = "cases") -> bool:
    """Return True if these checks are true in every case, and there is at least one case.

    >>> all_true({"cases": 2, "unbiased": 2, "attained": 1}, ["unbiased"])
    True
    """
    return counts[total] > 0 and all(counts[name] == counts[total] for name in names)
