"""Enumeration against the closed formulas, the search, and the worst inputs that it has found."""

import functools
import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cqbook.evidence import INEQUALITIES, attack, exact, ratios_ab, report, small_cases, worst_input
from cqbook.evidence.exact import cq_bits, iq_bits
from cqbook.evidence.worst_inputs import FILE
from cqlib import theory
from cqlib.theory import Smoothness, smoothness_of_hessians
from tests.helpers import Z

# Rows with rational norms.
ROWS = [(1, 2, -2), (2, 3, 6), (0, -4, 0), (-4, 4, 7), (0, 3, 4), (-6, 2, 3)]
# Rows of which every part has a rational norm.
PARTS = [(3, 4, 0, 0), (0, 0, -8, 6), (5, 0, 12, 0), (0, 7, 0, 0), (0, -9, 0, 12), (1, 0, 0, 0)]


def fractions(rows):
    return [[Fraction(v) for v in row] for row in rows]


def floats(rows):
    return np.array(rows, dtype=np.float64)


# --- exact: quantizers ---------------------------------------------------------------------------


positions = st.lists(st.fractions(0, 1, max_denominator=30), min_size=1, max_size=4)


@settings(max_examples=60)
@given(positions)
@pytest.mark.parametrize("bits", [iq_bits, cq_bits])
def test_bits_are_a_law_with_the_right_means(bits, y):
    law = bits(y)
    assert sum(chance for chance, _ in law) == 1 and all(chance > 0 for chance, _ in law)
    assert len({outcome for _, outcome in law}) == len(law)
    for i, v in enumerate(y):
        assert exact.expectation(law, lambda b, i=i: Fraction(b[i])) == v


@settings(max_examples=60)
@given(positions)
def test_variances_of_the_mean_of_the_bits(y):
    n, array = len(y), floats(y)
    weights = [Fraction(1, n)] * n
    found = float(exact.count_variance(iq_bits(y), weights))
    assert theory.iq_variance(array) == pytest.approx(found, abs=1e-14)
    found = float(exact.count_variance(cq_bits(y), weights))
    assert theory.cq_variance(array) == pytest.approx(found, abs=1e-14)


@given(st.fractions(0, 1, max_denominator=30), st.fractions(0, 1, max_denominator=30))
def test_covariance_of_two_clients(y, z):
    both = exact.expectation(cq_bits([y, z]), lambda b: Fraction(b[0] * b[1]))
    assert theory.cq_covariance(float(y), float(z), 2) == pytest.approx(
        float(both - y * z), abs=1e-14
    )


def test_laws_by_hand():
    # Two clients at 1/4: rank 0 goes up with probability 1/2, rank 1 never.
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert cq_bits([quarter] * 2) == [(half, (0, 0)), (quarter, (0, 1)), (quarter, (1, 0))]
    assert iq_bits([quarter] * 2)[-1] == (Fraction(1, 16), (1, 1))
    assert exact.count_variance(iq_bits([half, half]), [1, 3]) == Fraction(10, 4)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_quantization_errors(n):
    for rows in itertools.islice(itertools.permutations(ROWS, n), 0, None, 11):
        X = floats(rows)
        for bits, closed, batch in (
            (iq_bits, theory.iq_mse, small_cases.iq_mse),
            (cq_bits, theory.cq_mse, small_cases.cq_mse),
        ):
            error = float(exact.quantization_error(fractions(rows), bits))
            assert closed(X) == pytest.approx(error, rel=1e-12)
            assert batch(X[None])[0] == pytest.approx(error, rel=1e-12)


def test_quantization_errors_with_a_client_that_has_nothing_to_send():
    rows = [(1, 2, 2), (0, 0, 0), (2, 3, 6)]
    error = exact.quantization_error(fractions(rows), cq_bits)
    assert theory.cq_mse(floats(rows)) == pytest.approx(float(error), rel=1e-12)
    assert error == Fraction(88, 9)


def test_independent_clients_with_nothing_to_send_have_no_error():
    rows = [(1, 2, 2), (0, 0, 0), (2, 3, 6)]
    assert exact.quantization_error(fractions(rows), iq_bits) == Fraction(2 * (9 + 49), 9)
    assert exact.quantization_error(fractions([(0, 0)] * 2), cq_bits) == 0


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=4), st.integers(1, 9))
def test_norms_are_rational_or_refused(a, denominator):
    vector = [Fraction(v, denominator) for v in a]
    square = sum(v * v for v in a)
    if math.isqrt(square) ** 2 == square:
        assert exact.norm(vector) == Fraction(math.isqrt(square), denominator)
    else:
        with pytest.raises(
            ValueError, match=f"not rational: its square is {sum(v * v for v in vector)}"
        ):
            exact.norm(vector)


