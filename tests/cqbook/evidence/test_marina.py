"""MARINA step by step, its outcomes, moments and limits, each computed in two ways."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from cqbook.evidence import (
    guarantee_shares,
    isotropic,
    marina_moments,
    marina_outcomes,
    small_cases,
)
from cqbook.evidence.exact_smoothness import symmetric
from cqbook.evidence.figures import marina as figures
from cqbook.evidence.marina_by_hand import Watched, algorithm_1, algorithm_4
from cqlib import methods, problems, theory
from cqlib.compressors import make
from cqlib.theory import Smoothness

HOW = {"p": 0.3, "stepsize": 0.2, "rounds": 12, "seed": 5}


def task(n=4, d=8, noise=0.5):
    return problems.quadratic_hessian_variance(n=n, d=d, noise=noise, reg=0.1, seed=2)


# --- step by step --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["perm_k", "cq", "iscc"])
def test_algorithm_1_is_the_library_s(name):
    watched = Watched(task())
    trace = methods.marina(watched, make(name), **HOW)
    iterates, bits = algorithm_1(task(), make(name), **HOW)
    assert torch.allclose(iterates, torch.stack(watched.seen), rtol=0, atol=1e-12)
    if name != "iscc":  # its bits are an expectation
        assert trace.bits[:, 0].tolist() == bits
    other, _ = algorithm_1(task(), make(name), **{**HOW, "seed": 6})
    assert not torch.allclose(iterates, other, atol=1e-3)


@pytest.mark.parametrize("name", ["perm_k", "cq"])
def test_algorithm_4_is_the_library_s(name):
    path, bits = algorithm_4(task(), make(name), **HOW)
    trace = methods.weighted_marina(task(), make(name), **HOW)
    assert np.allclose(trace.grad_norm_sq[:, 0], path, rtol=1e-9)
    assert np.allclose(trace.bits[:, 0], bits, rtol=1e-12)
    later, _ = algorithm_4(task(), make(name), **{**HOW, "p": 0.9})
    assert not np.allclose(path, later)


# --- every outcome -------------------------------------------------------------------------------


def test_perm_k_by_hand():
    # One compressed round from (1, 0): in each outcome a client sends one coordinate, doubled.
    A, x0 = [symmetric(2, 0, 0), symmetric(0, 0, 0)], np.array([Fraction(1), Fraction(0)])
    # x^1 = 1/2; whole: gradient 1/2. Compressed, client 1 sends place 0: g = 1 - 1 = 0; else 1.
    squares = marina_outcomes.perm_k(A, x0, Fraction(0), Fraction(1, 2), 3)
    assert squares == [1, Fraction(1, 4), Fraction(1, 2) * Fraction(1, 4)]


def test_perm_k_against_float_expectations():
    A = [symmetric(4, 2, -1), symmetric(2, -2, 3)]
    squares = marina_outcomes.perm_k(
        A, np.array([Fraction(1), Fraction(1)]), Fraction(1, 10), Fraction(1, 12), 4
    )
    hessians = np.array([[each.astype(float) for each in A]])
    left, _ = small_cases.marina_guarantee(
        hessians, np.ones((1, 2)), np.array([0.1]), "perm_k", T=4
    )
    assert float(sum(squares) / 4) == pytest.approx(left[0], rel=1e-12)


def test_cq_outcomes_against_runs():
    many, (p, gamma, T) = 400, (0.5, 0.3, 4)
    exact = marina_outcomes.cq_equal_clients(np.array([2.0, 0, 0, 0]), 3, p, gamma, T)[-1]
    _, values = guarantee_shares.sampled(
        guarantee_shares.isotropic(3, 4), make("cq"), p, gamma, rounds=T, runs=many
    )
    assert values.std() > 1e-3  # coordinates at 0 are rounded, too
    assert abs(values.mean() - exact) < 5 * values.std(ddof=1) / many**0.5


# --- isotropic quadratics ------------------------------------------------------------------------


def test_the_limit_is_that_of_the_recursion():
    assert isotropic.limit_solves_recursion()
    for K, p, rho in ((1.5, 0.2, 1.0), (0.3, 0.05, 0.5)):
        gamma = theory.marina_stepsize(p, 1.0, 0.0, 1.0, K, K)
        shares, sides = isotropic.recursion(gamma, p, rho * (K * gamma) ** 2, 3000)
        assert isotropic.limit(1 - gamma, p, rho) == pytest.approx(shares[-1], rel=1e-9)
        if rho == 1:
            assert np.allclose(sides, 1, atol=1e-12)


def test_a_wrong_limit_would_be_found(monkeypatch):
    right = isotropic.limit
    monkeypatch.setattr(isotropic, "limit", lambda s, p, rho: right(s, p, rho) * (1 - s / 99))
    assert not isotropic.limit_solves_recursion()


@pytest.mark.parametrize("multiple", [0.3, 0.9, 1.0, 1.1])
def test_limits_by_stepsize(multiple):
    p = 0.2
    gamma = multiple * marina_moments.largest_stepsize(p, 1.0, 0.0, Smoothness(1.0, 1.0, 1.0))
    shares, _ = isotropic.recursion(gamma, p, gamma**2, 4000)
    assert isotropic.limit_curve(np.array([multiple]), p)[0] == pytest.approx(shares[-1])


def test_stated_multiple():
    p = 0.2
    stated = theory.marina_stepsize(p, 1.0, 0.0, 1.0, 1.0, 1.0)
    largest = marina_moments.largest_stepsize(p, 1.0, 0.0, Smoothness(1.0, 1.0, 1.0))
    assert isotropic.stated_multiple(p) == pytest.approx(stated / largest)


def test_kinds_of_stepsizes():
    K, p = Fraction(2), Fraction(1, 4)
    assert isotropic.stepsize_kind(K, p, Fraction(1, 4)) == "largest"
    assert isotropic.stepsize_kind(K, p, Fraction(2, 7)) == "too large"
    assert isotropic.stepsize_kind(Fraction(3, 2), Fraction(1, 5), Fraction(1, 4)) == "theorem"
    with pytest.raises(ValueError, match="1/9 is a valid stepsize"):
        isotropic.stepsize_kind(K, p, Fraction(1, 9))


def test_branches_of_perm_k_follow_the_recursion():
    K, p, gamma = Fraction(3, 2), Fraction(1, 5), Fraction(1, 4)
    shares, _ = isotropic.recursion(gamma, p, K**2 * gamma**2, 5)
    assert isotropic.branches_agree(K, p, gamma, shares)
    assert not isotropic.branches_agree(K, p, gamma, [*shares[:-1], shares[-1] + 1])


# --- second moments ------------------------------------------------------------------------------

SOLVABLE = {
    "identity": make("identity"),
    "rand_k": make("rand_k", k=4),
    "perm_k": make("perm_k"),
    "iq": make("iq"),
    "drive": make("drive", rotation="uniform"),
    "iscc": make("iscc", inner=make("iq")),
}


@pytest.mark.parametrize("c", SOLVABLE.values(), ids=SOLVABLE)
def test_covariances(c):
    A, v = task().hessians().numpy(), np.random.default_rng(0).standard_normal(8)
    found = marina_moments.covariance(c, A, np.outer(v, v))
    assert np.trace(found) == pytest.approx(c.mse(A @ v), rel=1e-9, abs=1e-12)
    assert np.allclose(found, found.T) and np.linalg.eigvalsh(found)[0] > -1e-9
    # DRIVE has no error in the direction of v, so its covariance for equal clients must have none.
    if c.name == "drive":
        equal = np.tile(np.eye(8), (4, 1, 1))
        assert v @ marina_moments.covariance(c, equal, np.outer(v, v)) @ v == pytest.approx(0)


def test_unknown_covariances_are_refused():
    with pytest.raises(ValueError, match="no covariance of 'cq'; known: identity"):
        marina_moments.covariance(make("cq"), np.ones((1, 2, 2)), np.eye(2))


def test_shares_without_errors_are_those_of_gradient_descent():
    A, z = marina_moments.start(task())
    gamma, T = 0.3, 6
    trace = methods.gd(task(), stepsize=gamma, rounds=T)
    gap = float(task().value(task().x0)) - task().minimum()
    expected = gamma * trace.grad_norm_sq[:T, 0].cumsum() / (2 * gap)
    found = marina_moments.shares(A, z, SOLVABLE["identity"], 0.4, gamma, T)
    assert np.allclose(found, expected)


def test_shares_of_perm_k_are_those_of_all_outcomes():
    A = [symmetric(4, 2, -1), symmetric(2, -2, 3)]
    x0 = np.array([Fraction(1), Fraction(1)])
    squares = marina_outcomes.perm_k(A, x0, Fraction(1, 10), Fraction(1, 12), 5)
    gap = x0 @ ((A[0] + A[1]) / 2) @ x0
    expected = [float(sum(squares[: t + 1]) / 12 / gap) for t in range(5)]
    hessians = np.array([each.astype(float) for each in A])
    found = marina_moments.shares(hessians, np.ones(2), make("perm_k"), 0.1, 1 / 12, 5)
    assert np.allclose(found, expected)


# --- sampled -------------------------------------------------------------------------------------


def test_choices():
    L = Smoothness(1.0, 1.5, 0.5)
    found = guarantee_shares.choose(make("iq"), 40, 8, L)
    assert found.A == 7 / 40 and found.bits == 40 and 0 < found.p < 1
    assert found.stepsize == theory.marina_stepsize(found.p, 7 / 40, 0.0, 1.0, 1.5, 0.5)
    read = guarantee_shares.choose(make("iq"), 4, 8, L, constants="paper", p=0.2)
    assert read.A == 8 / 16 and read.p == 0.2


def test_width_is_one_sided_and_shared():
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    mean, width = guarantee_shares.mean_and_width(values, 0.05, 1)
    assert mean == 2 and width == pytest.approx(2.1318 * (2.5 / 5) ** 0.5, rel=1e-4)
    assert guarantee_shares.mean_and_width(values, 0.05, 10)[1] > width


def test_unbiased_compressors_cannot_be_left_out():
    everyone = [make(name) for name in guarantee_shares.names() if name != "top_k"]
    assert guarantee_shares.biased_names(everyone, 3) == ["top_k"]
    with pytest.raises(ValueError, match="identity is unbiased and left out"):
        guarantee_shares.biased_names([c for c in everyone if c.name != "identity"], 3)


def test_output_draws():
    traces, _ = guarantee_shares.sampled(task(), make("cq"), 0.3, 0.1, rounds=6, runs=3)
    found = guarantee_shares.output_draws(traces, 6, 300)
    rows = np.array([each.grad_norm_sq[:6, 0] for each in traces])
    assert found.expected == pytest.approx(rows.mean())
    assert found.error == pytest.approx((rows.var(axis=1).sum() / 300) ** 0.5 / 3)
    assert 0 < abs(found.drawn - found.expected) < 5 * found.error


# --- figure --------------------------------------------------------------------------------------


def test_the_figure_draws_its_data():

    measured = pd.DataFrame(
        {
            "compressor": ["a", "b"],
            "sampled": [0.8, 0.4],
            "half": [0.1, 0.2],
            "exact": [0.7, np.nan],
        }
    )
    curves = figures.limit_curves(np.linspace(0.1, 1.1, 11), (0.1, 0.01))
    left, right = figures.shares(measured, curves, 9).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["b", "a"]
    assert left.get_xlabel().endswith("after 9 rounds")
    drawn = right.lines[2].get_ydata()
    assert list(drawn) == list(curves.share[curves.p == 0.01]) and len(curves) == 22
