"""Problems: functions split over clients, with their smoothness constants."""

from cqlib.problems.base import Problem, Smoothness
from cqlib.problems.logistic import Logistic, logistic

__all__ = ["Logistic", "Problem", "Smoothness", "logistic"]
