"""Algorithms 5 and 6: tasks, constants and minima against dense linear algebra."""

import math

import numpy as np
import pytest
import torch

from cqlib.problems import Quadratic, quadratic_hessian_variance, quadratic_smoothness
from cqlib.theory import smoothness_of_hessians

MAKERS = [quadratic_hessian_variance, quadratic_smoothness]
SIZES = [(1, 1, 0.5), (4, 1, 2.0), (1, 5, 0.3), (3, 2, 0.0), (5, 8, 0.1), (8, 20, 3.0)]
TASKS = {
    f"{make.__name__}-{n}-{d}-{s}": make(n, d, s, 0.05, seed=n + d)
    for make in MAKERS
    for n, d, s in SIZES
}
TASKS |= {
    f"linear-{n}-{d}-{s}": quadratic_hessian_variance(n, d, s, 0.05, seed=n + d, linear=0.7)
    for n, d, s in SIZES
}
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def tridiagonal(d):
    return 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)


def dense(task):
    """Return the matrices A_i and the vectors b_i."""
    A = np.multiply.outer(task.scale.numpy(), tridiagonal(task.d)) + task.shift * np.eye(task.d)
    b = np.zeros((task.n, task.d))
    b[:, 0] = task.pull.numpy()
    return A, b if task.linear is None else b + task.linear.numpy()


def points(d, count=4):
    return torch.from_numpy(np.random.default_rng(d).standard_normal((count, d)))


def importance(task):
    L = np.array(task.smoothness().L_i)
    return L / L.sum()


# --- functions -----------------------------------------------------------------------------------


@each_task
def test_values_and_gradients_are_those_of_dense_matrices(task):
    A, b = dense(task)
    np.testing.assert_allclose(task.hessians().numpy(), A, rtol=1e-15, atol=1e-15)
    for point in points(task.d):
        x = point.numpy()
        np.testing.assert_allclose(task.gradients(point).numpy(), A @ x - b, rtol=1e-11, atol=1e-12)
        value = x @ A.mean(axis=0) @ x / 2 - b.mean(axis=0) @ x
        assert float(task.value(point)) == pytest.approx(value, rel=1e-11, abs=1e-12)


@each_task
def test_the_mean_of_the_gradients_is_the_slope_of_the_value(task):
    x = points(task.d)[0].requires_grad_()
    slope = torch.autograd.grad(task.value(x), x)[0]
    mean = task.gradients(x.detach()).mean(dim=0)
    torch.testing.assert_close(slope, mean, rtol=1e-10, atol=1e-12)


