"""The network: derivatives against other computations, and constants at the start."""

import functools
import math

import numpy as np
import pytest
import torch

from cqlib import compressors, data, methods
from cqlib.data import Dataset
from cqlib.problems import network
from cqlib.problems.lanczos import largest_magnitudes
from cqlib.theory import smoothness_of_hessians

# n, m, D, h, reg
SIZES = [(1, 5, 3, 2, 0.0), (4, 3, 2, 3, 0.1), (3, 1, 1, 1, 0.5), (5, 7, 6, 4, 1e-3)]


def dataset(N, D, seed=0):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(N) < 0.5, -1.0, 1.0)
    return Dataset(rng.standard_normal((N, D)), y, "made up", "generated")


@functools.cache
def made(n, m, D, h, reg):
    return network(dataset(n * m, D, seed=n), n, hidden=h, reg=reg, seed=3)


@pytest.fixture(params=SIZES, ids=str)
def problem(request):
    return made(*request.param)


def points(problem, count=4):
    """Return the start, and points around it at growing distances."""
    steps = np.random.default_rng(1).standard_normal((count, problem.d))
    return problem.x0 + torch.from_numpy(steps * np.array([0.0, 0.1, 1.0, 5.0])[:count, None])


def by_hand(problem, i, x):
    """Return f_i and its gradient, with all derivatives written out."""
    h, (Z, y) = problem.hidden, (problem.features[i].numpy(), problem.labels[i].numpy())
    m, D = Z.shape
    W, b, v, c = x[: h * D].reshape(h, D), x[h * D : h * D + h], x[h * D + h : -1], x[-1]
    units = np.tanh(Z @ W.T + b)
    margins = y * (units @ v + c)
    value = np.logaddexp(0, -margins).mean() + problem.reg / 2 * (x @ x)
    slope = -y / (1 + np.exp(margins)) / m  # of the loss in the score
    inner = slope[:, None] * v * (1 - units**2)
    parts = ((inner.T @ Z).ravel(), inner.sum(axis=0), units.T @ slope, [slope.sum()])
    return value, np.concatenate(parts) + problem.reg * x


def hessians(problem, x):
    return torch.func.jacrev(problem.gradients)(x).numpy()


# --- functions -----------------------------------------------------------------------------------


def test_values_and_gradients_are_those_written_out(problem):
    for x in points(problem):
        found = [by_hand(problem, i, x.numpy()) for i in range(problem.n)]
        wanted = np.stack([gradient for _, gradient in found])
        size = np.abs(wanted).max()
        got = problem.gradients(x).numpy()
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13 * size)
        mean = np.mean([value for value, _ in found])
        assert float(problem.value(x)) == pytest.approx(mean, rel=1e-13)


def test_gradients_against_finite_differences(problem):
    step = 1e-6
    for x in points(problem)[:3]:
        mean = problem.gradients(x).mean(dim=0)
        shifts = step * torch.eye(problem.d, dtype=torch.float64)
        slopes = (problem.value(x + shifts) - problem.value(x - shifts)) / (2 * step)
        torch.testing.assert_close(slopes, mean, rtol=1e-5, atol=1e-8)


def test_batched_single_and_per_client_paths_agree(problem):
    x = points(problem)
    before = x.clone()
    value, gradients = problem.value_and_gradients(x)
    assert value.shape == (4,) and gradients.shape == (4, problem.n, problem.d)
    assert value.dtype == gradients.dtype == torch.float64
    assert torch.equal(problem.gradients(x), gradients)
    torch.testing.assert_close(problem.value(x), value, rtol=1e-12, atol=0)
    for k in range(4):
        size = float(gradients[k].abs().max())
        close = functools.partial(torch.testing.assert_close, rtol=1e-9, atol=1e-12 * size)
        alone, rows = problem.value_and_gradients(x[k])
        assert alone.shape == problem.value(x[k]).shape == ()
        torch.testing.assert_close(alone, value[k], rtol=1e-9, atol=0)
        close(rows, gradients[k])
        close(problem.gradients(x[k]), gradients[k])
        for i in range(problem.n):
            close(problem.gradient(i, x[k]), gradients[k, i])
    assert torch.equal(x, before) and not gradients.requires_grad


def test_the_same_call_gives_the_same_bits(problem):
    x = points(problem)
    again = network(
        dataset(problem.n * problem.m, problem.features.shape[2], seed=problem.n),
        problem.n,
        **{"hidden": problem.hidden, "reg": problem.reg, "seed": 3},
    )
    for first, second in zip(
        problem.value_and_gradients(x), again.value_and_gradients(x), strict=True
    ):
        assert torch.equal(first, second)
    assert problem.smoothness() == again.smoothness()


def test_huge_weights_do_not_overflow():
    problem = made(4, 3, 2, 3, 0.1)
    x = torch.full((2, problem.d), 1e6, dtype=torch.float64)
    x[1] *= -1
    value, gradients = problem.value_and_gradients(x)
    assert torch.isfinite(value).all() and torch.isfinite(gradients).all()


def test_samples_are_split_in_order_and_the_rest_dropped():
    source = dataset(23, 4)
    problem = network(source, 5, hidden=2)
    assert (problem.n, problem.m, problem.d) == (5, 4, 2 * (4 + 2) + 1)
    np.testing.assert_array_equal(problem.features.numpy().reshape(20, 4), source.X[:20])
    np.testing.assert_array_equal(problem.labels.numpy().ravel(), source.y[:20])


# --- the start -----------------------------------------------------------------------------------


