"""Problems: functions split over clients, with their smoothness constants."""

from cqlib.problems.base import Problem
from cqlib.problems.logistic import Logistic, logistic
from cqlib.problems.network import Network, network
from cqlib.problems.quadratic import Quadratic, quadratic_hessian_variance, quadratic_smoothness

__all__ = [
    "Logistic",
    "Network",
    "Problem",
    "Quadratic",
    "logistic",
    "network",
    "quadratic_hessian_variance",
    "quadratic_smoothness",
]
