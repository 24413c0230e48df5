"""The compressors and the vectors of the tests."""

import math

import numpy as np
import torch

from cqlib.compressors import make, names

VARIANTS = [
    make("cq", ranks="permutation"),
    make("cq", levels=3),
    make("cq", levels=5, ranks="permutation", range="linf", rotate=True),
    make("standard_dithering", p=1, s=1),
    make("natural_dithering", p=math.inf, s=3),
    make("drive", rotation="uniform"),
    make("drive", scale="min_error"),
    make("drive_plus", rotation="uniform"),
    make("iscc", inner=make("iq"), tau=5),
    make("iscc", inner=make("perm_k"), tau=3),
    make("global_qsgd", levels="exponential"),
    make("global_qsgd", levels="exponential", s=12, norm=2, reduction="fold"),
    make("global_qsgd", levels="exponential", s=3, norm=3.5, reduction="sum"),
    make("global_qsgd", s=30, norm=2),
    make("compose", sparsifier=make("perm_k"), quantizer=make("natural_compression")),
    make("compose", sparsifier=make("top_k"), quantizer=make("terngrad")),
    make("iscc", inner=make("iscc", inner=make("compose"), tau=2), tau=3),
]
CASES = [make(name) for name in names()] + VARIANTS
# More options for the tests of errors; some are for certain n only.
STATISTICS = [
    *CASES,
    make("cq", range="linf"),
    make("cq", levels=4, rotate=True),
    make("cq", range="linf", rotate=True),
    make("rand_k", k=1),
    make("global_qsgd", s=1),
    make("standard_dithering", p=3.5, s=2),
    make("standard_dithering", p=math.inf, s=1000),
    make("natural_dithering", p=1, s=1),
    make("drive", rotation="uniform", scale="min_error"),
    make("permk_cq", b=2),
    make("permk_cq", b=4, ranks="permutation"),
    make("permk_cq", b=8),
    make("iscc", inner=make("drive", rotation="uniform")),
    make("iscc", inner=make("natural_compression"), tau=2),
    make("iscc", inner=make("identity"), probabilities=(0.1, 0.2, 0.3, 0.4)),
    make("iscc", inner=make("cq"), tau=4),
    make("iscc", inner=make("drive", rotation="uniform", scale="min_error")),
    make("compose", sparsifier=make("rand_k"), quantizer=make("cq")),
    make("compose", sparsifier=make("perm_k"), quantizer=make("iq")),
]


def affordable(c, d):
    """Return d, or a smaller dimension for a uniform rotation, which takes d^2 operations."""
    return min(d, 24) if "uniform" in repr(c) else d


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


def spread(n, d, seed=0, dtype=torch.float64, base=64.0):
    """Return rows of very different size, whose sum depends on the order of summation."""
    size = base ** (torch.arange(n) % 7 - 3)[:, None]
    return normal(n, d, seed=seed, dtype=dtype) * size.to(dtype)