# --- exact: sparsifiers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d"),
    [(1, 3), (2, 2), (2, 3), (2, 4), (3, 4), (3, 2), (4, 2), (5, 2), (4, 3), (5, 1), (3, 3)],
)
def test_perm_k(n, d):
    law = exact.perm_k(n, d)
    assert sum(chance for chance, _ in law) == 1
    assert len({rows for _, rows in law}) == len(law)
    for i, j in np.ndindex(n, d):
        assert exact.expectation(law, lambda rows, i=i, j=j: Fraction(rows[i][j])) == 1
        square = exact.expectation(law, lambda rows, i=i, j=j: Fraction(rows[i][j]) ** 2)
        assert float(square - 1) == pytest.approx(theory.perm_k_omega(d, n), rel=1e-14, abs=1e-14)
    for _, rows in law:
        kept = (floats(rows) != 0).sum(axis=1)
        shared = (floats(rows) != 0).sum(axis=0)
        assert max(kept) - min(kept) <= 1 and max(shared) - min(shared) <= 1
        assert min(shared) >= 1 and kept.sum() == max(n, d)
        # What is sent of a coordinate adds up to the mean of those who send it.
        np.testing.assert_allclose(floats(rows).sum(axis=0), n)


@pytest.mark.parametrize(
    ("n", "d"), [(2, 2), (2, 3), (2, 4), (3, 4), (3, 2), (4, 2), (5, 2), (5, 3)]
)
def test_errors_of_perm_k(n, d):
    rows = np.random.default_rng(n * d).integers(-9, 10, (n, d))
    error = exact.sparsified_error(fractions(rows.tolist()), exact.perm_k(n, d))
    assert theory.perm_k_mse(rows.astype(float)) == pytest.approx(float(error), rel=1e-12)


def test_one_coordinate_of_a_client_is_rounded_without_error():
    for n, d in ((3, 3), (4, 2)):
        X, law = fractions([row[:d] for row in ROWS[:n]]), exact.perm_k(n, d)
        assert exact.sparsified_error(X, law, iq_bits) == exact.sparsified_error(X, law) > 0


def test_rounding_what_perm_k_keeps():
    # Two clients keep two of four coordinates, doubled: rounding adds d / n - 1 times
    # n |a_i|^2 for each, over n^2.
    X, law = fractions(PARTS[:2]), exact.perm_k(2, 4)
    rounding = Fraction(2 * (25 + 100), 4)
    assert exact.sparsified_error(X, law, iq_bits) == exact.sparsified_error(X, law) + rounding


# --- exact: PermK+CQ and sampling ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "b"),
    [
        (PARTS[:2], 2),
        (PARTS[:4], 2),
        (PARTS[2:], 2),
        (PARTS[:4], 4),
        ([row[:3] for row in ROWS[:3]], 3),
        (ROWS[:3], 1),
        (ROWS[2:], 1),
    ],
)
def test_errors_of_permk_iq(rows, b):
    error = float(exact.permk_cq_error(fractions(rows), b, iq_bits))
    assert theory.permk_iq_mse(floats(rows), b) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "b"),
    [
        (PARTS[:2], 2),
        ([(3, 4, 0, 0)] * 4, 2),
        ([(5, 0, -12, 0)] * 6, 2),
        (PARTS[:4], 4),
        ([row[:3] for row in ROWS[:3]], 3),
        (ROWS[:3], 1),
        (ROWS[2:5], 1),
    ],
)
def test_errors_of_permk_cq(rows, b):
    error = float(exact.permk_cq_error(fractions(rows), b))
    assert small_cases.permk_cq_mse(floats(rows)[None], b)[0] == pytest.approx(error, rel=1e-12)
    if len(set(rows)) == 1:
        found = float(theory.permk_cq_mse_equal(floats(rows[0]), len(rows), b))
        assert found == pytest.approx(error, rel=1e-12)


