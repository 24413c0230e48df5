"""Constants, stepsizes, complexities and exact errors; every function names its equation."""

from cqlib.theory.complexity import (
    ImprovementFactor,
    OptimalP,
    expected_bits,
    improvement_factor,
    optimal_p,
)
from cqlib.theory.mse import cq_covariance, cq_mse, cq_variance, iq_mse, iq_variance
from cqlib.theory.stepsizes import gd_stepsize, marina_stepsize

__all__ = [
    "ImprovementFactor",
    "OptimalP",
    "cq_covariance",
    "cq_mse",
    "cq_variance",
    "expected_bits",
    "gd_stepsize",
    "improvement_factor",
    "iq_mse",
    "iq_variance",
    "marina_stepsize",
    "optimal_p",
]
