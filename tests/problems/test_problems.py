"""Logistic regression: gradients, and checks that the constants are valid bounds."""

import math

import numpy as np
import pytest
import torch

from cqlib import data
from cqlib.data import Dataset
from cqlib.problems import Logistic, logistic


def dataset(N, d, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    X = scale * rng.standard_normal((N, d))
    return Dataset(X, np.where(rng.random(N) < 0.5, -1.0, 1.0), "made up", "generated")


def client_loss(Z, y, x, reg):
    """Return f_i by the paper's formula; Z of shape (m, d), y of shape (m,)."""
    loss = torch.nn.functional.softplus(-y * (Z @ x), threshold=700)  # log(1 + e^-margin)
    return loss.mean() + reg * (x**2 / (1 + x**2)).sum()


def parts(source, n):
    """Return each client's samples and labels: in order, without the remainder."""
    m = len(source.y) // n
    X, y = torch.tensor(source.X), torch.tensor(source.y)
    return [(X[i * m : (i + 1) * m], y[i * m : (i + 1) * m]) for i in range(n)]


CASES = [(20, 4, 3, 0.0), (23, 5, 4, 0.1), (9, 1, 2, 1.0), (6, 6, 1, 0.3), (50, 7, 60, 1e-3)]
each_case = pytest.mark.parametrize(("N", "n", "d", "reg"), CASES)


def points(d, count=4):
    rng = np.random.default_rng(d)
    return torch.from_numpy(rng.standard_normal((count, d)) * [[0.0], [0.1], [1.0], [3.0]][:count])


@each_case
def test_value_and_gradients_against_autograd(N, n, d, reg):
    source = dataset(N, d)
    problem = logistic(source, n, reg)
    assert (problem.n, problem.m, problem.d) == (n, N // n, d)
    for point in points(d):
        losses, gradients = [], []
        for Z, y in parts(source, n):
            x = point.clone().requires_grad_()
            loss = client_loss(Z, y, x, reg)
            losses.append(loss.detach())
            gradients.append(torch.autograd.grad(loss, x)[0])
        torch.testing.assert_close(
            problem.gradients(point), torch.stack(gradients), rtol=1e-11, atol=1e-14
        )
        torch.testing.assert_close(
            problem.value(point), torch.stack(losses).mean(), rtol=1e-12, atol=0
        )


@each_case
def test_gradients_against_finite_differences(N, n, d, reg):
    problem = logistic(dataset(N, d), n, reg)
    step = 1e-6
    for point in points(d)[1:]:
        mean = problem.gradients(point).mean(dim=0)
        for j in range(min(d, 5)):
            shift = step * torch.eye(d, dtype=torch.float64)[j]
            slope = (problem.value(point + shift) - problem.value(point - shift)) / (2 * step)
            assert float(slope) == pytest.approx(float(mean[j]), rel=1e-5, abs=1e-8)


@each_case
def test_batched_single_and_per_client_paths_agree(N, n, d, reg):
    problem = logistic(dataset(N, d), n, reg)
    x = points(d)
    batched, values = problem.gradients(x), problem.value(x)
    assert batched.shape == (4, n, d) and values.shape == (4,)
    assert batched.dtype == values.dtype == torch.float64
    value, gradients = problem.value_and_gradients(x)
    assert torch.equal(value, values) and torch.equal(gradients, batched)
    for b in range(4):
        single = problem.gradients(x[b])
        assert single.shape == (n, d) and problem.value(x[b]).shape == ()
        # Relative to the largest entry, since a small one may be a difference of large ones.
        size = float(batched[b].abs().max())
        torch.testing.assert_close(single, batched[b], rtol=1e-9, atol=1e-12 * size)
        torch.testing.assert_close(problem.value(x[b]), values[b], rtol=1e-9, atol=0)
        value, gradients = problem.value_and_gradients(x[b])
        assert torch.equal(gradients, single) and torch.equal(value, problem.value(x[b]))
        for i in range(n):
            alone = problem.gradient(i, x[b])
            assert alone.shape == (d,)
            torch.testing.assert_close(alone, batched[b, i], rtol=1e-9, atol=1e-12 * size)


def test_the_start_is_the_origin():
    problem = logistic(dataset(10, 3), 2, 0.1)
    assert torch.equal(problem.x0, torch.zeros(3, dtype=torch.float64))
    assert float(problem.value(problem.x0)) == pytest.approx(math.log(2), rel=1e-14)


def test_huge_margins_do_not_overflow():
    problem = logistic(dataset(10, 3, scale=1e3), 2, 0.1)
    x = torch.full((2, 3), 1e3, dtype=torch.float64)
    x[1] *= -1
    assert torch.isfinite(problem.value(x)).all()
    assert torch.isfinite(problem.gradients(x)).all()


def test_samples_are_split_in_order_and_the_rest_dropped():
    source = dataset(23, 4)
    problem = logistic(source, 5, 0.1)
    assert problem.signed.shape == (5, 4, 4)
    for i in range(5):
        for k in range(4):
            row = 4 * i + k
            expected = source.y[row] * source.X[row]
            np.testing.assert_array_equal(problem.signed[i, k].numpy(), expected)
    # The dropped rows have no effect.
    X = np.array(source.X)
    X[20:] = 1e6
    other = logistic(Dataset(X, source.y, "other", "generated"), 5, 0.1)
    assert torch.equal(other.signed, problem.signed)


@pytest.mark.parametrize(
    ("name", "n", "m"), [("a9a", 123, 264), ("madelon", 500, 4), ("splice", 60, 16)]
)
def test_table_3(name, n, m):
    problem = logistic(data.load(name), n, 0.1)
    assert (problem.n, problem.m, problem.d) == (n, m, n)


def test_breast_cancer_is_split_like_table_3():
    problem = logistic(data.load("breast_cancer"), 30, 0.1)
    assert (problem.n, problem.m, problem.d) == (30, 569 // 30, 30)


@pytest.mark.parametrize("n", [0, -1, 11])
def test_a_wrong_number_of_clients_is_refused(n):
    with pytest.raises(ValueError, match=r"n_clients must be in \[1, 10\] for made up, got"):
        logistic(dataset(10, 3), n, 0.1)


@pytest.mark.parametrize("reg", [-0.1, math.nan, math.inf])
def test_a_wrong_regulariser_is_refused(reg):
    with pytest.raises(ValueError, match="reg must be at least 0"):
        logistic(dataset(10, 3), 2, reg)


# --- smoothness ----------------------------------------------------------------------------------


def hessians(problem, x):
    """Return the Hessians of all f_i at x, by automatic differentiation of the paper's formula."""

    def loss(x, rows):
        return client_loss(rows, torch.ones(len(rows)).double(), x, problem.reg)

    hessian = torch.func.jacrev(torch.func.grad(loss))
    return torch.func.vmap(hessian, in_dims=(None, 0))(x, problem.signed).numpy()


def largest(matrix):
    return float(np.abs(np.linalg.eigvalsh(matrix)).max())


def adversarial_points(problem):
    """Yield points of large curvature: the origin, zero margins, extremes of the regulariser."""
    d = problem.d
    rng = np.random.default_rng(1)
    yield np.zeros(d)
    yield np.ones(d)  # where the regulariser is most concave
    for size in (0.1, 1.0, 10.0, 1e3):
        yield size * rng.standard_normal(d)
        yield size * (rng.random(d) < 0.5)
    for i in range(problem.n):  # along the rows of one client, and across them
        _, _, right = np.linalg.svd(problem.signed[i].numpy())
        for direction in (right[0], right[-1]):
            yield 3 * direction
            yield 1e3 * direction


@pytest.fixture(scope="module", params=range(6))
def problem(request):
    """Return small problems with heterogeneous clients."""
    sizes = [(12, 3, 2, 0.0), (12, 3, 2, 0.5), (20, 5, 4, 0.05), (8, 1, 3, 2.0), (30, 10, 6, 1e-3)]
    if request.param == 5:
        return logistic(data.load("breast_cancer"), 30, 0.1)
    N, n, d, reg = sizes[request.param]
    made = logistic(dataset(N, d, seed=request.param), n, reg)
    scale = torch.from_numpy(2.0 ** np.random.default_rng(2).integers(-3, 4, n))
    return Logistic(made.signed * scale[:, None, None], reg)


def test_constants_bound_every_hessian(problem):
    # Locally, gradients differ by M_i h: |M_i h| <= L_i |h|, |mean M_i h| <= L_minus |h|,
    # mean |M_i h|^2 <= L_plus^2 |h|^2.
    bounds = problem.smoothness()
    for x in adversarial_points(problem):
        M = hessians(problem, torch.from_numpy(x))
        for matrix, L in zip(M, bounds.L_i, strict=True):
            assert largest(matrix) <= L * (1 + 1e-9)
        assert largest(M.mean(axis=0)) <= bounds.L_minus * (1 + 1e-9)
        assert largest((M @ M).mean(axis=0)) <= bounds.L_plus**2 * (1 + 1e-9)
        variance = (M @ M).mean(axis=0) - M.mean(axis=0) @ M.mean(axis=0)
        assert largest(variance) <= bounds.L_pm**2 * (1 + 1e-9)


def test_constants_bound_every_pair_of_points(problem):
    bounds = problem.smoothness()
    rng = np.random.default_rng(3)
    centres = list(adversarial_points(problem))
    for centre in centres[:40]:
        for size in (1e-4, 0.1, 3.0):
            x = torch.from_numpy(centre)
            y = x + size * torch.from_numpy(rng.standard_normal(problem.d))
            distance = float(((x - y) ** 2).sum())
            change = problem.gradients(x) - problem.gradients(y)
            squares = (change**2).sum(dim=1)
            mean_square = float((change.mean(dim=0) ** 2).sum())
            limit = distance * (1 + 1e-6) + 1e-18
            assert (squares <= torch.tensor(bounds.L_i) ** 2 * limit).all()
            assert mean_square <= bounds.L_minus**2 * limit
            assert float(squares.mean()) <= bounds.L_plus**2 * limit
            assert float(squares.mean()) - mean_square <= bounds.L_pm**2 * limit


def test_constants_are_in_order(problem):
    bounds = problem.smoothness()
    assert len(bounds.L_i) == problem.n
    assert 0 < bounds.L_minus <= bounds.L_plus * (1 + 1e-12)
    assert bounds.L_plus <= math.sqrt(np.mean(np.square(bounds.L_i))) * (1 + 1e-12)
    assert 0 <= bounds.L_pm <= bounds.L_plus
    assert problem.smoothness() == bounds


def test_constants_are_reached_at_the_origin():
    # At zero all sigmoid weights are 1/4 and the regulariser is most convex. For f and each f_i the
    # bound equals the curvature there, so that a bound which is too large would fail.
    problem = logistic(dataset(40, 5), 4, 0.2)
    M = hessians(problem, problem.x0)
    bounds = problem.smoothness()
    assert bounds.L_minus == pytest.approx(largest(M.mean(axis=0)), rel=1e-10)
    assert list(bounds.L_i) == pytest.approx([largest(matrix) for matrix in M], rel=1e-10)


def test_constants_of_one_sample():
    # One row z: H = z z^T / 4 + 2 reg I.
    made = Dataset(np.array([[3.0, 4.0]]), np.array([-1.0]), "one", "generated")
    bounds = logistic(made, 1, 0.5).smoothness()
    assert bounds.L_i == pytest.approx((25 / 4 + 1,))
    assert bounds.L_minus == pytest.approx(25 / 4 + 1)
    assert bounds.L_plus == pytest.approx(25 / 4 + 1)


def test_squaring_the_bound_of_each_hessian_is_no_bound():
    # 0 <= M <= H does not imply M^2 <= H^2. Client 1 has H = A + w w^T, A = [[1, 1], [1, 1]] and
    # w = (0.1, -10), so that H is nearly diagonal. If the row of w has a huge margin, its weight
    # vanishes and M = A. Client 2 has H = M = c e_1 e_1^T with large c, so that the first axis
    # decides: its entry is 2 in M^2 and only 1.02 in H^2. The third coordinate changes only the
    # margin of w.
    m, c, margin = 2, 200.0, 1e-6
    rows = np.zeros((2, m, 3))
    rows[0, 0] = 1, 1, 0
    rows[0, 1] = 0.1, -10, margin
    rows[1, 0] = math.sqrt(c), 0, 0
    rows *= math.sqrt(4 * m)  # H_i = Z_i^T Z_i / (4 m)
    problem = Logistic(torch.from_numpy(rows), reg=0.0)
    x = torch.tensor([0.0, 0.0, 1e9], dtype=torch.float64)

    H = np.einsum("imd,ime->ide", rows, rows) / (4 * m)
    M = hessians(problem, x)
    np.testing.assert_allclose(M[0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]], atol=1e-12)
    assert all(np.linalg.eigvalsh(h - k)[0] >= -1e-12 for h, k in zip(H, M, strict=True))

    squared_bounds = largest((H @ H).mean(axis=0))
    truth = largest((M @ M).mean(axis=0))
    assert truth > squared_bounds * (1 + 1e-5)
    assert truth <= problem.smoothness().L_plus ** 2

    # The same between two points: mean |change of gradient|^2 / |x - y|^2.
    direction = torch.from_numpy(np.linalg.eigh((M @ M).mean(axis=0))[1][:, -1])
    step = 1e-5
    change = problem.gradients(x + step * direction) - problem.gradients(x)
    rate = float((change**2).sum(dim=1).mean()) / step**2
    assert squared_bounds * (1 + 1e-6) < rate <= problem.smoothness().L_plus ** 2
