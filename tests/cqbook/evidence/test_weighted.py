"""Draws of clients, stepsizes and costs of MARINA with ISCC, each against another computation."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from cqbook.evidence import iscc_cost, iscc_stepsizes, weighted
from cqbook.evidence.figures import weighted as figures
from cqbook.evidence.laws import mean_and_error
from cqlib import problems, theory
from cqlib.compressors import make
from cqlib.theory import Smoothness

HALF = Fraction(1, 2)


def task(reg=1.0, n=6, d=5):
    return problems.quadratic_smoothness(n=n, d=d, noise=2.0, reg=reg, seed=1)


# --- draws ---------------------------------------------------------------------------------------


def test_draws_by_hand():
    # Clients (3, 4) and 0: drawn with 1/2 each, sent as (3, 4) or zero; rounded: (+-5, +-5).
    X, q = [[Fraction(3), Fraction(4)], [Fraction(0), Fraction(0)]], [HALF, HALF]
    law = weighted.one_draw(X, q, quantized=False)
    assert law == [(HALF, [3, 4]), (HALF, [0, 0])]
    assert mean_and_error(law, [Fraction(3, 2), Fraction(2)])[1] == Fraction(25, 4)
    rounded = weighted.one_draw(X, q, quantized=True)
    assert rounded[0] == (HALF * Fraction(4, 5) * Fraction(9, 10), [5, 5])
    assert sum(chance for chance, _ in rounded) == 1 and len(rounded) == 5
    two = weighted.mean_of_two(law)
    assert sum(chance for chance, _ in two) == 1
    assert mean_and_error(two, [Fraction(3, 2), Fraction(2)])[1] == Fraction(25, 8)


def test_weighted_terms_by_hand():
    X, w = [[Fraction(2), Fraction(0)], [Fraction(0), Fraction(2)]], [HALF, HALF]
    assert weighted.weighted_mean_square(X, w) == 4  # each client's square, equal weights
    assert weighted.weighted_variance(X, w) == 2
    w = [Fraction(1, 4), Fraction(3, 4)]
    assert weighted.weighted_mean_square(X, w) == (4 * 2 + 4 * Fraction(2, 3)) / 2


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("tau", [1, 2])
def test_lemma_4_is_an_equality(quantized, tau):
    X, q = weighted.draw_case(np.random.default_rng(4), 3, 2)
    assert len({tuple(row) for row in X}) > 1 and len(set(q)) > 1
    assert all(weighted.check_case(X, q, quantized=quantized, tau=tau).values())


def test_a_wrong_law_is_found(monkeypatch):
    X, q = weighted.draw_case(np.random.default_rng(4), 3, 2)
    right = weighted.one_draw

    def too_large(X, q, *, quantized):
        return [(p, [2 * v for v in S]) for p, S in right(X, q, quantized=quantized)]

    monkeypatch.setattr(weighted, "one_draw", too_large)
    found = weighted.check_case(X, q, quantized=False, tau=1)
    assert not (found["unbiased"] or found["equality"] or found["same as library"])
    assert found["spread"]


def test_sampled_draws():
    rng, q = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    X = rng.standard_normal((3, 4)) * np.array([[1], [2], [3]])
    iscc = make("iscc", inner=make("iq"), probabilities=tuple(q))
    found = weighted.sampled_draws(iscc, X, q, rounds=400, seed=0)
    assert found.one_client and found.hits.sum() == 400
    assert (np.abs(found.hits / 400 - q) < 5 * (q * (1 - q) / 400) ** 0.5).all()
    expected = theory.importance_sampling_mse(X, tuple(q), omega=3)
    error = found.errors.std(ddof=1) / 20
    assert abs(found.errors.mean() - expected) < 5 * error
    both = weighted.sampled_draws(make("iq"), X, q, rounds=3, seed=0)
    assert not both.one_client


# --- stepsizes -----------------------------------------------------------------------------------


def test_stepsizes_are_ordered_and_solve_their_equation():
    at, p = iscc_stepsizes.setting(task()), 0.1
    gammas = iscc_stepsizes.stepsizes(at, p)
    assert gammas["Theorem 3"] < gammas["sharper"] < gammas["largest"] < gammas["8 x sharper"]
    gamma, w = gammas["largest"], at.weighted
    used = gamma * at.plain.L_minus + gamma**2 * 9 * (at.omega * w.L_plus**2 + w.L_pm**2)
    assert used == pytest.approx(1)
    mean = np.mean(at.plain.L_i)
    expected = 1 / (at.plain.L_minus + mean * np.sqrt(9 * (at.omega + 1)))
    assert gammas["Theorem 3"] == pytest.approx(expected)


def test_shares_without_compression_are_those_of_gradient_descent():
    quadratic, gammas = task(), np.array([0.05, 0.1])
    found = iscc_stepsizes.shares(quadratic, make("iq"), 1.0, gammas, rounds=5, seeds=2)
    A = quadratic.hessians().numpy().mean(axis=0)
    pull = np.eye(5)[0] * float(quadratic.pull.mean())
    gap = float(quadratic.value(quadratic.x0)) - quadratic.minimum()
    for k, gamma in enumerate(gammas):
        x, total = quadratic.x0.numpy(), 0.0
        for _ in range(5):
            gradient = A @ x - pull
            total, x = total + gradient @ gradient, x - gamma * gradient
        assert np.allclose(found[:, k], gamma * total / (2 * gap))


@pytest.mark.parametrize("reg", [0.0, 0.3, 2.0])
def test_the_closed_form_is_the_library_s(reg):
    at = iscc_stepsizes.setting(task(reg))
    expected = iscc_stepsizes.shifted_formula(task(reg))
    assert at.weighted.L_pm == pytest.approx(expected, abs=1e-6) and (expected > 0.01) == (reg > 0)


def test_only_proportional_clients_have_no_variance():
    scales = [Fraction(1), Fraction(5, 2), Fraction(4)]
    assert iscc_stepsizes.proportional_have_no_variance(scales, 3)
    other = iscc_stepsizes.weighted_variance_matrix(scales, [Fraction(1)] * 3, 3).astype(float)
    T = 2 * np.eye(3) - np.eye(3, k=1) - np.eye(3, k=-1)
    spread = np.var([1, 2.5, 4])
    assert np.allclose(other, spread * T @ T)


def test_largest_gain_is_the_limit_of_the_ratio():
    at, p = iscc_stepsizes.setting(task(0.5)), 1e-12
    gammas, mean = iscc_stepsizes.stepsizes(at, p), np.mean(at.plain.L_i)
    found = iscc_stepsizes.largest_gain(
        at.omega, at.weighted.L_plus / mean, at.weighted.L_pm / mean
    )
    assert gammas["sharper"] / gammas["Theorem 3"] == pytest.approx(found, rel=1e-5)


# --- cost ----------------------------------------------------------------------------------------


def test_cost_and_bounds_agree_with_the_library():
    n, d, omega, message, L_minus, mean = 16, 20, 7.0, 52.0, 2.0, 3.0
    simple = Smoothness(L_minus, mean, mean)
    best = theory.optimal_p(A=omega + 1, B=1.0, d=d, bits=message / n, smoothness=simple)
    rate = min(1, 1 / n + (1 + omega) ** 0.5 * (mean / L_minus) / n**0.5)
    found = iscc_cost.cost_over_rate(n, message / (32 * d), omega, mean / L_minus)
    assert float(found) == pytest.approx(best.factor / rate, rel=1e-6)
    low, high = iscc_cost.bounds(n, d, omega, message, L_minus, mean)
    cost = best.factor * 2 * 32 * d * L_minus  # bits times accuracy^2 over the gap
    assert low <= cost <= high and high == pytest.approx(rate * 2 * d * L_minus * (32 + 2.6))


def test_the_family_by_hand():
    assert iscc_cost.family_is_extreme(3)
    of = theory.smoothness_of_hessians(iscc_cost.family(4))
    assert (of.L_minus, of.L_plus) == (0.25, 0.5) and of.L_i == (1, 0, 0, 0)


def test_another_family_is_not_extreme(monkeypatch):
    monkeypatch.setattr(iscc_cost, "family", lambda n: np.ones((n, 1, 1)))
    assert not iscc_cost.family_is_extreme(3)


def test_gains_on_the_family():
    omega, share = 3.5, 0.04
    plain = iscc_cost.gain(64, omega, share)
    assert iscc_cost.gain(64, omega, share, sharper=True) > plain
    assert iscc_cost.gain(64, omega, share, one_constant=True) > plain
    curve = iscc_cost.gain_curve(np.array([64.0]), omega, share)
    assert plain / 8 <= 1 and curve[0] == pytest.approx(plain, rel=0.02)


def test_relative_costs():
    row = iscc_cost.relative_costs(0.5, n=8, d=6)
    quadratic = problems.quadratic_smoothness(n=8, d=6, noise=0.5, reg=0.0, seed=0)
    expected = theory.optimal_p(A=5 / 8, d=6, bits=38, smoothness=quadratic.smoothness())
    assert row["MARINA+IQ"] == expected.factor and row["noise"] == 0.5
    for name in iscc_cost.inner_compressors():
        assert row[f"ISCC({name}), sharper"] < row[f"ISCC({name}), Theorem 3"]
    L = np.array(quadratic.smoothness().L_i)
    assert row["L_plus_over_mean"] == pytest.approx((L**2).mean() ** 0.5 / L.mean())


# --- figure --------------------------------------------------------------------------------------


def test_the_figure_draws_its_data():
    names = ["noise", *figures._LINES]
    costs = pd.DataFrame([[0.05, 0.5, 0.4, 0.3, 0.2, 0.1], [20, 0.6, 0.5, 0.3, 0.2, 0.1]])
    costs.columns = names
    curves = pd.DataFrame(
        {"n": [1.0, 4.0], "root_n": [1.0, 2.0]} | {name: [1, 1.5] for name in "abcd"}
    )
    left, right = figures.iscc_cost(costs, curves).axes
    assert [line.get_ydata()[0] for line in left.lines[:5]] == [0.5, 0.4, 0.3, 0.2, 0.1]
    assert [line.get_label() for line in right.lines] == ["a", "b", "c", "d", r"$\sqrt{n}$"]
    assert list(right.lines[4].get_ydata()) == [1.0, 2.0]
