"""Methods compared under the same number of bits: contenders, tuning, outcomes, figures."""

from cqlib.experiments import contenders
from cqlib.experiments.comparison import Comparison, compare
from cqlib.experiments.contenders import Contender
from cqlib.experiments.outcomes import Gap, agreement, counts, gap, in_words, outcomes
from cqlib.experiments.tuning import Budget, Tuned, gd_budget, tune

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