def test_permk_cq_in_batches_is_between_its_special_cases():
    X = np.random.default_rng(0).standard_normal((5, 4, 4))
    np.testing.assert_allclose(small_cases.permk_cq_mse(X, 1), small_cases.cq_mse(X), rtol=1e-12)
    # With as many blocks as clients and coordinates nothing is rounded: it is PermK.
    expected = [theory.perm_k_mse(x) for x in X]
    np.testing.assert_allclose(small_cases.permk_cq_mse(X, 4), expected, rtol=1e-12)
    for x, found in zip(X, small_cases.permk_cq_mse(X, 2), strict=True):
        assert 0 < found <= theory.permk_iq_mse(x, 2)
        assert found == pytest.approx(small_cases.permk_cq_mse(x[None], 2)[0], rel=1e-13)


@pytest.mark.parametrize(("n", "d", "b"), [(4, 4, 3), (3, 4, 2), (4, 3, 2)])
def test_blocks_divide_clients_and_coordinates(n, d, b):
    with pytest.raises(ValueError, match=f"b = {b} must divide n = {n} and d = {d}"):
        exact.permk_cq_error([[Fraction(1)] * d] * n, b)


@pytest.mark.parametrize("tau", [1, 2, 3])
@pytest.mark.parametrize("bits", [None, iq_bits])
def test_errors_of_sampling(tau, bits):
    q = [Fraction(1, 2), Fraction(1, 8), Fraction(3, 8)]
    for rows in itertools.combinations(ROWS, 3):
        error = float(exact.sampling_error(fractions(rows), q, tau, bits))
        found = theory.importance_sampling_mse(
            floats(rows), [float(v) for v in q], tau, omega=2 if bits else 0
        )
        assert found == pytest.approx(error, rel=1e-12)


def test_sampling_of_two_draws_by_all_its_outcomes():
    X, q = fractions(ROWS[:2]), [Fraction(1, 4), Fraction(3, 4)]
    mean = [sum(column) / 2 for column in zip(*X, strict=True)]
    error = Fraction(0)
    for i, k in itertools.product(range(2), repeat=2):
        sent = [(a / (2 * q[i]) + b / (2 * q[k])) / 2 for a, b in zip(X[i], X[k], strict=True)]
        error += q[i] * q[k] * sum((s - m) ** 2 for s, m in zip(sent, mean, strict=True))
    assert exact.sampling_error(X, q, 2) == error


# --- small cases ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 4), (2, 3), (5, 2), (9, 6)])
def test_batches_of_quantizers(n, d):
    X = np.random.default_rng(n + d).standard_normal((6, n, d)) ** 3
    X[0, 0] = 0
    np.testing.assert_allclose(small_cases.iq_mse(X), [theory.iq_mse(x) for x in X], rtol=1e-12)
    expected = [theory.cq_mse(x) for x in X]
    np.testing.assert_allclose(small_cases.cq_mse(X), expected, rtol=1e-9, atol=1e-12)
    y = np.random.default_rng(d).random((6, n, d))
    found = small_cases.cq_variance(y) / n**2
    expected = [[theory.cq_variance(column) for column in x.T] for x in y]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def test_variance_of_weighted_clients():
    y = [Fraction(1, 3), Fraction(1, 2), Fraction(4, 5)]
    weights = [Fraction(2), Fraction(1, 2), Fraction(5)]
    expected = float(exact.count_variance(cq_bits(y), weights))
    found = small_cases.cq_variance(floats(y)[None, :, None], floats(weights)[None, :, None])
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("D", [1, 2, 4])
def test_drive_by_all_its_signs(D):
    H = np.array([[1.0]])
    while len(H) < D:
        H = np.block([[H, H], [H, -H]])
    H /= math.sqrt(D)
    x = np.random.default_rng(D).standard_normal(D)
    decoded = []
    for signs in itertools.product((1.0, -1.0), repeat=D):
        R = H * np.array(signs)
        y = R @ x
        decoded.append(R.T @ (np.sign(y) * (y @ y) / np.abs(y).sum()))
    mean, error = small_cases.drive_hadamard(np.stack([x, np.zeros(D)]))
    np.testing.assert_allclose(mean[0], np.mean(decoded, axis=0), rtol=1e-12, atol=1e-14)
    assert error[0] == pytest.approx(
        np.mean([np.sum((v - x) ** 2) for v in decoded]), rel=1e-12, abs=1e-14
    )
    assert error[1] == 0 and not mean[1].any()


def tasks(k, seed=0):
    """Two clients in two dimensions, of a convex mean."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((k, 2, 2))
    mean = half @ half.transpose(0, 2, 1)
    apart = rng.standard_normal((k, 2, 2))
    apart += apart.transpose(0, 2, 1)
    return np.stack([mean + apart, mean - apart], 1), rng.standard_normal((k, 2))


def theorem_2_stepsize(A, p, kind):
    weights = None
    if kind == "sampling":
        L = np.array(smoothness_of_hessians(A).L_i)
        weights = L / L.sum()
    s = smoothness_of_hessians(A, weights)
    return theory.marina_stepsize(p, 1.0, 1.0, s.L_minus, s.L_plus, s.L_pm), s


def simulated(A, x0, p, kind, T, runs=200_000):
    """Iterates and directions of MARINA with PermK or sampling of one client, many runs at once."""
    gamma, s = theorem_2_stepsize(A, p, kind)
    rng = np.random.default_rng(9)
    x = np.tile(x0, (runs, 1))
    g = x @ A.mean(axis=0)
    course = [(x, g)]
    q = np.array(s.L_i) / sum(s.L_i)
    for _ in range(1, T):
        step = -gamma * g
        x = x + step
        a = np.stack([step @ A[0], step @ A[1]], axis=1)
        if kind == "perm_k":
            first = rng.random(runs) < 0.5
            change = np.where(
                first[:, None],
                np.stack([a[:, 0, 0], a[:, 1, 1]], -1),
                np.stack([a[:, 1, 0], a[:, 0, 1]], -1),
            )
        else:
            drawn = (rng.random(runs) < q[1]).astype(int)
            change = a[np.arange(runs), drawn] / (2 * q[drawn])[:, None]
        full = rng.random(runs) < p
        g = np.where(full[:, None], x @ A.mean(axis=0), g + change)
        course.append((x, g))
    return course, gamma, s


@pytest.mark.parametrize("kind", ["perm_k", "sampling"])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_guarantee_is_followed_through_all_outcomes(kind, p):
    hessians, x0 = tasks(2)
    left, right = small_cases.marina_guarantee(hessians, x0, np.full(2, p), kind)
    for k, A in enumerate(hessians):
        course, gamma, _ = simulated(A, x0[k], p, kind, T=4)
        squares = np.mean([((x @ A.mean(axis=0)) ** 2).sum(axis=1) for x, _ in course], axis=0)
        assert abs(squares.mean() - left[k]) < Z * squares.std() / math.sqrt(len(squares))
        gap = x0[k] @ A.mean(axis=0) @ x0[k] / 2
        assert right[k] == pytest.approx(2 * gap / (4 * gamma), rel=1e-6)


@pytest.mark.parametrize("kind", ["perm_k", "sampling"])
def test_the_recursion_is_followed_through_all_outcomes(kind):
    hessians, x0 = tasks(2, seed=1)
    p = 0.3
    left, right = small_cases.marina_error_recursion(hessians, x0, np.full(2, p), kind)
    for k, A in enumerate(hessians):
        course, _, s = simulated(A, x0[k], p, kind, T=3)
        (_, _), (x1, g1), (x2, g2) = course
        error = ((g2 - x2 @ A.mean(axis=0)) ** 2).sum(axis=1)
        before = ((g1 - x1 @ A.mean(axis=0)) ** 2).sum(axis=1)
        bound = (1 - p) * (s.L_pm**2 * ((x2 - x1) ** 2).sum(axis=1) + before)
        for found, samples in ((left[k], error), (right[k], bound)):
            assert abs(samples.mean() - found) < Z * samples.std() / math.sqrt(len(samples))


@pytest.mark.parametrize("kind", ["perm_k", "sampling"])
def test_full_rounds_are_gradient_descent(kind):
    hessians, x0 = tasks(5, seed=2)
    left, right = small_cases.marina_guarantee(hessians, x0, np.ones(5), kind, T=3)
    for k, A in enumerate(hessians.mean(axis=1)):
        x, squares = x0[k], []
        for _ in range(3):
            squares.append(np.sum((A @ x) ** 2))
            x = x - A @ x / np.linalg.norm(A, 2)
        assert left[k] == pytest.approx(np.mean(squares), rel=1e-9)
        expected = x0[k] @ A @ x0[k] * np.linalg.norm(A, 2) / 3
        assert right[k] == pytest.approx(expected, rel=1e-9)
    for side in small_cases.marina_error_recursion(hessians, x0, np.ones(5), kind):
        np.testing.assert_allclose(side, 0, atol=1e-25)


def test_other_compressors_are_refused():
    hessians, x0 = tasks(1)
    for function in (small_cases.marina_guarantee, small_cases.marina_error_recursion):
        with pytest.raises(ValueError, match="kind must be 'perm_k' or 'sampling', got 'cq'"):
            function(hessians, x0, np.ones(1), "cq")


def iscc_followed(A, x, g, p, gamma, q, T):
    """Sum of E|grad f(x^t)|^2 over T rounds of MARINA with ISCC of IQ, branch by branch."""
    mean = A.mean(axis=0)
    total = np.sum((mean @ x) ** 2)
    if T == 1:
        return total
    step = -gamma * g
    ways = [(p, mean @ (x + step))]
    for i in range(2):
        change = A[i] @ step
        length = np.linalg.norm(change)
        for signs in itertools.product((1, -1), repeat=2):
            chance = q[i] * math.prod((1 + np.array(signs) * change / length) / 2)
            ways.append(((1 - p) * chance, g + length * np.array(signs) / (2 * q[i])))
    assert sum(chance for chance, _ in ways) == pytest.approx(1, rel=1e-12)
    rest = (c * iscc_followed(A, x + step, new, p, gamma, q, T - 1) for c, new in ways)
    return total + sum(rest)


@pytest.mark.parametrize("T", [1, 2, 3, 4])
def test_importance_sampling_of_quantized_clients_is_followed_through_all_outcomes(T):
    hessians, x0 = tasks(3, seed=5)
    p, gamma = np.array([0.1, 0.5, 1.0]), np.array([0.3, 0.05, 0.2])
    left, right = small_cases.iscc_guarantee(hessians, x0, p, gamma, T=T)
    for k, A in enumerate(hessians):
        q = np.array(smoothness_of_hessians(A).L_i)
        g = A.mean(axis=0) @ x0[k]
        total = iscc_followed(A, x0[k], g, p[k], gamma[k], q / q.sum(), T)
        assert left[k] == pytest.approx(total / T, rel=1e-9)
        assert right[k] == pytest.approx(x0[k] @ g / (gamma[k] * T), rel=1e-9)


def test_quotients_of_logistic_regression():
    small = small_cases.SmallLogistic.of_breast_cancer(n_clients=3, n_features=2, reg=0.2)
    assert (small.problem.n, small.problem.m, small.problem.d) == (3, 569 // 3, 2)
    assert small.problem.reg == 0.2 and small.bounds == small.problem.smoothness()
    rng = np.random.default_rng(3)
    x, v = rng.standard_normal((2, 4, 2))
    squares, spreads = small.quotients(x, v)
    for k in range(4):
        one, two = (
            np.stack([small.problem.gradient(i, torch.tensor(z)).numpy() for i in range(3)])
            for z in (x[k], x[k] + v[k])
        )
        square = np.mean(np.sum((two - one) ** 2, axis=1)) / (v[k] @ v[k])
        mean = np.sum((two - one).mean(axis=0) ** 2) / (v[k] @ v[k])
        assert squares[k] == pytest.approx(square, rel=1e-9)
        assert spreads[k] == pytest.approx(square - mean, rel=1e-6)


# --- the search ----------------------------------------------------------------------------------


def bowl(z):
    return 1 - ((z - 0.25) ** 2).sum(axis=1)


def test_the_search_finds_a_maximum():
    found = attack(bowl, 3, evaluations=6000, restarts=2, seed=5)
    assert found.ratio == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found.at, 0.25, atol=1e-3)
    assert found.ratio == bowl(np.array([found.at]))[0]
    edge = attack(lambda z: z.sum(axis=1), 2, evaluations=4000)
    assert max(map(abs, edge.at)) <= 1 and edge.ratio > 1.99


@pytest.mark.parametrize(
    ("evaluations", "restarts"), [(1, 1), (64, 1), (65, 1), (1000, 3), (999, 4)]
)
def test_every_input_that_is_tried_is_counted(evaluations, restarts):
    shapes = []

    def ratio(z):
        shapes.append(z.shape)
        assert (np.abs(z) <= 1).all()
        return bowl(z)

    found = attack(ratio, 2, evaluations=evaluations, restarts=restarts)
    assert found.evaluations == sum(k for k, _ in shapes) >= evaluations
    assert found.evaluations < evaluations + 2 * 64 * restarts
    assert {size for _, size in shapes} == {2}
    assert found.restarts == restarts


def test_the_seed_of_a_search_decides():
    first, same, other = (attack(bowl, 3, evaluations=500, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first.at != other.at


def test_a_longer_search_with_more_starts_is_no_worse():
    found = [attack(bowl, 4, evaluations=k * 640, restarts=k, seed=1).ratio for k in (1, 2, 4)]
    assert found == sorted(found)


def test_what_is_no_number_is_not_the_worst():
    found = attack(lambda z: np.where(z[:, 0] > 0, np.nan, z[:, 1]), 2, evaluations=2000)
    assert found.at[0] <= 0 and found.ratio > 0.9
    assert attack(lambda z: np.full(len(z), np.nan), 1, evaluations=10).ratio == 0
    assert attack(lambda z: np.full(len(z), -np.inf), 1, evaluations=10).ratio == 0


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"evaluations": 0}, {"restarts": 0}, {"restarts": -2}]
)
def test_searches_of_nothing_are_refused(wrong):
    options = {"size": 2, "evaluations": 10, "restarts": 1} | wrong
    numbers = ", ".join(str(v) for v in options.values())
    with pytest.raises(ValueError, match=f"must be at least 1; got {numbers}"):
        attack(bowl, **options)


# --- the inequalities ----------------------------------------------------------------------------

each_inequality = pytest.mark.parametrize("name", INEQUALITIES)
TOO_SMALL = [name for name, inequality in INEQUALITIES.items() if not inequality.valid]
SLOW = [name for name in INEQUALITIES if "logistic" in name]
# True statements whose two sides stay apart, at least in these dimensions.
LOOSE = [
    "standard dithering, d = 10, four levels",
    "natural dithering, d = 16, three levels",
    "Corollary 2, valid constant, n = 5, d = 16",
    "Corollary 3, valid constant, n = 8, d = 8, b = 2",
    "bound of Suresh et al., n = 12",
    "Theorem 3, ISCC of IQ, four rounds",
    "Theorem 2, ISCC of IQ, up to the largest stepsize",
    "Corollary 4, at most root n times cheaper",
    "valid constants: natural_dithering, s = 3, n = 3, d = 4",
    *SLOW,
]


@functools.cache
def searched(name):
    evaluations = 512 if name in SLOW else 4096
    inequality = INEQUALITIES[name]
    return attack(inequality.ratio, inequality.size, evaluations=evaluations, restarts=2, seed=17)


def replayed(name):
    return float(INEQUALITIES[name].ratio(worst_input(name))[0])


def test_a_worst_input_is_stored_for_every_inequality():
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert stored.keys() == INEQUALITIES.keys()
    for name, at in stored.items():
        assert len(at) == INEQUALITIES[name].size
        assert worst_input(name).tolist() == [at]
        assert max(map(abs, at)) <= 1
    assert all(name == inequality.name for name, inequality in INEQUALITIES.items())


def test_there_is_no_worst_input_of_an_unknown_inequality():
    with pytest.raises(
        ValueError, match="no worst input is stored for 'nothing'; known: .*TernGrad"
    ):
        worst_input("nothing")


@each_inequality
def test_the_worst_input_stored_decides_as_claimed(name):
    if INEQUALITIES[name].valid:
        assert 0 < replayed(name) <= 1 + 1e-9
    else:
        assert replayed(name) > 1.5


@each_inequality
def test_a_short_search_finds_nothing_worse(name):
    assert searched(name).ratio <= replayed(name) * (1 + 1e-6)


@pytest.mark.parametrize("name", [n for n in INEQUALITIES if n not in LOOSE + TOO_SMALL])
def test_tight_inequalities_are_reached(name):
    assert replayed(name) > 1 - 1e-4


@pytest.mark.parametrize("name", TOO_SMALL)
def test_a_short_search_refutes_a_constant_that_is_too_small(name):
    found = searched(name)
    assert found.ratio > 1.5
    assert INEQUALITIES[name].ratio(np.array([found.at]))[0] == pytest.approx(found.ratio, rel=1e-9)


def test_there_are_constants_that_are_too_small():
    assert {name.split(",")[0] for name in TOO_SMALL} == {
        "Corollary 2",
        "Corollary 3",
        "DRIVE with Hadamard rotation against pi/2 - 1",
        "Theorem 2",
        "constant as read: iq",
        "constant for equal inputs: cq",
    }


def test_reports_say_what_is_exceeded():
    few = {"evaluations": 64, "restarts": 1}
    names = ["constant as read: iq, n = 3, d = 4", "Theorem 1"]
    exceeded, kept = report(names, **few).values.tolist()
    assert exceeded == [names[0], 128, 3.0, True, True]
    assert kept == [names[1], 128, 1.0, False, True]


@pytest.mark.parametrize("name", TOO_SMALL)
def test_a_report_exposes_a_constant_that_is_too_small(name, monkeypatch):
    few = {"evaluations": 64, "restarts": 1}
    row = report([name], **few).iloc[0]
    assert row["worst"] > 1.5 and row["above 1"] and row["as claimed"]
    monkeypatch.setitem(INEQUALITIES, name, replace(INEQUALITIES[name], valid=True))
    assert not report([name], **few)["as claimed"].iloc[0]


@pytest.mark.parametrize(("excess", "above"), [(0.0, False), (1e-12, False), (1e-6, True)])
def test_a_report_leaves_room_for_rounding_only(excess, above, monkeypatch):
    ratio = INEQUALITIES["Theorem 1"].ratio
    changed = replace(INEQUALITIES["Theorem 1"], ratio=lambda z: ratio(z) * (1 + excess))
    monkeypatch.setitem(INEQUALITIES, "Theorem 1", changed)
    row = report(["Theorem 1"], evaluations=64, restarts=1).iloc[0]
    assert (row["above 1"], row["as claimed"]) == (above, not above)


@each_inequality
def test_a_ratio_does_not_depend_on_its_neighbours(name):
    inequality = INEQUALITIES[name]
    z = np.random.default_rng(2).uniform(-1, 1, (12, inequality.size))
    together = inequality.ratio(z)
    assert together.shape == (12,) and np.isfinite(together).all()
    alone = [inequality.ratio(row[None])[0] for row in z]
    np.testing.assert_allclose(together, alone, rtol=1e-7, atol=1e-12)
    if inequality.valid:
        assert (together <= 1 + 1e-9).all()


@each_inequality
def test_no_ratio_is_one_of_roundings(name):
    inequality = INEQUALITIES[name]
    rng = np.random.default_rng(3)
    z = rng.uniform(-1, 1, (30, inequality.size))
    edges = rng.integers(-1, 2, (30, inequality.size)).astype(float)
    scales = 10.0 ** rng.uniform(-16, 0, (30, 1))
    mixed = np.where(rng.random(z.shape) < 0.5, z, 1e-9 * z)
    for inputs in (z * scales, edges, edges * scales, mixed, z * 0):
        found = inequality.ratio(inputs)
        assert np.isfinite(found).all()
        assert not inequality.valid or (found <= 1 + 1e-9).all()


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
    # y = 1/2: an odd number of clients leaves one undecided.
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
    except ValueError:  # compositions have none, and PermK+CQ only for equal inputs
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
    # Three times what is kept lies halfway between powers of two for 1, 2, ...: (3 - 2)(4 - 3) = 1
    # for 3; nine is (9 - 8)(16 - 9) = 7, twelve (12 - 8)(16 - 12) = 16.
    gaps = np.array([[1, 4, 0, 16], [7, 1, 1, 0.25], [1 / 16, 7, 64, 1]])
    expected = error + gaps.sum() / 3 / 9  # kept with probability 1/3, over n^2
    assert case.error(X[None])[0] == pytest.approx(expected, rel=1e-12)


def test_pairs_of_constants_for_any_dependence():
    # Client outcomes 0, 0, 3: mean 1, spread 2, omega 2. All alike: error 2, bound omega.
    alike = np.repeat([0.0, 0.0, 0.75], 3)
    assert ratio("Proposition 1, sharper pair (omega, 0)", *alike) == pytest.approx(1, rel=1e-12)
    assert ratio("Proposition 1, any dependence", *alike) == pytest.approx(1, rel=1e-12)
    # Outcomes in turn: the average never changes.
    turned = [0.75, 0, 0, 0, 0.75, 0, 0, 0, 0.75]
    assert ratio("Proposition 1, sharper pair (omega, 0)", *turned) == 0
    # Two alike and one in another order: averages 2, 1, 0 times 3/4, over 3.
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
    # In the middle of all logarithms: n = 141, zeta / 32 = 0.1, omega = 10^0.5, mean of L_i 10 L_-.
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
