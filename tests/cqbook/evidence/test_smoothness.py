"""Constants of quadratics and of logistic regression: fractions, quotients, bounds."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import sympy as sp
import torch

from cqbook.evidence import affine_terms, exact_smoothness, generated_tasks, logistic_bounds
from cqbook.evidence.exact_smoothness import symmetric
from cqbook.evidence.figures import smoothness as figures
from cqbook.evidence.quotients import (
    gradient_error,
    quotients,
    scattered_pairs,
    shares,
    steepest,
)
from cqlib import data, problems
from cqlib.problems.quadratic import Quadratic
from cqlib.theory import Smoothness

# --- fractions -----------------------------------------------------------------------------------


def test_constants_by_hand():
    # diag(2, 1) and diag(2, 0): mean diag(2, 1/2), mean square diag(4, 1/2), variance diag(0, 1/4).
    found = exact_smoothness.squared_constants([symmetric(2, 0, 1), symmetric(2, 0, 0)])
    assert found == (4, 4, Fraction(1, 4)) and exact_smoothness.in_order(found)


def test_irrational_eigenvalues_are_refused():
    with pytest.raises(ValueError, match="irrational: 2 "):
        exact_smoothness.largest_eigenvalue(symmetric(1, 1, -1))


@pytest.mark.parametrize("broken", [(9, 4, 4), (1, 4, 2), (1, 4, 5)])
def test_constants_out_of_order_are_found(broken):
    assert not exact_smoothness.in_order(exact_smoothness.SquaredConstants(*map(Fraction, broken)))


def test_another_library_would_be_found(monkeypatch):
    A = [symmetric(3, 0, -1), symmetric(2, 3, -2)]
    assert exact_smoothness.library_agrees(A)
    off = Smoothness(3.0, 11**0.5, 2.0 + 1e-9)
    monkeypatch.setattr(exact_smoothness, "smoothness_of_hessians", lambda _: off)
    assert not exact_smoothness.library_agrees(A)


@pytest.mark.parametrize(
    ("matrix", "semi", "definite"),
    [
        ((2, 1, 2), True, True),
        ((1, 1, 1), True, False),
        ((-1, 0, -1), False, False),
        ((1, 2, 1), False, False),
    ],
)
def test_signs_of_eigenvalues(matrix, semi, definite):
    M = symmetric(*matrix)
    spectrum = np.linalg.eigvalsh(M.astype(float))
    assert (spectrum.min() > -1e-12, spectrum.min() > 1e-12) == (semi, definite)
    assert exact_smoothness.is_positive(M) == semi
    assert exact_smoothness.is_positive(M, definite=True) == definite


def test_a_bent_client_by_hand():
    # Two clients, 2 u u^T apart: variance (u u^T)^2 = 5 u u^T, whose eigenvalue is 25.
    bent, base = symmetric(2 + 2, 1 + 4, 5 + 8), symmetric(2, 1, 5)
    assert exact_smoothness.squared_variance([bent, base]) == 25
    assert exact_smoothness.one_bent_client(2, Fraction(2))


# --- quotients -----------------------------------------------------------------------------------


def task(n=5, d=4):
    return problems.quadratic_smoothness(n=n, d=d, noise=1.0, reg=0.5, seed=3)


@pytest.mark.parametrize("weights", [None, (0.1, 0.2, 0.3, 0.15, 0.25)])
def test_quotients_of_quadratics(weights):
    quadratic, rng = task(), np.random.default_rng(0)
    x, v = rng.standard_normal((2, 7, 4))
    found = quotients(quadratic, x, v, weights)
    H = quadratic.hessians().numpy()
    w = np.full(5, 0.2) if weights is None else np.array(weights)
    for k in range(7):
        change = [A @ v[k] for A in H]
        plus = sum(c @ c / (25 * q) for c, q in zip(change, w, strict=True))
        mean = sum(change) / 5
        expected = np.array([mean @ mean, plus, plus - mean @ mean]) / (v[k] @ v[k])
        assert np.allclose([each[k] for each in found], expected, rtol=1e-10)
        one = quotients(quadratic, x[k], v[k], weights)
        assert np.allclose(one, expected, rtol=1e-10)
    constants = quadratic.smoothness(weights)
    assert max(part.max() for part in shares(found, constants)) <= 1 + 1e-12
    steep = steepest(H, weights)
    attained = shares(quotients(quadratic, 0 * steep, steep, weights), constants)
    assert np.allclose([attained[k][k] for k in range(3)], 1, atol=1e-9)


def test_scattered_pairs_are_as_many_and_differ():
    pairs = list(scattered_pairs(np.random.default_rng(1), 3, 50))
    sizes = np.array([[np.linalg.norm(x), np.linalg.norm(v)] for x, v in pairs])
    assert len(pairs) == 50 and (sizes.max(axis=0) / sizes.min(axis=0) > 100).all()


class Wrong(Quadratic):
    """A problem with wrong gradients."""

    def gradients(self, x):
        return 1.001 * super().gradients(x)


def test_a_wrong_gradient_is_found():
    right, x = task(), np.random.default_rng(2).standard_normal(4)
    wrong = Wrong(right.scale, right.shift, right.pull, right.d)
    assert gradient_error(right, x) < 1e-12
    assert gradient_error(wrong, x) == pytest.approx(1e-3)


# --- generated tasks -----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [5, 6])
def test_generated_tasks_pass(algorithm):
    rng = np.random.default_rng(0)
    found = generated_tasks.check_task(algorithm, n=4, d=6, noise=0.5, reg=0.1, seed=1, rng=rng)
    assert found == generated_tasks.TaskCheck(
        True, True, True, True if algorithm == 5 else None, 0, True
    )


def test_a_negative_mean_has_no_formula_of_plus():
    seeds = [s for s in range(40) if _mean_of_scales(s) < 0]
    rng = np.random.default_rng(0)
    found = generated_tasks.check_task(5, n=2, d=4, noise=3.0, reg=0.1, seed=seeds[0], rng=rng)
    assert found.formula_of_plus is None and found.formulas


def _mean_of_scales(seed):
    return float(generated_tasks.MAKERS[5](n=2, d=4, noise=3.0, reg=0.1, seed=seed).scale.mean())


def test_too_small_constants_are_found(monkeypatch):
    whole = Quadratic.smoothness

    def halved(self, weights=None):
        found = whole(self, weights)
        return Smoothness(found.L_minus, found.L_plus, found.L_pm / 2, found.L_i)

    monkeypatch.setattr(Quadratic, "smoothness", halved)
    rng = np.random.default_rng(0)
    found = generated_tasks.check_task(6, n=4, d=6, noise=0.5, reg=0.1, seed=1, rng=rng)
    assert not (found.as_matrices or found.formulas or found.attained) and found.exceeded > 0


def test_formula_by_hand():
    # d = 2: theta = pi/6, cos^2 = 3/4, cos 2 theta = 1/2; nu = 1, 3.
    scale = torch.tensor([0.25, 0.75], dtype=torch.float64)
    quadratic = Quadratic(scale, 0.5, torch.zeros(2, dtype=torch.float64), 2)
    assert np.allclose(generated_tasks.formula(quadratic), [2.0, np.hypot(2, 0.75), 0.75])
    assert np.allclose(generated_tasks.formula(quadratic, 0.1)[::2], [0.1 + 2 * 0.5, 0.75])


def test_another_minimum_is_found(monkeypatch):
    quadratic = problems.quadratic_hessian_variance(3, 5, 0.5, 0.1, 0)
    assert generated_tasks.minimum_holds(quadratic, np.random.default_rng(0))
    least = quadratic.minimum()
    monkeypatch.setattr(Quadratic, "minimum", lambda _: least * 1.001)
    assert not generated_tasks.minimum_holds(quadratic, np.random.default_rng(0))


# --- affine terms --------------------------------------------------------------------------------


def test_variance_of_polynomials():
    x1, x2 = affine_terms.VARIABLES
    phi, t = x1**3 + x1 * x2, sp.Symbol("t")
    alike = [phi, phi + x1 - 2 * x2, phi + 4]
    bent = [alike[0] + t / 2 * (x1 + 2 * x2) ** 2, *alike[1:]]
    assert affine_terms.variance_polynomial(alike) == 0
    found = affine_terms.variance_polynomial(bent)
    assert sp.expand(found - affine_terms.one_client_bent(t, 3)) == 0
    assert sp.expand(found - affine_terms.one_client_bent(t, 4)) != 0


def test_variances_of_quadratics():
    # Gradients 2x and 0 at x, spread (1/2)(x^2 + x^2) = x^2; differences x - y each way.
    def values(x):
        return torch.stack([(x**2).sum(), 0 * x.sum()])

    x, y = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 1.0])
    largest, least = affine_terms.variances(values, [(x, y)])
    assert largest == pytest.approx(1.0) and least == pytest.approx(1.0)


def test_labels_do_not_matter():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((6, 3))
    rows = torch.from_numpy(rng.choice([-1.0, 1.0], (4, 6, 1)) * samples)
    pulls = torch.from_numpy(rng.standard_normal((4, 3)))
    pairs = [[torch.from_numpy(rng.standard_normal(3)) for _ in range(2)] for _ in range(5)]
    same, apart = affine_terms.variances(affine_terms.own_functions(rows, pulls, 0.1), pairs)
    assert same < 1e-24 and apart > 0.1
    other = rows.clone()
    other[0, 0] *= 2
    assert affine_terms.variances(affine_terms.own_functions(other, pulls, 0.1), pairs)[0] > 1e-8


# --- logistic regression -------------------------------------------------------------------------


def test_sharp_examples():
    variance = logistic_bounds.sharp_variance(0.1)
    assert np.allclose(variance, [0, 1 / 16, 1 / 16], atol=1e-5)
    direction = np.linalg.eigh(np.array([[91.0, -30.0], [-30.0, 90.0]]))[1][:, -1]
    low, found, high = logistic_bounds.squares_are_no_bound(direction)
    assert low * 1.02 < found < high


def test_bounds_rows_and_orders():
    samples = data.load("breast_cancer")
    row = logistic_bounds.bounds_row(samples, 5, 0.1)
    assert logistic_bounds.bounds_in_order(row["lower"], row["upper"])
    assert row["m"] == samples.n_samples // 5 and row["to"] == pytest.approx(
        row["ratio"] * row["L_+ from"]
    )
    alone = logistic_bounds.bounds_row(samples, 1, 0.1)
    assert alone["L_pm from"] == 0 and np.isnan(alone[" ratio"])
    orders = {"in order": np.arange(samples.n_samples), "back": np.arange(samples.n_samples)[::-1]}
    table = logistic_bounds.by_order(samples, orders, [1, 5], 0.1)
    first = table[(table.samples == "in order") & (table.n == 5)].iloc[0]
    assert first.lower == pytest.approx(row["L_pm from"] / row["L_-"])
    assert not np.isclose(*table.lower[table.n == 5])


@pytest.mark.parametrize("name", ["L_minus", "L_plus", "L_pm"])
def test_bounds_out_of_order_are_found(name):
    low = Smoothness(1.0, 1.1, 0.5, (1.2,))
    high = {"L_minus": 1.0, "L_plus": 1.2, "L_pm": 0.6, "L_i": (1.2,)}
    assert logistic_bounds.bounds_in_order(low, Smoothness(**high))
    assert not logistic_bounds.bounds_in_order(low, Smoothness(**(high | {name: 0.4})))


# --- figure --------------------------------------------------------------------------------------


def test_the_figure_draws_its_data():

    left = np.array([[0.0, 1.0, 1.0, 0.0], [2.0, 1.0, 2.0, 1.5]])
    right = pd.DataFrame(
        [(name, n, n / 10, n / 5) for name in "abc" for n in (1, 10)],
        columns=["samples", "n", "lower", "upper"],
    )
    fig = figures.constants(left, right, ("one", "two"))
    one, two = fig.axes
    assert [list(line.get_ydata()) for line in one.lines] == left[:, 1:].T.tolist()
    assert list(two.lines[1].get_ydata()) == [0.2, 2.0] and two.get_title() == "two"


def test_the_trend_is_told():
    up, down = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    assert figures.trend({"a": up}).endswith("the less alike the clients are")
    assert figures.trend({"a": up, "b": down}).endswith("in 2 of 4 cases")
    assert figures.trend({"a": np.array([*range(10), 8.0])}).endswith("on the whole")
