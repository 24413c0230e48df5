"""Weighted MARINA: its guarantee for sampling, and the output."""

import math

import numpy as np
import pytest

from cqlib import Key, theory
from cqlib.compressors import make
from cqlib.keys import Stream
from cqlib.methods import Trace, gd, weighted_marina
from cqlib.problems import quadratic_hessian_variance, quadratic_smoothness
from tests.helpers import Z, global_generators_untouched, philox, stream_key


def task(noise=2.0, reg=0.0, n=6, d=12):
    return quadratic_smoothness(n, d, noise, reg, seed=1)


def importance(problem):
    L = np.array(problem.smoothness().L_i)
    return tuple((L / L.sum()).tolist())


def sampling(problem, inner, tau=1):
    return make("iscc", inner=make(inner), tau=tau, probabilities=importance(problem))


# --- the method ----------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["identity", "iq", "natural_compression"])
@pytest.mark.parametrize("tau", [1, 3])
def test_with_sampling_it_follows_its_formula(inner, tau):
    problem, p, gamma, seed = task(reg=0.05), 0.3, 0.1, 5
    c = sampling(problem, inner, tau)
    trace = weighted_marina(problem, c, p=p, stepsize=gamma, rounds=25, seed=seed)
    x, sent, full = problem.x0, 0.0, 0
    gradients = problem.gradients(x)
    direction = gradients.mean(dim=0)
    sent += 32 * problem.d
    for t in range(1, 26):
        x = x - gamma * direction
        previous, gradients = gradients, problem.gradients(x)
        mean = gradients.mean(dim=0)
        assert trace.bits[t, 0] == pytest.approx(sent, rel=1e-12)
        assert trace.value[t, 0] == pytest.approx(float(problem.value(x)), rel=1e-9)
        assert trace.grad_norm_sq[t, 0] == pytest.approx(float(mean @ mean), rel=1e-9)
        if Key(seed, t).uniform(Stream.COIN) < p:
            direction, sent, full = mean, sent + 32 * problem.d, full + 1
        else:
            direction = direction + c.mean(gradients - previous, key=Key(seed, t))
            sent += tau * make(inner).bits(problem.d, tau) / problem.n
    assert 3 < full < 15


def test_sampling_of_proportional_clients_is_gradient_descent():
    # Without a regulariser all Hessians are proportional: any drawn client sends the mean change.
    problem = task()
    trace = weighted_marina(
        problem, sampling(problem, "identity"), p=0.05, stepsize=[0.05, 0.2], rounds=40
    )
    descent = gd(problem, stepsize=[0.05, 0.2], rounds=40)
    np.testing.assert_allclose(trace.value, descent.value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(trace.grad_norm_sq, descent.grad_norm_sq, rtol=1e-4)
    assert (trace.bits[-1] < 0.4 * descent.bits[-1]).all()


def guaranteed(problem, c, *, p, gamma, rounds=40, seeds=20):
    """Return the mean of |grad f|^2 over outputs and seeds, and its error, over the bound."""
    runs = [
        weighted_marina(problem, c, p=p, stepsize=gamma, rounds=rounds, seed=seed)
        for seed in range(seeds)
    ]
    means = np.array([run.grad_norm_sq[:-1, 0].mean() for run in runs])
    gap = float(problem.value(problem.x0)) - problem.minimum()
    allowed = 2 * gap / (gamma * rounds)
    return (means.mean() + Z * means.std(ddof=1) / math.sqrt(seeds)) / allowed


@pytest.mark.parametrize("inner", ["identity", "iq", "natural_compression"])
@pytest.mark.parametrize("make_task", [quadratic_smoothness, quadratic_hessian_variance])
@pytest.mark.slow
def test_theorem_2_and_theorem_3(inner, make_task):
    problem = make_task(6, 12, 0.8, 0.05, seed=2)
    c, p = sampling(problem, inner), 0.2
    w = importance(problem)
    s = problem.smoothness(w)
    omega = make(inner).omega(problem.d)
    A, B, _ = c.weighted_ab(problem.n, problem.d)
    assert (A, B) == pytest.approx(theory.sampling_constants(omega=omega), rel=1e-12)
    largest = theory.marina_stepsize(p, A, B, s.L_minus, s.L_plus, s.L_pm)
    simple = theory.iscc_stepsize(p, omega, s.L_minus, s.L_i)
    assert simple <= largest * (1 + 1e-12)
    for gamma in (largest, simple):
        assert guaranteed(problem, c, p=p, gamma=gamma) <= 1


@pytest.mark.parametrize("p", [0.0, -0.5, 1.5, math.nan])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match=rf"p must be in \(0, 1\], got {p}"):
        weighted_marina(task(), make("identity"), p=p, stepsize=0.1, rounds=1)


