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
    communication,
    expected_bits,
    improvement_factor,
    optimal_p,
)
from cqlib.theory.constants import (
    dependent_constants,
    independent_constants,
    quantize_first_constants,
    sampling_constants,
    sparsify_first_constants,
)
from cqlib.theory.dithering import (
    natural_compression_variance,
    natural_dithering_omega,
    natural_dithering_variance,
    standard_dithering_omega,
    standard_dithering_variance,
)
from cqlib.theory.mse import cq_covariance, cq_mse, cq_mse_equal, cq_variance, iq_mse, iq_variance
from cqlib.theory.rates import (
    cost_interval,
    fewest_useful_clients,
    improvement_factors,
    largest_useful_constant,
    message_share,
    stated_rate,
)
from cqlib.theory.rotation import drive_min_error, drive_omega
from cqlib.theory.smoothness import client_factors, smoothness_of_hessians
from cqlib.theory.sparsification import (
    importance_sampling_mse,
    perm_k_mse,
    perm_k_omega,
    permk_cq_constants,
    permk_cq_mse_equal,
    permk_iq_mse,
    rand_k_mse,
)
from cqlib.theory.stepsizes import gd_stepsize, iscc_stepsize, marina_stepsize, rounds_needed

__all__ = [
    "ImprovementFactor",
    "OptimalP",
    "client_factors",
    "communication",
    "cost_interval",
    "cq_covariance",
    "cq_mse",
    "cq_mse_equal",
    "cq_variance",
    "dependent_constants",
    "drive_min_error",
    "drive_omega",
    "elias_omega_bits",
    "expected_bits",
    "fewest_useful_clients",
    "gd_stepsize",
    "importance_sampling_mse",
    "improvement_factor",
    "improvement_factors",
    "independent_constants",
    "iq_mse",
    "iq_variance",
    "iscc_stepsize",
    "largest_useful_constant",
    "marina_stepsize",
    "message_share",
    "natural_compression_variance",
    "natural_dithering_omega",
    "natural_dithering_variance",
    "optimal_p",
    "perm_k_mse",
    "perm_k_omega",
    "permk_cq_constants",
    "permk_cq_mse_equal",
    "permk_iq_mse",
    "qsgd_dense_bits",
    "qsgd_expected_bits",
    "qsgd_sparse_bits",
    "quantize_first_constants",
    "rand_k_mse",
    "rounds_needed",
    "sampling_constants",
    "smoothness_of_hessians",
    "sparsify_first_constants",
    "standard_dithering_omega",
    "standard_dithering_variance",
    "stated_rate",
]
