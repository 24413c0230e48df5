"""Constants, stepsizes, complexities and exact errors; every function names its equation."""

from cqlib.theory.code_lengths import (
    elias_omega_bits,
    qsgd_dense_bits,
    qsgd_expected_bits,
    qsgd_sparse_bits,
)
from cqlib.theory.complexity import (
    ImprovementFactor,
    OptimalP,
    expected_bits,
    improvement_factor,
    optimal_p,
)
from cqlib.theory.dithering import (
    natural_compression_variance,
    natural_dithering_omega,
    natural_dithering_variance,
    standard_dithering_omega,
    standard_dithering_variance,
)
from cqlib.theory.mse import cq_covariance, cq_mse, cq_variance, iq_mse, iq_variance
from cqlib.theory.rotation import drive_min_error, drive_omega
from cqlib.theory.sparsification import (
    importance_sampling_mse,
    perm_k_mse,
    perm_k_omega,
    permk_cq_constants,
    permk_iq_mse,
    rand_k_mse,
)
from cqlib.theory.stepsizes import gd_stepsize, marina_stepsize

__all__ = [
    "ImprovementFactor",
    "OptimalP",
    "cq_covariance",
    "cq_mse",
    "cq_variance",
    "drive_min_error",
    "drive_omega",
    "elias_omega_bits",
    "expected_bits",
    "gd_stepsize",
    "importance_sampling_mse",
    "improvement_factor",
    "iq_mse",
    "iq_variance",
    "marina_stepsize",
    "natural_compression_variance",
    "natural_dithering_omega",
    "natural_dithering_variance",
    "optimal_p",
    "perm_k_mse",
    "perm_k_omega",
    "permk_cq_constants",
    "permk_iq_mse",
    "qsgd_dense_bits",
    "qsgd_expected_bits",
    "qsgd_sparse_bits",
    "rand_k_mse",
    "standard_dithering_omega",
    "standard_dithering_variance",
]