@each_task
def test_batched_single_and_per_client_paths_agree(task):
    x = points(task.d)
    before = x.clone()
    value, gradients = task.value_and_gradients(x)
    assert value.shape == (4,) and gradients.shape == (4, task.n, task.d)
    assert value.dtype == gradients.dtype == torch.float64
    assert torch.equal(value, task.value(x)) and torch.equal(gradients, task.gradients(x))
    for k in range(4):
        assert task.value(x[k]).shape == () and task.gradients(x[k]).shape == (task.n, task.d)
        torch.testing.assert_close(task.value(x[k]), value[k], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(task.gradients(x[k]), gradients[k], rtol=1e-9, atol=1e-12)
        for i in range(task.n):
            alone = task.gradient(i, x[k])
            torch.testing.assert_close(alone, gradients[k, i], rtol=1e-9, atol=1e-12)
    assert torch.equal(x, before)


def test_the_start_is_root_d_along_the_first_axis():
    task = quadratic_smoothness(2, 9, 1.0, 0.0, seed=0)
    assert task.x0.tolist() == [3.0] + [0.0] * 8 and task.x0.dtype == torch.float64


# --- minima --------------------------------------------------------------------------------------


@each_task
def test_the_minimum_is_where_the_gradient_vanishes(task):
    A, b = (part.mean(axis=0) for part in dense(task))
    x = np.linalg.solve(A, b)
    assert task.minimum() == pytest.approx(-b @ x / 2, rel=1e-9, abs=1e-15)
    assert task.minimum() == pytest.approx(float(task.value(torch.from_numpy(x))), rel=1e-9)
    assert task.minimum() <= float(task.value(points(task.d)).min())
    assert task.minimum() <= float(task.value(task.x0))


def by_hand(scale, shift, pull, d):
    return Quadratic(torch.tensor(scale).double(), shift, torch.tensor(pull).double(), d)


def test_the_minimum_by_hand():
    # One coordinate: mean of 2 kappa is 4, shift 1, mean of b is 10: -100 / (2 * 5).
    assert by_hand([1.0, 3.0], 1.0, [8.0, 12.0], 1).minimum() == pytest.approx(-10, rel=1e-14)
    # T^-1 e_1 for d = 2 is (2, 1) / 3: -4/3 for b = 2.
    assert by_hand([1.0], 0.0, [2.0], 2).minimum() == pytest.approx(-4 / 3, rel=1e-14)


def test_a_concave_mean_has_no_minimum():
    assert by_hand([1.0, -3.0], 0.0, [1.0, 1.0], 3).minimum() == -math.inf
    assert by_hand([1.0], -1.0, [1.0], 4).minimum() == -math.inf


def test_without_a_regulariser_algorithm_5_is_unbounded_below():
    found = {
        quadratic_hessian_variance(n, 6, 0.5, 0.0, seed).minimum()
        for n in (3, 7, 10)
        for seed in range(6)
    }
    assert found == {-math.inf}


# --- smoothness ----------------------------------------------------------------------------------


@each_task
@pytest.mark.parametrize("weighted", [False, True])
def test_constants_are_those_of_dense_matrices(task, weighted):
    weights = importance(task) if weighted else None
    found, expected = task.smoothness(weights), smoothness_of_hessians(dense(task)[0], weights)
    assert found.L_minus == pytest.approx(expected.L_minus, rel=1e-10)
    assert found.L_plus == pytest.approx(expected.L_plus, rel=1e-10)
    assert found.L_i == pytest.approx(expected.L_i, rel=1e-10)
    assert found.L_pm**2 == pytest.approx(expected.L_pm**2, abs=1e-10 * expected.L_plus**2)


@each_task
def test_constants_are_in_order(task):
    s = task.smoothness()
    slack = 1e-12 * s.L_plus**2
    assert s.L_plus**2 - s.L_minus**2 <= s.L_pm**2 + slack
    assert s.L_pm**2 <= s.L_plus**2 + slack
    weighted = task.smoothness(importance(task))
    assert max(weighted.L_plus, weighted.L_pm) <= np.mean(s.L_i) * (1 + 1e-12)
    assert (weighted.L_minus, weighted.L_i) == (s.L_minus, s.L_i)


@each_task
def test_no_pair_of_points_exceeds_the_constants(task):
    s = task.smoothness()
    x = 10 * points(task.d, count=50)
    change = (task.gradients(x[1:]) - task.gradients(x[:-1])).numpy()
    length = ((x[1:] - x[:-1]) ** 2).sum(dim=1).numpy()
    squares, mean = (change**2).sum(axis=2), (change.mean(axis=1) ** 2).sum(axis=1)
    allowed = length * (1 + 1e-9)
    assert (mean <= s.L_minus**2 * allowed).all()
    assert (squares.mean(axis=1) <= s.L_plus**2 * allowed).all()
    assert (squares.mean(axis=1) - mean <= s.L_pm**2 * allowed + 1e-9 * length).all()
    assert (squares <= np.square(s.L_i) * allowed[:, None]).all()


def test_no_matrix_is_needed():
    task = quadratic_hessian_variance(3, 100_000, 0.1, 1e-3, seed=0)
    assert task.gradients(task.x0).shape == (3, 100_000)
    assert math.isfinite(task.minimum()) and task.smoothness().L_pm > 0


# --- Algorithm 5 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "noise"), [(1, 3, 0.2), (10, 7, 0.8), (4, 30, 3.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_algorithm_5_draws_what_it_says(n, d, noise, seed):
    task = quadratic_hessian_variance(n, d, noise, 0.25, seed)
    xi_s, xi_b = np.random.default_rng(seed).standard_normal((2, n))
    nu = 1 + noise * xi_s
    A, b = dense(task)
    before = np.multiply.outer(nu / 4, tridiagonal(d))
    shift = 0.25 - np.linalg.eigvalsh(before.mean(axis=0))[0]
    np.testing.assert_allclose(A, before + shift * np.eye(d), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(b[:, 0], nu / 4 * (-1 + noise * xi_b), rtol=1e-13)
    largest = np.linalg.eigvalsh(tridiagonal(d))[-1]
    assert task.smoothness().L_pm == pytest.approx(nu.std() * largest / 4, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("reg", [0.0, 1e-3, 2.0])
@pytest.mark.parametrize("noise", [0.0, 0.5, 5.0])
def test_the_mean_of_algorithm_5_has_the_regulariser_as_its_smallest_eigenvalue(reg, noise):
    means = []
    for seed in range(5):
        task = quadratic_hessian_variance(4, 12, noise, reg, seed)
        means.append(float(task.scale.mean()))
        smallest = np.linalg.eigvalsh(task.hessians().mean(dim=0).numpy())[0]
        assert smallest == pytest.approx(reg, rel=1e-10, abs=1e-13)
    assert (min(means) < 0) == (noise == 5.0)


def test_clients_of_algorithm_5_may_be_non_convex():
    task = quadratic_hessian_variance(20, 10, 2.0, 0.01, seed=0)
    assert np.linalg.eigvalsh(task.hessians().numpy()).min() < 0


# --- Algorithm 6 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "noise"), [(1, 3, 0.2), (10, 7, 0.8), (4, 30, 9.0)])
@pytest.mark.parametrize("reg", [0.0, 0.1])
def test_algorithm_6_draws_what_it_says(n, d, noise, reg):
    task = quadratic_smoothness(n, d, noise, reg, seed=3)
    rng = np.random.default_rng(3)
    nu = 1 + noise * rng.exponential(size=n)
    A, b = dense(task)
    expected = np.multiply.outer(nu / 4, tridiagonal(d)) + reg * np.eye(d)
    np.testing.assert_allclose(A, expected, rtol=1e-13)
    np.testing.assert_allclose(b[:, 0], -0.25 + noise * rng.standard_normal(n), rtol=1e-13)
    largest = np.linalg.eigvalsh(tridiagonal(d))[-1]
    assert task.smoothness().L_i == pytest.approx(nu * largest / 4 + reg, rel=1e-12)
    assert np.linalg.eigvalsh(A).min() > 0


def test_importance_weights_take_all_variance_from_algorithm_6():
    task = quadratic_smoothness(8, 15, 5.0, 0.0, seed=1)
    s, weighted = task.smoothness(), task.smoothness(importance(task))
    assert s.L_pm > 0.3 * s.L_minus
    assert weighted.L_pm < 1e-6 * s.L_minus
    assert weighted.L_plus == pytest.approx(np.mean(s.L_i), rel=1e-10)
    regularised = quadratic_smoothness(8, 15, 5.0, 0.5, seed=1)
    assert regularised.smoothness(importance(regularised)).L_pm > 1e-3


# --- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
def test_without_noise_all_clients_are_equal(make):
    task = make(5, 6, 0.0, 0.1, seed=4)
    assert task.smoothness().L_pm < 1e-15
    assert task.pull.tolist() == [-0.25] * 5 and task.scale.tolist() == [0.25] * 5


@pytest.mark.parametrize("make", MAKERS)
def test_the_seed_decides(make):
    first, same, other = (make(5, 6, 0.5, 0.1, seed) for seed in (7, 7, 8))
    assert torch.equal(first.scale, same.scale) and torch.equal(first.pull, same.pull)
    assert first.shift == same.shift
    assert (first.scale != other.scale).all() and (first.pull != other.pull).all()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n and d must be at least 1, got n=0, d=3"),
        ({"d": -1}, "n and d must be at least 1, got n=2, d=-1"),
        ({"noise": -0.5}, "noise and reg must be .*got noise=-0.5"),
        ({"noise": math.inf}, "got noise=inf"),
        ({"noise": math.nan}, "got noise=nan"),
        ({"reg": -0.5}, "noise and reg must be .*reg=-0.5"),
        ({"reg": math.nan}, "reg=nan"),
    ],
)
def test_wrong_numbers_are_refused(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**{"n": 2, "d": 3, "noise": 0.1, "reg": 0.1, "seed": 0} | wrong)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5]])
def test_wrong_weights_are_refused(weights):
    task = quadratic_smoothness(3, 4, 0.1, 0.1, seed=0)
    with pytest.raises(ValueError, match=r"weights must be 3 positive numbers of sum 1, got \[0.5"):
        task.smoothness(weights)


