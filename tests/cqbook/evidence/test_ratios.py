"""The two sides of the inequalities, by hand and from the library."""

import math

import numpy as np
import pytest

from cqbook.evidence import INEQUALITIES, exact, ratios_ab, small_cases
from cqlib import theory
from cqlib.theory import Smoothness, smoothness_of_hessians
from tests.cqbook.evidence.inputs import floats, fractions


def ratio(name, *z):
    return float(INEQUALITIES[name].ratio(np.array([z], dtype=float))[0])


def test_ratios_by_hand():
    assert ratio("Corollary 2, constant as read, n = 2, d = 4", 1, 1, 1, 1) == 4
    assert ratio("Corollary 2, valid constant, n = 2, d = 4", 1, 1, 1, 1) == 1
    # A single entry is rotated to entries of one size, which DRIVE sends exactly.
    assert ratio("DRIVE with Hadamard rotation against pi/2 - 1, d = 4", 1, 0, 0, 0) < 1e-9
    assert ratio("TernGrad, d = 16", *[1] + [0] * 15) == 0
    # Halfway between powers of two in the sense of natural compression: 4/3, error 1/8.
    assert ratio("natural compression, d = 4", 2 / 3, 0, 0, 0) == pytest.approx(1, rel=1e-12)
    assert ratio("natural compression, d = 4", 0.5, 0.25, 0, 1) == 0
    # y = 1/2 and an odd number of clients: the result of one client is random.
    assert ratio("Theorem 1", 0, -1) == 1
    assert ratio("Theorem 1", 0, -0.8) == 0
    same = [1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2]
    expected = theory.cq_mse(floats(same).reshape(4, 3)) / theory.iq_mse(floats(same).reshape(4, 3))
    found = ratio("CQ never worse than IQ, n = 4, d = 3", *(v / 2 for v in same))
    assert found == pytest.approx(expected, rel=1e-9)
    # Equal Hessians have no variance, and L_+ = L_-.
    equal = [0.5, 0.25, -0.5] * 3
    assert ratio("Hessian variance at most L_+^2", *equal) < 1e-12
    assert ratio("Theorem 3, L_plus_w at most the mean of L_i", *equal) == pytest.approx(
        1, rel=1e-9
    )
    assert ratio("Lemma 2", 0, 0) == pytest.approx(0.75, rel=1e-9)  # a = b = 1, gamma = 1/2
    assert ratio("Lemma 2, factor 2", 0, 0) == pytest.approx(1, rel=1e-9)


def test_ratios_of_means_of_smoothness():
    z = np.random.default_rng(4).uniform(-1, 1, 9)
    a, b, c = z.reshape(3, 3).T
    A = np.array([[[u, v], [v, w]] for u, v, w in zip(a, b, c, strict=True)])
    s = smoothness_of_hessians(A)
    w = smoothness_of_hessians(A, np.array(s.L_i) / sum(s.L_i))
    mean = np.mean(s.L_i)
    for name, expected in (
        ("Hessian variance at most L_+^2", s.L_pm**2 / s.L_plus**2),
        ("L_+^2 - L_-^2 at most Hessian variance", (s.L_plus**2 - s.L_minus**2) / s.L_pm**2),
        ("Theorem 3, L_plus_w at most the mean of L_i", (w.L_plus / mean) ** 2),
        ("Theorem 3, L_pm_w at most the mean of L_i", (w.L_pm / mean) ** 2),
    ):
        assert ratio(name, *z) == pytest.approx(max(expected, 0), rel=1e-9)


def test_costs_of_marina():
    # c = 1e-6^(1/2) = 1e-3 and a = 1.
    best = float(theory.rates.best_factors(1.0, 1e-3))
    low, high = theory.cost_interval(1.0, 1e-3, 1.0)
    assert ratio("cost of MARINA, lower bound", 0, 0) == pytest.approx(low / best, rel=1e-9)
    assert ratio("cost of MARINA, upper bound", 0, 0) == pytest.approx(best / high, rel=1e-9)


@pytest.mark.parametrize("case", ratios_ab.clients(), ids=lambda case: case.name)
def test_constants_are_those_of_the_library_and_errors_are_exact(case):
    inequality = INEQUALITIES[case.name]
    assert (inequality.size, inequality.valid) == (case.n * case.d, case.valid)
    A, B, homogeneous_only = case.compressor.ab(case.n, case.d)
    assert not homogeneous_only
    assert (case.A, case.B) == (A, B) if case.valid else case.A < A
    X = np.random.default_rng(6).standard_normal((5, case.n, case.d))
    found = case.error(X)
    try:
        closed = [case.compressor.mse(x) for x in X]
    except ValueError:  # unknown for compositions, and known for PermK+CQ with equal inputs only
        assert case.label in ("permk_cq, b = 2", "natural_compression of perm_k")
    else:
        np.testing.assert_allclose(found, closed, rtol=1e-9)
    X /= np.abs(X).max()
    means = np.sum(X**2, axis=(1, 2)) / case.n, np.sum(X.mean(axis=1) ** 2, axis=1)
    bound = case.A * means[0] - case.B * means[1]
    np.testing.assert_allclose(
        case.ratio(X.reshape(5, -1)), case.error(X) / bound, rtol=1e-9, atol=1e-12
    )


def test_natural_compression_of_what_perm_k_keeps():
    case = next(c for c in ratios_ab.clients() if c.label == "natural_compression of perm_k")
    X = np.array([[1.0, 2.0, 0.0, 4.0], [3.0, 1.0, 1.0, 0.5], [0.25, -3.0, 8.0, 1.0]])
    error = float(exact.sparsified_error(fractions(X.tolist()), exact.perm_k(3, 4)))
    # The variance of rounding three times an entry: (3 - 2)(4 - 3) = 1 for 3, (9 - 8)(16 - 9) = 7
    # for 9, (12 - 8)(16 - 12) = 16 for 12.
    gaps = np.array([[1, 4, 0, 16], [7, 1, 1, 0.25], [1 / 16, 7, 64, 1]])
    expected = error + gaps.sum() / 3 / 9  # kept with probability 1/3, over n^2
    assert case.error(X[None])[0] == pytest.approx(expected, rel=1e-12)


def test_pairs_of_constants_for_any_dependence():
    # Outcomes of a client 0, 0, 3: mean 1, variance 2, omega 2. Equal clients: error 2 = omega.
    alike = np.repeat([0.0, 0.0, 0.75], 3)
    assert ratio("Proposition 1, sharper pair (omega, 0)", *alike) == pytest.approx(1, rel=1e-12)
    assert ratio("Proposition 1, any dependence", *alike) == pytest.approx(1, rel=1e-12)
    # Each outcome has one client at 3: the mean is constant.
    turned = [0.75, 0, 0, 0, 0.75, 0, 0, 0, 0.75]
    assert ratio("Proposition 1, sharper pair (omega, 0)", *turned) == 0
    # Two equal clients, and one with another order: sums 2, 1, 0 times 3/4, over 3.
    mixed = [0.75, 0.75, 0, 0, 0, 0.75, 0, 0, 0]
    error = np.var([0.5, 0.25, 0.0])
    expected = error / (2 * 0.25**2)
    found = ratio("Proposition 1, sharper pair (omega, 0)", *mixed)
    assert found == pytest.approx(expected, rel=1e-12)
    mean_bound = 3 * 0.25**2 - 0.25**2
    found = ratio("Proposition 1, any dependence", *mixed)
    assert found == pytest.approx(error / mean_bound, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("Theorem 3, ISCC of IQ, four rounds", None),
        ("Theorem 2, ISCC of IQ, up to the largest stepsize", 2 / 3 + 0.4 / 3),
        ("Theorem 2, ISCC of IQ, twice the largest stepsize", 2.0),
    ],
)
def test_stepsizes_of_importance_sampling(name, factor):
    z = np.random.default_rng(8).uniform(-1, 1, 10)
    z[9] = 0.4
    root = np.array([[z[0], 0], [z[1], z[2]]])
    mean, apart = root @ root.T, 3 * np.array([[z[3], z[4]], [z[4], z[5]]])
    A = np.stack([mean + apart, mean - apart])
    p = 0.5 * 0.02 ** ((1 - z[8]) / 2)
    L_i = smoothness_of_hessians(A).L_i
    s = smoothness_of_hessians(A, np.array(L_i) / sum(L_i))
    theta = s.L_plus**2 + s.L_pm**2
    if factor is None:
        gamma = theory.iscc_stepsize(p, 1.0, s.L_minus, L_i)
    else:  # the positive root of gamma L_- + gamma^2 theta (1 - p) / p = 1
        gamma = factor * max(np.roots([theta * (1 - p) / p, s.L_minus, -1.0]))
    sides = small_cases.iscc_guarantee(A[None], z[None, 6:8], np.array([p]), np.array([gamma]))
    expected = float(sides[0][0] / sides[1][0])
    assert ratio(name, *z[: INEQUALITIES[name].size]) == pytest.approx(expected, rel=1e-7)


def test_costs_of_importance_sampling():
    # The centre of the cube: n = 141, zeta / 32 = 0.1, omega = 10^0.5, mean of L_i 10 L_-.
    n, share, omega, mean = 141, 0.1, 10**0.5, 10.0
    terms = {"d": 1000, "bits": 32000 * share / n, "A": omega + 1, "B": 1.0}
    cost = theory.optimal_p(**terms, smoothness=Smoothness(1.0, mean, mean)).factor
    rate = min(1, 1 / n + math.sqrt(1 + omega) * mean / math.sqrt(n))
    middle = [0.0] * 4
    assert ratio("Corollary 4, lower bound", *middle) == pytest.approx(
        math.sqrt(share) * rate / cost, rel=1e-6
    )
    assert ratio("Corollary 4, upper bound", *middle) == pytest.approx(
        cost / rate / (1 + share), rel=1e-6
    )
    for z, plus in ((1.0, mean * math.sqrt(n)), (0.0, mean * math.sqrt(n) / 2), (-1.0, 1.0)):
        original = theory.optimal_p(
            d=1000, bits=32000 * share, A=omega / n, B=0.0, smoothness=Smoothness(1.0, plus, plus)
        ).factor
        found = ratio("Corollary 4, at most root n times cheaper", *middle, z)
        assert found == pytest.approx(original / cost / math.sqrt(n), rel=1e-6)
