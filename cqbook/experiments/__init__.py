"""Comparisons of methods with the same number of bits: tuning, outcomes, figures."""

from cqbook.experiments.comparison import Comparison, compare
from cqbook.experiments.outcomes import Gap, agreement, counts, gap, in_words, outcomes
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
    "compare",
    "contenders",
    "counts",
    "gap",
    "gd_budget",
    "in_words",
    "outcomes",
    "tune",
]