def test_linear_terms_change_gradients_and_nothing_else():
    plain, unequal = (
        quadratic_hessian_variance(6, 9, 0.5, 0.01, seed=3, linear=linear) for linear in (0, 2.0)
    )
    assert plain.linear is None and torch.equal(plain.scale, unequal.scale)
    assert torch.equal(plain.pull, unequal.pull)
    assert plain.smoothness() == unequal.smoothness()
    x, y = points(9, count=2)
    torch.testing.assert_close(
        plain.gradients(x) - plain.gradients(y), unequal.gradients(x) - unequal.gradients(y)
    )
    spread = plain.gradients(x) - unequal.gradients(x)
    torch.testing.assert_close(spread, unequal.linear)
    assert 1.5 < float(spread.std()) < 2.5
    again = quadratic_hessian_variance(6, 9, 0.5, 0.01, seed=3, linear=1.0)
    torch.testing.assert_close(2 * again.linear, unequal.linear)


@pytest.mark.parametrize("linear", [-1.0, math.inf, math.nan])
def test_a_wrong_scale_of_the_linear_terms_is_refused(linear):
    with pytest.raises(
        ValueError, match=f"linear must be at least 0 and at most 1e\\+100, got {linear}"
    ):
        quadratic_hessian_variance(2, 2, 0.0, 0.0, seed=0, linear=linear)


def test_a_flat_direction_that_a_linear_term_leans_on_has_no_minimum():
    """A mean that is singular along one eigenvector: only parts along it decide."""
    d = 4
    lowest = float(4 * np.sin(np.pi / (2 * (d + 1))) ** 2)
    sines = np.sin(np.outer(np.arange(1, d + 1), np.arange(1, d + 1)) * np.pi / (d + 1))
    for vector, bounded in ((sines[1], True), (sines[0] + sines[1], False)):
        terms = torch.from_numpy(vector[None])
        task = Quadratic(torch.ones(1).double(), -lowest, torch.zeros(1).double(), d, terms)
        assert np.isfinite(task.minimum()) == bounded