def test_the_start_is_drawn_from_the_seed():
    problem = network(dataset(20, 9), 2, hidden=100, seed=5)
    x0 = problem.x0
    assert x0.shape == (problem.d,) and x0.dtype == torch.float64
    assert torch.equal(x0, problem.x0)
    assert not torch.equal(x0, network(dataset(20, 9), 2, hidden=100, seed=6).x0)
    first, second = x0[:1000].abs(), x0[1000:].abs()  # W and b, v and c
    assert 0.95 / 3 < float(first.max()) <= 1 / 3
    assert 0.9 / 10 < float(second.max()) <= 1 / 10


def test_hidden_units_differ_at_the_start():
    gradient = made(5, 7, 6, 4, 1e-3).gradients(made(5, 7, 6, 4, 1e-3).x0).mean(dim=0)
    rows = gradient[:24].view(4, 6)
    assert torch.linalg.matrix_rank(rows) == 4


def test_global_randomness_is_left_alone():
    before = torch.get_rng_state(), np.random.get_state(legacy=False)
    problem = network(dataset(12, 3), 3, hidden=2)
    problem.value_and_gradients(problem.x0)
    problem.smoothness()
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_equal(before[1], np.random.get_state(legacy=False))


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n_clients": 0}, r"n_clients must be in \[1, 10\] for made up, got 0"),
        ({"n_clients": 11}, r"n_clients must be in \[1, 10\] for made up, got 11"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"reg": -0.1}, "reg must be at least 0 and at most 1e\\+100, got -0.1"),
        ({"reg": math.nan}, "reg must be at least 0 and at most 1e\\+100, got nan"),
        ({"reg": math.inf}, "reg must be at least 0 and at most 1e\\+100, got inf"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        network(dataset(10, 3), **{"n_clients": 2, **wrong})


@pytest.mark.parametrize("wrong", [[0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, -0.5]])
def test_wrong_weights_are_refused(wrong):
    with pytest.raises(ValueError, match=r"weights must be 4 positive numbers of sum 1, got \[0.5"):
        made(4, 3, 2, 3, 0.1).smoothness(wrong)


# --- smoothness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_constants_are_those_of_the_hessians_at_the_start(problem, weighted):
    w = np.random.default_rng(2).uniform(0.2, 1, problem.n) if weighted else None
    w = None if w is None else w / w.sum()
    found, H = problem.smoothness(w), hessians(problem, problem.x0)
    wanted = smoothness_of_hessians((H + H.transpose(0, 2, 1)) / 2, w)
    assert found.L_minus == pytest.approx(wanted.L_minus, rel=1e-9)
    assert found.L_plus == pytest.approx(wanted.L_plus, rel=1e-9)
    assert found.L_i == pytest.approx(wanted.L_i, rel=1e-9)
    assert found.L_pm**2 == pytest.approx(wanted.L_pm**2, rel=1e-9, abs=1e-13 * found.L_plus**2)


def test_constants_of_the_digits_network():
    problem = network(data.load("digits"), 6, hidden=3)  # d = 199
    found, wanted = problem.smoothness(), smoothness_of_hessians(hessians(problem, problem.x0))
    for name in ("L_minus", "L_plus", "L_pm", "L_i"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-8)
    assert problem.smoothness() is found


def test_constants_are_lower_bounds_only():
    problem = made(5, 7, 6, 4, 1e-3)
    far = smoothness_of_hessians(hessians(problem, points(problem)[2])).L_minus
    assert far > problem.smoothness().L_minus


def test_clients_with_the_same_samples_have_no_variance():
    one = dataset(6, 3)
    same = Dataset(np.tile(one.X, (4, 1)), np.tile(one.y, 4), "same", "generated")
    problem = network(same, 4, hidden=3)
    s = problem.smoothness()
    assert s.L_pm <= 1e-6 * s.L_plus
    assert s.L_plus == pytest.approx(s.L_minus, rel=1e-9)
    assert s.L_i == pytest.approx((s.L_minus,) * 4, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 7, 60])
def test_largest_magnitudes_against_dense_eigenvalues(d):
    rng = np.random.default_rng(d)
    A = rng.standard_normal((6, d, d))
    A += A.transpose(0, 2, 1)
    A[1] = np.outer(A[1, 0], A[1, 0])  # rank one
    A[2] = -3 * np.eye(d)
    A[3] = 0
    A[4] *= 1e-9
    start = torch.from_numpy(rng.standard_normal((6, d)))
    found = largest_magnitudes(lambda v: (torch.from_numpy(A) @ v[:, :, None])[:, :, 0], start)
    wanted = np.abs(np.linalg.eigvalsh(A)).max(axis=1)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-9, atol=1e-25)


# --- methods -------------------------------------------------------------------------------------


def test_marina_with_cq_descends():
    problem = network(data.load("digits"), 16, hidden=8)
    trace = methods.marina(problem, compressors.make("cq"), p=0.1, stepsize=[0.1, 0.3], rounds=80)
    assert not trace.diverged.any()
    assert (trace.value[-1] < 0.85 * trace.value[0]).all()
    again = methods.marina(problem, compressors.make("cq"), p=0.1, stepsize=[0.1, 0.3], rounds=80)
    np.testing.assert_array_equal(trace.value, again.value)


def test_divergence_is_recorded_and_not_raised():
    problem = network(dataset(12, 3), 3, hidden=2, reg=1.0)
    trace = methods.gd(problem, stepsize=[0.1, 1e3], rounds=20)
    assert trace.diverged.tolist() == [False, True]
