"""Comparisons of methods with the same number of bits: tuning, outcomes, figures."""

from cqbook.experiments.comparison import Comparison, compare
from cqbook.experiments.outcomes import (
    Gap,
    agreement,
    all_descend,
    counts,
    every,
    gap,
    in_words,
    judge,
    outcomes,
    told,
)
from cqbook.experiments.tuning import Budget, Tuned, gd_budget, tune
from cqlib.methods import contenders
from cqlib.methods.contenders import Contender

__all__ = [
    "Budget",
    "Comparison",
    "Contender",
    "Gap",
    "Tuned",
    "agreement",
    "all_descend",
    "compare",
    "contenders",
    "counts",
    "every",
    "gap",
    "gd_budget",
    "in_words",
    "judge",
    "outcomes",
    "told",
    "tune",
]
