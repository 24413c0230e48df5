"""Small problems with all outcomes enumerated, against simulation and by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from cqbook.evidence import small_cases
from cqlib import theory
from cqlib.theory import smoothness_of_hessians
from tests.helpers import Z


def tasks(k, seed=0):
    """Return two clients in two dimensions with a convex mean."""
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
    """Return iterates and directions of many runs of MARINA with PermK or client sampling."""
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
    """Return the sum of E|grad f(x^t)|^2 over T rounds of MARINA with ISCC of IQ, by branches."""
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
