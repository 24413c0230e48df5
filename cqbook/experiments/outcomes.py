"""Win, tie, undecided or loss: the better of two methods, with its significance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

OUTCOMES = ("win", "tie", "undecided", "loss")
MARGIN = 0.3  # decades: a factor of two


class Gap(NamedTuple):
    """The lead of one group of runs over another, in decades."""

    median: float  # of all differences, theirs - ours
    low: float  # confidence interval of the shift
    high: float
    p: float  # of the two-sided rank sum test


def gap(ours: Array, theirs: Array, *, level: float = 0.05) -> Gap:
    r"""Compare two groups of results; smaller is better.

    The median of all pairwise differences estimates the shift between the groups (Hodges and
    Lehmann). ``p`` is that of the exact rank sum test; the interval comes from the same test. Both
    assume only that the runs are independent.

    Args:
        ours: results of our runs, shape (k,).
        theirs: results of the others, shape (m,).
        level: one minus the confidence, in (0, 1). The interval is unbounded if there are too few
            runs for this level, and wider than necessary if there are equal results.

    Raises:
        ValueError: if a group has fewer than two runs, or a result is not finite.

    >>> gap(np.array([1.0, 2.0, 3.0]), np.array([6.0, 7.0, 8.0]))
    Gap(median=5.0, low=-inf, high=inf, p=0.1)
    """
    if min(len(ours), len(theirs)) < 2:
        raise ValueError(f"need two or more runs of each, got {len(ours)} and {len(theirs)}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError(f"results must be finite, got {ours} and {theirs}")
    differences = np.sort(np.subtract.outer(theirs, ours).ravel())
    drop = _critical(len(ours), len(theirs), level)
    low = differences[drop - 1] if drop else -np.inf
    high = differences[-drop] if drop else np.inf
    return Gap(float(np.median(differences)), float(low), float(high), _rank_sum_p(ours, theirs))


def outcomes(
    finals: pd.DataFrame,
    *,
    ours: str | Sequence[str],
    against: Sequence[str],
    setting: Sequence[str],
    level: float = 0.05,
) -> pd.DataFrame:
    r"""Return win, tie, undecided or loss of a method against others, in every setting.

    A win or loss is significant in the rank sum test, with Holm's correction for all comparisons of
    the table: if all methods were equal, the table would hold a win or loss with probability at
    most ``level``. In a tie the interval for the difference lies within ``MARGIN`` of zero. Other
    cases are undecided. The runs of different methods must have different seeds.

    Args:
        finals: a row per seed with its result ``log10``, from :meth:`Comparison.finals`.
        ours: one method, or several.
        against: the methods to compare with.
        setting: names of the columns that identify a setting.
        level: probability of any error in the table, in (0, 1).

    Returns:
        A row per setting and pair of methods: ``decades`` by which ours ends below, with confidence
        interval ``low`` to ``high`` (for the row alone), ``p``, and ``outcome``.

    Raises:
        ValueError: if a method is in no setting, or no setting has two methods to compare.
    """
    pairs = [
        (a, b) for a, b in product([ours] if isinstance(ours, str) else ours, against) if a != b
    ]
    if unknown := {name for pair in pairs for name in pair} - set(finals.method):
        there = ", ".join(dict.fromkeys(finals.method))
        raise ValueError(f"no runs of {', '.join(sorted(unknown))}; known: {there}")
    rows = []
    for _, group in finals.groupby(list(setting), sort=False, dropna=False):
        known: dict[str, Any] = {name: group[name].iloc[0] for name in setting}
        results = {name: part.log10.to_numpy() for name, part in group.groupby("method")}
        for own, other in pairs:
            if own in results and other in results:
                found = gap(results[own], results[other], level=level)
                rows.append({**known, "method": own, "against": other, **_columns(found)})
    if not rows:
        raise ValueError(f"no setting has runs of both {ours!r} and one of {list(against)!r}")
    table = pd.DataFrame(rows)
    significant = _holm(table.p.to_numpy(), level)
    sign = np.where(table.decades > 0, "win", "loss")
    close = np.maximum(table.low.abs(), table.high.abs()) <= MARGIN
    unclear = np.where(close, "tie", "undecided")
    table["outcome"] = np.where(significant & (table.decades != 0), sign, unclear)
    return table


def counts(table: pd.DataFrame, by: Sequence[str] = ("against",)) -> pd.DataFrame:
    """Count the outcomes.

    >>> table = pd.DataFrame({"against": ["IQ", "IQ"], "outcome": ["win", "tie"]})
    >>> counts(table).loc["IQ"].to_dict()
    {'win': 1, 'tie': 1, 'undecided': 0, 'loss': 0}
    """
    found = table.groupby([*by, "outcome"], sort=False).size().unstack(fill_value=0)
    return found.reindex(columns=list(OUTCOMES), fill_value=0).rename_axis(columns=None)


def judge(
    table: pd.DataFrame,
    claim: Literal["ahead", "not behind"],
    where: Literal["everywhere", "mostly", "somewhere"] = "everywhere",
) -> bool | None:
    """Return whether a claim about settings holds; None if the runs do not decide.

    A method is *ahead* in a setting that it wins; it is not if it loses or ties, or if the interval
    excludes a lead of ``MARGIN``. It is *not behind* if it wins or ties, or if the interval
    excludes that it is behind by ``MARGIN``; it is behind if it loses.

    Args:
        table: rows of :func:`outcomes`, one or more.
        claim: the claim on a setting.
        where: in all settings, in more than half of them, or in one or more.

    Raises:
        ValueError: if there are no rows.

    >>> rows = {"outcome": ["win", "undecided"], "low": [1.0, -0.1], "high": [2.0, 0.9]}
    >>> judge(pd.DataFrame(rows), "ahead"), judge(pd.DataFrame(rows), "not behind")
    (None, True)
    """
    if table.empty:
        raise ValueError("no setting to judge")
    won, lost = table.outcome == "win", table.outcome == "loss"
    tied = table.outcome == "tie"
    if claim == "ahead":
        yes, no = won, lost | tied | ((table.high <= MARGIN) & ~won)
    else:
        yes, no = won | tied | ((table.low >= -MARGIN) & ~lost), lost
    least = {"everywhere": len(table), "mostly": len(table) // 2 + 1, "somewhere": 1}[where]
    if yes.sum() >= least:
        return True
    return False if len(table) - no.sum() < least else None


def every(answers: Iterable[bool | None]) -> bool | None:
    """Return False if an answer is False, else None if one is None, else True.

    Raises:
        ValueError: if there are no answers.

    >>> every([True, None])
    """
    found = set(answers)
    if not found:
        raise ValueError("no answers to combine")
    return False if False in found else None if None in found else True


def agreement(parts: Mapping[str, bool | None]) -> str:
    """Return the verdict on a claim of several parts: all, some or none of them hold.

    It is "undecided" if parts that are None could change it.

    Raises:
        ValueError: if there are no parts.

    >>> agreement({"faster": True, "everywhere": False})
    'partly reproduced'
    >>> agreement({"faster": True, "everywhere": None})
    'undecided'
    """
    if not parts:
        raise ValueError("a claim needs one part or more")
    known = {part for part in parts.values() if part is not None}
    if known == {True, False}:
        return "partly reproduced"
    if None in parts.values():
        return "undecided"
    return "reproduced" if known == {True} else "not reproduced"


def told(parts: Mapping[str, bool | None]) -> str:
    """Return the parts of a claim with their answers.

    >>> told({"faster": True, "everywhere": None})
    'faster: yes; everywhere: undecided'
    """
    words = {True: "yes", False: "no", None: "undecided"}
    return "; ".join(f"{part}: {words[answer]}" for part, answer in parts.items())


def all_descend(finals: pd.DataFrame, setting: Sequence[str]) -> bool:
    """Return True if every method's median result is below the start, in every setting.

    A method that stands still or diverges at its tuned stepsize was not compared fairly.

    Args:
        finals: from :meth:`Comparison.finals`.
        setting: names of the columns that identify a setting.
    """
    medians = finals.groupby([*setting, "method"], dropna=False).log10.median()
    return bool((medians < 0).all())


def in_words(tally: pd.DataFrame, label: str) -> str:
    """Return a row of :func:`counts` in words.

    >>> table = pd.DataFrame({"against": ["IQ"] * 3, "outcome": ["win", "tie", "win"]})
    >>> in_words(counts(table), "IQ")
    '2 wins, 1 tie'
    """
    plural = {"win": "wins", "tie": "ties", "undecided": "undecided", "loss": "losses"}
    if label not in tally.index:
        return "nothing compared"
    row = tally.loc[label].to_dict()
    told = [f"{row[k]} {k if row[k] == 1 else plural[k]}" for k in OUTCOMES if row[k]]
    return ", ".join(told)


def _columns(found: Gap) -> dict[str, float]:
    return {"decades": found.median, "low": found.low, "high": found.high, "p": found.p}


def _rank_sum_p(ours: Array, theirs: Array) -> float:
    """Return the exact two-sided p of the rank sum, over all assignments of ranks; with ties."""
    ranks = (2 * stats.rankdata(np.concatenate([ours, theirs]))).astype(int)  # midranks, doubled
    subsets, found = _subset_counts(ranks, len(ours)), ranks[: len(ours)].sum()
    tail = min(subsets[: found + 1].sum(), subsets[found:].sum())
    return float(min(2 * tail / subsets.sum(), 1.0))


def _critical(k: int, m: int, level: float) -> int:
    """Return the largest c with P(U <= c - 1) <= level / 2, U the rank sum of k and m runs."""
    # U is the rank sum minus its least value.
    subsets = _subset_counts(np.arange(k + m), k)[k * (k - 1) // 2 :]
    below = np.cumsum(subsets) / subsets.sum()
    return int(np.searchsorted(below, level / 2, side="right"))


def _subset_counts(ranks: NDArray[np.int64], k: int) -> Array:
    """Count the subsets of k ranks by their sum."""
    subsets = np.zeros((k + 1, int(ranks.sum()) + 1))
    subsets[0, 0] = 1
    for rank in ranks:
        for size in range(k, 0, -1):
            subsets[size, rank:] += subsets[size - 1, : subsets.shape[1] - rank]
    return np.asarray(subsets[k])


def _holm(p: Array, level: float) -> NDArray[np.bool_]:
    """Return a mask of the hypotheses that Holm's step-down procedure rejects."""
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected
