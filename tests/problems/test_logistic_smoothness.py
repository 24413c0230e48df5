"""Upper and lower bounds of the constants of logistic regression, with and without weights."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch

from cqlib import data
from cqlib.problems import Logistic, logistic
from cqlib.theory import smoothness_of_hessians

# n, m, d: fewer samples than coordinates, and more.
SIZES = [(1, 4, 3), (3, 2, 5), (4, 9, 3), (6, 4, 4), (5, 20, 2)]


@functools.cache
def unlike(n, m, d, reg):
    rng = np.random.default_rng(n + m + d)
    rows = rng.standard_normal((n, m, d)) * 2.0 ** rng.integers(-2, 3, (n, 1, 1))
    return Logistic(torch.from_numpy(rows), reg)


@functools.cache
def breast_cancer():
    return logistic(data.load("breast_cancer"), n_clients=10, reg=0.1)


MADE = {
    f"n={n}-m={m}-d={d}-reg={reg}": functools.partial(unlike, n, m, d, reg)
    for n, m, d in SIZES
    for reg in (0.0, 0.3)
}
MADE["breast_cancer"] = breast_cancer
each_problem = pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())


def hessians(problem, x):
    """Return the Hessians of all f_i, by automatic differentiation of the gradients."""
    return torch.func.jacrev(problem.gradients)(torch.as_tensor(x)).numpy()


def gram(problem):
    """G_i = Z_i^T Z_i / (4 m)."""
    rows = problem.signed.numpy()
    return rows.transpose(0, 2, 1) @ rows / (4 * problem.m)


def top(matrix):
    return float(np.linalg.eigvalsh(matrix)[-1])


def weights(problem, kind):
    n = problem.n
    if kind == "importance":
        w = np.array(problem.smoothness().L_i)
    else:
        w = np.random.default_rng(n).uniform(0.2, 1, n)
    return w / w.sum()


def points(problem):
    rng = np.random.default_rng(5)
    yield np.zeros(problem.d)
    yield np.ones(problem.d)
    for size in (0.1, 1.0, 30.0):
        for _ in range(3):
            yield size * rng.standard_normal(problem.d)


@each_problem
def test_constants_at_zero_are_those_of_the_hessians_there(made):
    problem = made()
    H = hessians(problem, problem.x0)
    np.testing.assert_allclose(H, gram(problem) + 2 * problem.reg * np.eye(problem.d), atol=1e-12)
    found, expected = problem.smoothness_at_zero(), smoothness_of_hessians(H)
    assert found.L_minus == pytest.approx(expected.L_minus, rel=1e-10)
    assert found.L_plus == pytest.approx(expected.L_plus, rel=1e-10)
    assert found.L_i == pytest.approx(expected.L_i, rel=1e-10)
    assert found.L_pm**2 == pytest.approx(expected.L_pm**2, abs=1e-10 * expected.L_plus**2)


@each_problem
def test_constants_at_zero_are_lower_bounds(made):
    low, high = made().smoothness_at_zero(), made().smoothness()
    assert low.L_minus == pytest.approx(high.L_minus, rel=1e-12)
    assert low.L_i == pytest.approx(high.L_i, rel=1e-12)
    assert low.L_plus <= high.L_plus * (1 + 1e-12) and low.L_pm <= high.L_pm * (1 + 1e-12)


def test_pairs_close_to_the_origin_come_near_the_constants_at_zero():
    problem = breast_cancer()
    G = gram(problem)
    variance = (G @ G).mean(axis=0) - G.mean(axis=0) @ G.mean(axis=0)
    step = 1e-5 * torch.from_numpy(np.linalg.eigh(variance)[1][:, -1])
    change = (problem.gradients(step) - problem.gradients(-step)).numpy() / 2e-5
    spread = ((change - change.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert spread == pytest.approx(problem.smoothness_at_zero().L_pm ** 2, rel=1e-6)


@each_problem
def test_the_bound_of_the_variance_is_its_formula(made):
    problem = made()
    G = gram(problem)
    ell = np.linalg.eigvalsh(G)[:, -1]
    mean = G.mean(axis=0)
    half = 0.5 * math.sqrt(max(top((G @ G).mean(axis=0) - mean @ mean), 0))
    rest = 0.5 * math.sqrt(top((ell[:, None, None] * G).mean(axis=0)))
    bounds = problem.smoothness()
    assert bounds.L_pm == pytest.approx(min(half + rest, bounds.L_plus), rel=1e-7)


@each_problem
def test_no_weights_of_the_samples_exceed_the_bound_of_the_variance(made):
    problem = made()
    rows, rng = problem.signed.numpy(), np.random.default_rng(6)
    bound = problem.smoothness().L_pm ** 2
    for chance in (0.0, 0.2, 0.5, 0.8, 1.0):
        for by_client in (False, True):
            shape = (problem.n, 1) if by_client else (problem.n, problem.m)
            D = np.broadcast_to((rng.random(shape) < chance) / 4, (problem.n, problem.m))
            M = (rows * D[:, :, None]).transpose(0, 2, 1) @ rows / problem.m
            variance = (M @ M).mean(axis=0) - M.mean(axis=0) @ M.mean(axis=0)
            assert top(variance) <= bound * (1 + 1e-9)


def test_the_bound_of_the_variance_is_better_than_that_of_the_mean_square():
    s = breast_cancer().smoothness()
    assert s.L_pm < 0.8 * s.L_plus


def test_the_regulariser_drops_out_of_the_variance():
    first, second = unlike(4, 9, 3, 0.3), unlike(4, 9, 3, 0.6)
    assert first.smoothness().L_pm == second.smoothness().L_pm
    assert first.smoothness_at_zero().L_pm == second.smoothness_at_zero().L_pm
    assert first.smoothness().L_plus < second.smoothness().L_plus


def test_equal_clients_keep_half_of_their_curvature():
    rows = np.random.default_rng(7).standard_normal((1, 6, 3))
    problem = Logistic(torch.from_numpy(np.repeat(rows, 4, axis=0)), 0.2)
    ell = top(gram(problem)[0])
    # The data part of the variance at zero vanishes; ell / 2 is left.
    assert problem.smoothness_at_zero().L_pm <= 1e-6
    assert problem.smoothness().L_pm == pytest.approx(ell / 2, abs=1e-6)


def test_the_bound_of_the_mean_square_by_hand():
    # z = (3, 4) and (0, 1), one sample each: G has 25/4 and 1/4; mu = 1/2, shift = 2.
    problem = Logistic(torch.tensor([[[3.0, 4.0]], [[0.0, 1.0]]]).double(), 1.0)
    L = np.array([25 / 4 + 2, 1 / 4 + 2])
    np.testing.assert_allclose(problem.smoothness().L_i, L, rtol=1e-12)
    for w in (np.array([0.5, 0.5]), np.array([0.9, 0.1])):
        H = gram(problem) + 2 * np.eye(2)
        M = ((L - 0.5)[:, None, None] * H + 0.5 * L[:, None, None] * np.eye(2)) / (2 * w)[
            :, None, None
        ]
        found = problem.smoothness(w)
        assert found.L_plus == pytest.approx(math.sqrt(top(M.mean(axis=0))), rel=1e-12)
        assert found.L_pm == found.L_plus


@each_problem
@pytest.mark.parametrize("kind", ["importance", "random"])
def test_weighted_constants_bound_every_hessian(made, kind):
    problem = made()
    w = weights(problem, kind)
    bounds = problem.smoothness(w)
    factors = (1 / (problem.n * w))[:, None, None]
    for x in points(problem):
        M = hessians(problem, x)
        mean = M.mean(axis=0)
        square = (factors * (M @ M)).mean(axis=0)
        assert top(square) <= bounds.L_plus**2 * (1 + 1e-9)
        assert top(square - mean @ mean) <= bounds.L_pm**2 * (1 + 1e-9)
        assert np.abs(np.linalg.eigvalsh(mean)).max() <= bounds.L_minus * (1 + 1e-9)


@each_problem
@pytest.mark.parametrize("kind", [None, "importance", "random"])
def test_no_pair_of_points_exceeds_the_bounds(made, kind):
    problem = made()
    w = weights(problem, kind) if kind else np.full(problem.n, 1 / problem.n)
    bounds = problem.smoothness(w if kind else None)
    centres = list(points(problem))
    for x, y in [*itertools.pairwise(centres), (centres[-1], -centres[-1])]:
        length = ((x - y) ** 2).sum() * (1 + 1e-9)
        change = (problem.gradients(torch.tensor(x)) - problem.gradients(torch.tensor(y))).numpy()
        square = ((change**2).sum(axis=1) / (problem.n * w)).mean()
        mean = (change.mean(axis=0) ** 2).sum()
        assert square <= bounds.L_plus**2 * length
        assert square - mean <= bounds.L_pm**2 * length
        assert mean <= bounds.L_minus**2 * length


@each_problem
def test_equal_weights_change_only_the_bound_of_the_variance(made):
    problem = made()
    plain, weighted = problem.smoothness(), problem.smoothness([1 / problem.n] * problem.n)
    assert (weighted.L_minus, weighted.L_i) == (plain.L_minus, plain.L_i)
    assert weighted.L_plus == pytest.approx(plain.L_plus, rel=1e-12)
    assert weighted.L_pm == weighted.L_plus


@pytest.mark.parametrize("wrong", [[0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0.75, -0.25]])
def test_wrong_weights_are_refused(wrong):
    with pytest.raises(ValueError, match=r"weights must be 3 positive numbers of sum 1, got \[0.5"):
        unlike(3, 2, 5, 0.0).smoothness(wrong)
