"""Bounds and minima of MARINA's cost, stepsizes, and errors for equal clients."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqbook.evidence import exact, permk
from cqlib import theory
from cqlib.theory import Smoothness
from cqlib.theory.rates import best_factors

UNIT = Smoothness(L_minus=1.0, L_plus=1.0, L_pm=0.0)
PROBABILITIES = np.append(np.geomspace(1e-16, 0.5, 20_000), np.linspace(0.5, 1, 2000))


def cost(p, D, zeta, a):
    return (p * D + (1 - p) * zeta) * (1 + a * np.sqrt((1 - p) / p))


# --- bounds of the cost --------------------------------------------------------------------------


@given(st.floats(1e-3, 1e6), st.floats(1e-6, 1), st.floats(0, 1e3))
def test_the_smallest_cost_lies_in_its_interval(D, share, a):
    zeta = share * D
    low, high = theory.cost_interval(D, zeta, a)
    everywhere = cost(PROBABILITIES, D, zeta, a)
    assert low <= everywhere.min() * (1 + 1e-12)
    reached = min(everywhere.min(), cost(zeta / (zeta + D), D, zeta, a))
    assert reached <= high * (1 + 1e-12)
    assert low <= high <= 2 * low


def test_the_cost_interval_by_hand():
    # D = 100, zeta = 4: the mixed term is 2 a 20.
    assert theory.cost_interval(100, 4, 0) == (4, 8)
    assert theory.cost_interval(100, 4, 1) == (44, 48)
    assert theory.cost_interval(100, 4, 2.35) == (98, 100)
    assert theory.cost_interval(100, 4, 9) == (100, 100)
    assert theory.cost_interval(7, 7, 0) == (7, 7)


@pytest.mark.parametrize(
    "wrong",
    [(1.0, 2.0, 0.5), (1.0, 0.0, 0.5), (1.0, -1.0, 0.5), (1.0, 0.5, -2.0), (1.0, 0.5, math.nan)],
)
def test_costs_outside_their_range_are_refused(wrong):
    with pytest.raises(ValueError, match="a >= 0, got " + ", ".join(map(str, wrong))):
        theory.cost_interval(*wrong)


def test_stated_rates_by_hand():
    assert theory.stated_rate(4, 16, correlated=True) == 5
    assert theory.stated_rate(4, 16, correlated=False) == 9
    assert theory.stated_rate(1, 16, correlated=True) == 16  # never above gradient descent
    assert theory.stated_rate(9, 1, correlated=False) == 1
    found = theory.stated_rate([[1], [10]], [10, 100, 1000], correlated=True)
    np.testing.assert_array_equal(found, [[10, 100, 1000], [2, 11, 101]])


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_stated_rates_are_the_cost_up_to_a_factor_of_two(n, d):
    for correlated, A in ((True, d / n**2), (False, d / n)):
        stated = float(theory.stated_rate(n, d, correlated=correlated))
        low, high = theory.cost_interval(d, 1, math.sqrt(A))
        assert stated <= low * (1 + 1e-12) and high <= 2 * stated * (1 + 1e-12)


# --- improvement factors -------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.floats(-12, 6), st.floats(-6, 0))
def test_best_factors_against_a_scan_over_p(log_A, log_c):
    A, c = 10**log_A, 10**log_c
    scanned = cost(PROBABILITIES, 1, c, math.sqrt(A)).min()
    found = float(best_factors(A, c))
    assert found == pytest.approx(scanned, rel=1e-5)
    assert found <= scanned * (1 + 1e-12)


def test_best_factors_of_arrays():
    A, c = np.array([[0.0], [1e-6], [0.3], [50.0]]), np.array([0.01, 0.2, 0.5, 0.9, 1.0])
    found = best_factors(A, c)
    assert found.shape == (4, 5)
    for i in range(4):
        for j in range(5):
            assert found[i, j] == best_factors(A[i, 0], c[j])
    np.testing.assert_array_equal(found[0], c)
    np.testing.assert_array_equal(found[3, 1:], 1)
    assert (np.diff(found, axis=0) >= 0).all() and (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize(("A", "c"), [(1e-300, 0.25), (1e300, 0.25), (2.0, 1.0)])
def test_best_factors_of_extreme_constants(A, c):
    assert best_factors(A, c) == pytest.approx(c if A < 1 else 1, rel=1e-9)


def test_best_factors_in_the_limit_of_many_coordinates():
    c = 1 / 32
    iq = float(best_factors(0.25, c))
    assert iq == pytest.approx(0.2277298, abs=5e-8)
    assert float(best_factors(0.0, c)) == 0.03125
    assert iq / c == pytest.approx(7.28735, abs=5e-6)
    p = 0.0210541
    assert cost(p, 1, c, 0.5) == pytest.approx(iq, rel=1e-9)
    assert min(cost(p * 0.999, 1, c, 0.5), cost(p * 1.001, 1, c, 0.5)) > iq * (1 + 1e-8)
    valid = float(best_factors(1.0, c))
    assert valid == pytest.approx(0.4018, abs=5e-5)
    assert valid / c == pytest.approx(12.86, abs=5e-3)


@pytest.mark.parametrize(
    ("kappa", "d", "iq", "cq"),
    [
        (0.25, 60, 0.2939, 0.0941),
        (0.25, 123, 0.2613, 0.0707),
        (0.25, 500, 0.2363, 0.0501),
        (0.25, 10**6, 0.2277, 0.0324),
        (1.0, 123, 0.4558, 0.0926),
    ],
)
def test_factors_where_there_are_as_many_clients_as_coordinates(kappa, d, iq, cq):
    found = theory.improvement_factors([kappa, kappa / d], d)
    np.testing.assert_allclose(found, [iq, cq], rtol=0, atol=5.001e-5)


def test_improvement_factors_are_those_of_the_other_method():
    A = np.array([1e-9, 1e-4, 0.01, 0.25, 1.0, 4.0, 100.0])
    d = np.array([1, 2, 10, 123, 10**4, 10**9])
    found = theory.improvement_factors(A[:, None], d)
    for i, j in np.ndindex(found.shape):
        expected = theory.improvement_factor(float(A[i]), int(d[j])).factor
        assert found[i, j] == pytest.approx(expected, rel=1e-8)


def test_message_share_is_a_fraction():
    for d in (1, 2, 32, 123, 10**6):
        assert theory.message_share(d) == float(Fraction(d + 32, 32 * d))
    assert theory.message_share([32, 64]).tolist() == [1 / 16, 3 / 64]


@pytest.mark.parametrize(("A", "c"), [(-0.5, 0.25), (1.0, 0.0), (1.0, 1.5), (math.nan, 0.25)])
def test_best_factors_outside_their_range_are_refused(A, c):
    with pytest.raises(ValueError, match=r"A >= 0 and c in \(0, 1\], got") as e:
        best_factors([A], c)
    assert f"{A:g}" in str(e.value) and f"{c:g}" in str(e.value)


def test_improvement_factors_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"d must be at least 1, got \[5, 0\]"):
        theory.improvement_factors(1.0, [5, 0])
    with pytest.raises(ValueError, match=r"A >= 0 .*-3\."):
        theory.improvement_factors([-3.0], 5)


# --- where MARINA pays off -----------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 10, 123, 10**4, 10**9])
def test_the_largest_useful_constant(d):
    limit = float(theory.largest_useful_constant(d))
    c = float(theory.message_share(d))
    assert cost(c / (1 + c), 1, c, math.sqrt(limit)) == pytest.approx(1, rel=1e-12)
    for A, useful in ((0.999 * limit, True), (1.001 * limit, False)):
        assert (cost(PROBABILITIES[:-1], 1, c, math.sqrt(A)).min() < 1) == useful
        assert (theory.improvement_factors(A, d) < 1) == useful


def test_the_largest_useful_constant_by_hand():
    assert theory.largest_useful_constant(32) == 225 / 64  # c = 1/16
    assert float(theory.largest_useful_constant(10**15)) == pytest.approx(961 / 128, rel=1e-12)
    assert theory.largest_useful_constant([32, 10**6]).shape == (2,)


@pytest.mark.parametrize(("d", "n"), [(10**5, 3331), (10**6, 33300), (10**7, 332987)])
def test_fewest_clients_of_independent_quantization(d, n):
    assert abs(float(theory.fewest_useful_clients(d, correlated=False, kappa=0.25)) - n) < 1


@pytest.mark.parametrize("kappa", [0.25, 1.0])
@pytest.mark.parametrize("d", [2, 60, 10**4, 10**7])
def test_from_the_fewest_clients_on_marina_is_better(d, kappa):
    for correlated, power in ((False, 1), (True, 2)):
        limit = float(theory.fewest_useful_clients(d, correlated=correlated, kappa=kappa))
        more, fewer = (kappa * d / (limit * s) ** power for s in (1.01, 0.99))
        assert theory.improvement_factors(more, d) < 1 == theory.improvement_factors(fewer, d)


def test_valid_constants_need_more_clients():
    for correlated, ratio in ((False, 4), (True, 2)):
        valid, paper = (
            theory.fewest_useful_clients([10, 1000], correlated=correlated, kappa=kappa)
            for kappa in (1.0, 0.25)
        )
        np.testing.assert_allclose(valid, ratio * paper, rtol=1e-14)
        np.testing.assert_array_equal(
            valid, theory.fewest_useful_clients([10, 1000], correlated=correlated)
        )


def test_no_constant_is_useful_in_one_dimension():
    assert theory.improvement_factors(0.0, 1) == 1
    assert theory.largest_useful_constant(1) == 0


# --- stepsizes, rounds, bits ---------------------------------------------------------------------


def test_iscc_stepsize_by_hand():
    # (1 - p) / p = 4, omega + 1 = 9, mean 3: 1 / (2 + 3 * 6).
    assert theory.iscc_stepsize(0.2, 8.0, 2.0, [1.0, 2.0, 6.0]) == pytest.approx(1 / 20, rel=1e-14)
    assert theory.iscc_stepsize(1.0, 8.0, 2.0, (1.0, 2.0, 6.0)) == 0.5
    assert theory.iscc_stepsize(0.2, 8.0, 2.0, [0.0]) == 0.5


@given(st.floats(1e-6, 1), st.floats(0, 100), st.lists(st.floats(0, 10), min_size=1, max_size=6))
def test_iscc_stepsize_is_that_of_weighted_constants_equal_to_the_mean(p, omega, L_i):
    L = sum(L_i) / len(L_i)
    found = theory.iscc_stepsize(p, omega, 1.0, L_i)
    assert found == pytest.approx(1 / (1 + L * math.sqrt((1 - p) / p * (omega + 1))), rel=1e-12)
    assert found <= theory.marina_stepsize(p, omega + 1, 1.0, 1.0, L, L / 2) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"p": 0.0}, r"p must be in \(0, 1\], got 0.0"),
        ({"p": 1.5}, r"p must be in \(0, 1\], got 1.5"),
        ({"omega": -2.0}, r"omega must be at least 0, got -2.0"),
        ({"L_minus": 0.0}, r"L_minus > 0.*got 0.0"),
        ({"L_i": []}, r"L_i must be one or more numbers of at least 0, got \[\]"),
        ({"L_i": [1.0, -2.0]}, r"L_i must be .*got \[1.0, -2.0\]"),
        ({"L_i": [math.nan, 1.0]}, r"nan"),
        ({"L_i": [1.0, math.nan]}, r"nan"),
    ],
)
def test_iscc_stepsize_refuses_wrong_constants(wrong, message):
    arguments = {"p": 0.5, "omega": 1.0, "L_minus": 1.0, "L_i": [1.0, 2.0]}
    theory.iscc_stepsize(**arguments)
    with pytest.raises(ValueError, match=message):
        theory.iscc_stepsize(**arguments | wrong)


def test_after_the_rounds_needed_the_guarantee_is_the_accuracy():
    T = theory.rounds_needed(0.25, gap=3.0, accuracy=0.5)
    assert T == 96
    assert 2 * 3.0 / (0.25 * T) == 0.5**2
    assert theory.rounds_needed(1.0, gap=0.0, accuracy=1.0) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((0.0, 1.0, 1.0), "got 0.0, 1.0, 1.0"),
        ((-0.5, 1.0, 1.0), "got -0.5, 1.0, 1.0"),
        ((1.0, -2.0, 1.0), "got 1.0, -2.0, 1.0"),
        ((1.0, 1.0, 0.0), "got 1.0, 1.0, 0.0"),
        ((1.0, 1.0, -3.0), "got 1.0, 1.0, -3.0"),
        ((math.nan, 1.0, 1.0), "got nan, 1.0, 1.0"),
    ],
)
def test_rounds_needed_refuses(wrong, message):
    stepsize, gap, accuracy = wrong
    with pytest.raises(ValueError, match=message):
        theory.rounds_needed(stepsize, gap=gap, accuracy=accuracy)
    with pytest.raises(ValueError, match="gap >= 0" if stepsize > 0 else "L_minus > 0"):
        theory.communication(
            1.0,
            d=3,
            bits=2,
            A=1.0,
            smoothness=Smoothness(stepsize, 1.0, 1.0),
            gap=gap,
            accuracy=accuracy,
        )


@given(st.floats(1e-6, 1), st.integers(1, 10**6), st.floats(0, 20), st.floats(0, 1))
def test_communication_is_its_formula(p, d, A, share):
    s, B, bits = Smoothness(L_minus=2.0, L_plus=3.0, L_pm=1.5), A * share, d + 32
    found = theory.communication(p, d=d, bits=bits, A=A, B=B, smoothness=s, gap=5.0, accuracy=0.1)
    noise = math.sqrt((1 - p) / p * ((A - B) * 9 + B * 2.25))
    assert found == pytest.approx((32 * d * p + bits * (1 - p)) * 1000 * (2 + noise), rel=1e-9)


def test_the_best_p_needs_the_fewest_bits():
    s, constants = Smoothness(2.0, 3.0, 1.5), {"d": 100, "bits": 132, "A": 1.0, "B": 0.5}
    best = theory.optimal_p(**constants, smoothness=s)
    task = {"smoothness": s, "gap": 5.0, "accuracy": 0.1}
    descent = theory.communication(1.0, **constants, **task)
    assert descent == pytest.approx(3200 * 2 * 1000, rel=1e-14)
    bits = [theory.communication(float(p), **constants, **task) for p in PROBABILITIES[10_000:]]
    assert min(bits) == pytest.approx(best.factor * descent, rel=1e-5)
    assert theory.communication(best.p, **constants, **task) <= min(bits) * (1 + 1e-9)


def test_without_b_no_client_needs_to_be_like_another():
    same = {"d": 10, "bits": 42, "A": 1.0, "gap": 1.0, "accuracy": 1.0}
    unlike, alike = Smoothness(1.0, 2.0, 2.0), Smoothness(1.0, 2.0, 0.0)
    first, second = (theory.communication(0.1, smoothness=s, **same) for s in (unlike, alike))
    assert first == second == pytest.approx((0.1 * 320 + 0.9 * 42) * 2 * 7, rel=1e-14)


@pytest.mark.parametrize(
    ("wrong", "message"), [({"p": 0.0}, "p must be in .*got 0.0"), ({"B": 2.0}, "got A=1.0, B=2.0")]
)
def test_communication_refuses(wrong, message):
    arguments = {"p": 0.5, "d": 5, "bits": 37, "A": 1.0, "B": 0.5}
    with pytest.raises(ValueError, match=message):
        theory.communication(**arguments | wrong, smoothness=UNIT, gap=1.0, accuracy=1.0)


@pytest.mark.parametrize("wrong", [{"d": 0}, {"d": -3}, {"bits": -500.0}])
def test_communication_refuses_negative_messages(wrong):
    arguments = {"p": 0.5, "d": 5, "bits": 37, "A": 1.0, "B": 0.5}
    with pytest.raises(ValueError, match="|".join(f"{name}.*{v}" for name, v in wrong.items())):
        theory.communication(**arguments | wrong, smoothness=UNIT, gap=1.0, accuracy=1.0)


# --- equal clients -------------------------------------------------------------------------------

PYTHAGOREAN = [(3, 4), (1, 2, -2), (2, 3, 6), (1, 1, 1, 1), (3, 4, 0, 0), (0, 0, 0, -7), (-4, 4, 7)]


@pytest.mark.parametrize("a", PYTHAGOREAN)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_equal_clients_of_cq_against_enumeration(a, n):
    error = exact.quantization_error([[Fraction(v) for v in a]] * n, exact.cq_bits)
    assert theory.cq_mse_equal(np.array(a), n) == pytest.approx(float(error), rel=1e-12, abs=1e-12)


@given(st.integers(1, 300), st.integers(1, 12), st.integers(0, 10**6))
def test_equal_clients_of_cq_against_any_clients(n, d, seed):
    a = np.random.default_rng(seed).standard_normal(d)
    found = float(theory.cq_mse_equal(a, n))
    assert found == pytest.approx(theory.cq_mse(np.tile(a, (n, 1))), rel=1e-7, abs=1e-12)
    assert found <= d * (a @ a) / n**2 * (1 + 1e-12)


def test_equal_clients_in_batches():
    a = np.random.default_rng(0).standard_normal((2, 3, 4))
    a[1, 2] = 0
    found = theory.cq_mse_equal(a, 5)
    assert found.shape == (2, 3) and found[1, 2] == 0
    both = theory.permk_cq_mse_equal(a, 6, 2)
    assert both.shape == (2, 3) and both[1, 2] == 0
    for i, j in np.ndindex(2, 3):
        assert found[i, j] == pytest.approx(float(theory.cq_mse_equal(a[i, j], 5)), rel=1e-14)
        alone = float(theory.permk_cq_mse_equal(a[i, j], 6, 2))
        assert both[i, j] == pytest.approx(alone, rel=1e-14)


@pytest.mark.parametrize(
    ("a", "n", "b"),
    [
        ((3, 4, 0, 0), 2, 2),
        ((3, 4, 0, 0), 4, 2),
        ((0, -8, 6, 0), 6, 2),
        ((5, 0, 12, 0), 6, 2),
        ((5, -2, 12, 1), 4, 4),
        ((2, 1, -7), 6, 3),
    ],
)
def test_equal_clients_of_permk_cq_against_enumeration(a, n, b):
    error = permk.permk_cq_error([[Fraction(v) for v in a]] * n, b)
    found = float(theory.permk_cq_mse_equal(np.array(a), n, b))
    assert found == pytest.approx(float(error), rel=1e-12, abs=1e-12)
    assert (error == 0) == (len(a) == b)


@given(
    st.sampled_from([(4, 4, 2), (8, 8, 2), (8, 8, 4), (6, 9, 3), (5, 5, 1)]), st.integers(0, 999)
)
def test_equal_clients_of_permk_cq_keep_their_bound(sizes, seed):
    n, d, b = sizes
    a = np.random.default_rng(seed).standard_normal(d) ** 3
    found = float(theory.permk_cq_mse_equal(a, n, b))
    assert found <= b * d / n**2 * (a @ a) * (1 + 1e-12)
    if b == 1:
        assert found == pytest.approx(float(theory.cq_mse_equal(a, n)), rel=1e-14)


@pytest.mark.parametrize(("n", "d", "b"), [(8, 8, 3), (9, 8, 2), (8, 9, 2)])
def test_blocks_divide_clients_and_coordinates(n, d, b):
    with pytest.raises(ValueError, match=f"b = {b} must divide n = {n} and d = {d}"):
        theory.permk_cq_mse_equal(np.ones(d), n, b)