def test_exactly_one_limit():
    for limits in ({}, {"rounds": 3, "bit_budget": 1000}):
        with pytest.raises(ValueError, match="exactly one of bit_budget and rounds"):
            weighted_marina(task(), make("identity"), p=0.5, stepsize=0.1, **limits)


def test_global_generators_are_left_alone():
    with global_generators_untouched():
        problem = task()
        c = sampling(problem, "iq")
        weighted_marina(problem, c, p=0.5, stepsize=0.1, rounds=5).output_round(seed=3)


# --- the output ----------------------------------------------------------------------------------


def course(rounds):
    return Trace(
        *np.zeros((3, rounds + 1, 2)), stepsize=np.array([0.1, 0.2]), seed=np.array([0, 0])
    )


def test_the_output_round_is_uniform_over_all_but_the_last_iterate():
    T, seeds = 8, 8000
    trace = course(T)
    counts = np.bincount([trace.output_round(seed) for seed in range(seeds)], minlength=T)
    assert len(counts) == T
    error = math.sqrt(seeds / T * (1 - 1 / T))
    assert (np.abs(counts - seeds / T) < Z * error).all()


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 7, 2**64 - 1])
def test_the_output_round_is_a_word_of_its_own_stream(seed):
    word = philox((0, 0, 0, 0), stream_key(seed, round=0, stream=12))[0]
    for T in (1, 2, 7, 1000, 10**5):
        assert course(T).output_round(seed) == word * T // 2**32
    assert course(1).output_round(seed) == 0


def test_the_output_round_is_independent_of_the_coins():
    T, seeds = 4, 4000
    trace = course(T)
    drawn = np.array([trace.output_round(seed) for seed in range(seeds)])
    for t in range(3):
        coins = np.array([Key(seed, t).uniform(Stream.COIN) for seed in range(seeds)])
        correlation = np.corrcoef(drawn, coins)[0, 1]
        assert abs(correlation) < Z / math.sqrt(seeds)
        # The probability of heads does not depend on the output's round.
        for k in range(T):
            heads = coins[drawn == k] < 0.5
            assert abs(heads.mean() - 0.5) < Z * 0.5 / math.sqrt(len(heads))


def test_the_output_round_depends_on_seed_and_length_alone():
    problem = task()
    runs = [
        weighted_marina(problem, c, p=0.2, stepsize=gamma, rounds=30, seed=4)
        for c, gamma in ((make("iq"), 0.1), (make("cq"), [0.01, 0.02]))
    ]
    before = runs[0].value.copy()
    assert runs[0].output_round(4) == runs[1].output_round(4) == course(30).output_round(4)
    np.testing.assert_array_equal(runs[0].value, before)
    assert len({course(1000).output_round(seed) for seed in range(20)}) > 15


def test_without_rounds_there_is_no_output():
    with pytest.raises(ValueError, match="no round was run"):
        course(0).output_round(0)
    with pytest.raises(ValueError, match="seed .*-1"):
        course(3).output_round(-1)
