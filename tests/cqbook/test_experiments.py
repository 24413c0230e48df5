"""Experiments: contenders and tuning, by hand and by brute force; outcomes by other methods."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cqbook.cells import claims, plotting
from cqbook.experiments import (
    Contender,
    agreement,
    all_descend,
    compare,
    counts,
    every,
    figures,
    gap,
    gd_budget,
    in_words,
    judge,
    outcomes,
    told,
    tune,
    tuning,
)
from cqbook.experiments.outcomes import OUTCOMES
from cqlib import methods, problems, theory
from cqlib.compressors import make
from cqlib.methods import Trace, contenders

TASK = problems.quadratic_hessian_variance(n=8, d=12, noise=0.4, reg=0.05, seed=1)
SPREAD = problems.quadratic_smoothness(n=8, d=12, noise=2.0, reg=0.01, seed=1)
SEEDS = (4, 0, 9, 2, 7)

# Bits and A of Table 4, written out; B = 0.
TABLE_4 = {
    "cq": lambda n, d: (32 + d, d / (4 * n**2)),
    "iq": lambda n, d: (32 + d, d / (4 * n)),
    "drive": lambda n, d: (32 + 2 ** math.ceil(math.log2(d)), (math.pi / 2 - 1) / n),
}


def assert_same(a, b):
    for field in ("bits", "grad_norm_sq", "value", "stepsize", "seed"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


# --- contenders ----------------------------------------------------------------------------------


def least_bits(*, d, bits, A, B, L_minus, L_plus, L_pm):
    """Return the best p of D.2.1 on a dense grid, and its bits over those of gradient descent."""
    p = np.concatenate([10 ** np.linspace(-6, 0, 200_001)[:-1], [1.0]])
    noise = np.sqrt((1 - p) / p * ((A - B) * L_plus**2 + B * L_pm**2))
    cost = (32 * d * p + bits * (1 - p)) * (L_minus + noise) / (32 * d * L_minus)
    return p[np.argmin(cost)], cost.min()


@pytest.mark.parametrize("name", TABLE_4)
@pytest.mark.parametrize("task", [TASK, SPREAD], ids=["variance", "smoothness"])
def test_marina_has_the_p_and_stepsize_of_table_4(name, task):
    bits, A = TABLE_4[name](task.n, task.d)
    s = task.smoothness()
    found = contenders.marina(task, make(name))
    assert found.name == f"MARINA + {name.upper()}" and found.random
    best = theory.optimal_p(A=A, B=0.0, d=task.d, bits=bits, smoothness=s)
    assert (found.p, found.factor) == pytest.approx(best, rel=1e-9)
    noise = math.sqrt((1 - found.p) / found.p * A) * s.L_plus
    assert found.stepsize == pytest.approx(1 / (s.L_minus + noise), rel=1e-12)
    p, factor = least_bits(
        d=task.d, bits=bits, A=A, B=0.0, L_minus=s.L_minus, L_plus=s.L_plus, L_pm=s.L_pm
    )
    assert found.p == pytest.approx(p, rel=1e-3)
    assert factor * (1 - 1e-7) <= found.factor <= factor * (1 + 1e-12)
    options = {"stepsize": [0.1, 0.2], "bit_budget": 1500, "seed": [3, 1]}
    assert_same(found.run(**options), methods.marina(task, make(name), p=found.p, **options))


def test_where_marina_does_not_pay_it_is_gradient_descent():
    # A is so large here that the interior minimum is above the cost of gradient descent.
    task = problems.quadratic_hessian_variance(n=2, d=400, noise=0.0, reg=1e-2, seed=0)
    found = contenders.marina(task, make("iq"))
    assert (found.p, found.factor) == (1.0, 1.0)
    assert found.stepsize == pytest.approx(contenders.gd(task).stepsize, rel=1e-12)


@pytest.mark.parametrize("p_factor", [0.25, 3.0, 1e6])
def test_another_p_comes_with_its_own_stepsize(p_factor):
    best, found = (contenders.marina(TASK, make("iq"), p_factor=f) for f in (1.0, p_factor))
    assert best.p == contenders.marina(TASK, make("iq")).p
    assert found.p == pytest.approx(min(best.p * p_factor, 1), rel=1e-12)
    assert math.isnan(found.factor)  # the prediction is for the best p
    s, (_, A) = TASK.smoothness(), TABLE_4["iq"](TASK.n, TASK.d)
    noise = math.sqrt((1 - found.p) / found.p * A) * s.L_plus
    assert found.stepsize == pytest.approx(1 / (s.L_minus + noise), rel=1e-12)
    options = {"stepsize": 0.1, "bit_budget": 1500, "seed": [3, 1]}
    assert_same(found.run(**options), methods.marina(TASK, make("iq"), p=found.p, **options))


def test_a_given_p_comes_with_its_own_stepsize():
    found = contenders.marina(TASK, make("iq"), p=0.25)
    assert found.p == 0.25 and math.isnan(found.factor)
    best = contenders.marina(TASK, make("iq"))
    same = contenders.marina(TASK, make("iq"), p_factor=0.25 / best.p)
    assert found.stepsize == pytest.approx(same.stepsize, rel=1e-9)


@pytest.mark.parametrize(
    "given", [{"p": 0.0}, {"p": 1.5}, {"p": math.nan}, {"p": 0.5, "p_factor": 2.0}]
)
def test_a_wrong_p_is_refused(given):
    with pytest.raises(ValueError, match="p must be in"):
        contenders.marina(TASK, make("iq"), **given)


@pytest.mark.parametrize("p_factor", [0, -1.0, math.nan])
def test_another_p_is_positive(p_factor):
    with pytest.raises(ValueError, match="p_factor must be positive"):
        contenders.marina(TASK, make("iq"), p_factor=p_factor)


def test_valid_constants_cost_more_than_those_of_table_4():
    for name in ("cq", "iq"):
        A = (TASK.d - 1) / TASK.n  # the valid constant of both if clients differ
        found = contenders.marina(TASK, make(name), constants="valid", name="careful")
        s = TASK.smoothness()
        best = theory.optimal_p(A=A, d=TASK.d, bits=32 + TASK.d, smoothness=s)
        assert found.name == "careful"
        assert (found.p, found.factor) == pytest.approx(best, rel=1e-9)
        assert found.factor > contenders.marina(TASK, make(name)).factor


@pytest.mark.parametrize("inner", ["drive", "iq"])
@pytest.mark.parametrize("task", [TASK, SPREAD], ids=["variance", "smoothness"])
def test_iscc_draws_by_smoothness_and_takes_the_weighted_constants(task, inner):
    n, d, A_i = task.n, task.d, task.hessians().numpy()

    def largest(matrix):
        return np.abs(np.linalg.eigvalsh(matrix)).max()

    L = np.array([largest(A) for A in A_i])
    q = L / L.sum()
    squares = (A_i @ A_i / (n * q)[:, None, None]).mean(axis=0)  # Assumption 7
    mean = A_i.mean(axis=0)
    constants = {
        "L_minus": largest(mean),
        "L_plus": math.sqrt(largest(squares)),
        "L_pm": math.sqrt(largest(squares - mean @ mean)),  # Assumption 8
    }
    bits, omega = TABLE_4[inner](1, d)
    found = contenders.iscc(task, make(inner))
    assert found.name == f"MARINA + ISCC({inner.upper()})" and found.random
    # Lemma 4: A = omega + 1, B = 1; one client in n sends.
    best = theory.optimal_p(
        A=omega + 1, B=1.0, d=d, bits=bits / n, smoothness=theory.Smoothness(**constants)
    )
    assert found.factor == pytest.approx(best.factor, rel=1e-9)
    assert found.p == pytest.approx(best.p, rel=1e-5)
    p, factor = least_bits(d=d, bits=bits / n, A=omega + 1, B=1.0, **constants)
    assert found.p == pytest.approx(p, rel=1e-3)
    assert factor * (1 - 1e-7) <= found.factor <= factor * (1 + 1e-9)
    root = math.sqrt(omega * constants["L_plus"] ** 2 + constants["L_pm"] ** 2)
    slow = constants["L_minus"] + math.sqrt((1 - found.p) / found.p) * root
    assert found.stepsize == pytest.approx(1 / slow, rel=1e-9)
    options = {"stepsize": [0.1, 0.2], "bit_budget": 700, "seed": [3, 1]}
    c = make("iscc", inner=make(inner), probabilities=tuple(q))
    theirs = methods.weighted_marina(task, c, p=found.p, **options)
    np.testing.assert_allclose(found.run(**options).grad_norm_sq, theirs.grad_norm_sq, rtol=1e-9)


@pytest.mark.parametrize("name", TABLE_4)
def test_dcgd_has_the_stepsize_that_descends_for_equal_clients(name):
    _, A = TABLE_4[name](TASK.n, TASK.d)
    found = contenders.dcgd(TASK, make(name))
    assert found.name == f"DCGD + {name.upper()}" and found.random
    assert found.stepsize == pytest.approx(1 / (TASK.smoothness().L_minus * (1 + A)), rel=1e-12)
    assert math.isnan(found.p) and math.isnan(found.factor)
    options = {"stepsize": [0.1, 0.2], "bit_budget": 1500, "seed": [3, 1]}
    assert_same(found.run(**options), methods.dcgd(TASK, make(name), **options))


def test_dcgd_may_go_further_where_b_is_positive():
    # PermK has A = B = 1 for n = d: for equal clients it has no error.
    task = problems.quadratic_hessian_variance(n=12, d=12, noise=0.0, reg=0.05, seed=1)
    A, B, _ = make("perm_k").ab(12, 12, constants="paper")
    assert A == B > 0
    found = contenders.dcgd(task, make("perm_k"))
    assert found.stepsize == pytest.approx(1 / task.smoothness().L_minus, rel=1e-12)


def test_gradient_descent_is_the_yardstick():
    found = contenders.gd(TASK)
    assert (found.name, found.p, found.factor, found.random) == ("GD", 1.0, 1.0, False)
    assert found.stepsize == pytest.approx(1 / TASK.smoothness().L_minus, rel=1e-12)
    trace = found.run(stepsize=[0.1, 0.2], bit_budget=1500, seed=[3, 1])
    assert_same(trace, methods.gd(TASK, stepsize=[0.1, 0.2], bit_budget=1500))


# --- tuning: made-up methods whose results are a table -------------------------------------------

BUDGET = 96.0


def made_up(score, *, random=True, calls=None):
    """Return a method with value score(power, seed) at the budget, and another order elsewhere."""

    def run(*, stepsize, bit_budget, seed):
        seeds, powers = list(seed), np.log2(np.asarray(stepsize) / 3).round().astype(int)
        if calls is not None:
            calls.append((powers.tolist(), seeds))
        ends = np.array([score(int(k), s) for s in seeds for k in powers])
        # Before and after the budget the order is reversed: only values at the budget may count.
        rows = [np.full(len(ends), 1e3), 1 / ends, ends, 1 / ends]
        bits = np.repeat([[0.0], [bit_budget / 2], [bit_budget], [bit_budget + 1]], len(ends), 1)
        norms = np.stack(rows)
        return Trace(
            bits, norms, norms, np.tile(stepsize, len(seeds)), np.repeat(seeds, len(powers))
        )

    return Contender("made up", run, 3.0, random=random)


def tuned(score, powers, *, seeds=(0,), coordinates=1, **options):
    return tune(
        made_up(score, **options),
        powers=powers,
        bit_budget=BUDGET,
        seeds=seeds,
        coordinates=coordinates,
    )


@pytest.mark.parametrize("best", [-20, -19, -7, -1, 0, 1, 2, 6, 19, 20])
@pytest.mark.parametrize("powers", [[0], [0, 1, 2], [2, 0, 1, 1]])
def test_the_search_goes_on_beyond_either_edge(best, powers):
    found = tuned(lambda power, seed: 2.0 ** abs(power - best), powers)
    assert found.multiple == 2.0**best
    assert found.powers == tuple(sorted(set(found.powers)))
    assert set(powers) <= set(found.powers)
    inside = found.powers[0] < best < found.powers[-1]
    assert inside or abs(best) == 20
    assert max(map(abs, found.powers)) <= 20


def test_two_more_are_tried_at_an_edge_and_none_within():
    calls = []
    found = tuned(lambda power, seed: 2.0 ** abs(power - 3), [0, 1, 2], calls=calls)
    assert [powers for powers, _ in calls] == [[0, 1, 2], [3, 4]]
    assert found.powers == (0, 1, 2, 3, 4)
    calls.clear()
    tuned(lambda power, seed: 2.0 ** abs(power + 2), [0, 1, 2], calls=calls)
    assert [powers for powers, _ in calls] == [[0, 1, 2], [-2, -1], [-4, -3]]
    calls.clear()
    tuned(lambda power, seed: 2.0 ** abs(power - 1), [0, 1, 2], calls=calls)
    assert [powers for powers, _ in calls] == [[0, 1, 2]]
    calls.clear()
    tuned(lambda power, seed: 2.0**-power, [17], calls=calls)
    assert [powers for powers, _ in calls] == [[17], [15, 16, 18, 19], [20]]


@pytest.mark.parametrize("draw", range(40))
def test_the_choice_has_the_least_median_at_the_budget(draw):
    rng = np.random.default_rng(draw)
    table = rng.choice([0.5, 1.0, 2.0, 3.0, 5.0, math.inf], (41, 4)).tolist()
    powers, seeds = rng.integers(-20, 21, 1 + draw % 4).tolist(), 1 + draw // 4 % 4
    with np.errstate(divide="ignore"):
        found = tuned(lambda power, seed: table[power + 20][seed], powers, seeds=range(seeds))
    medians = {}
    for power in found.powers:
        ordered = sorted(table[power + 20][:seeds])
        middle = ordered[(seeds - 1) // 2], ordered[seeds // 2]
        medians[power] = (middle[0] + middle[1]) / 2
    chosen = found.powers[found.chosen]
    assert medians[chosen] == min(medians.values())
    assert found.multiple == 2.0**chosen
    assert found.powers[0] < chosen < found.powers[-1] or abs(chosen) == 20
    assert list(found.powers) == sorted(set(found.powers))
    for k, power in enumerate(found.powers):
        assert found.finals[k].tolist() == table[power + 20][:seeds]
        assert found.traces[k][0].stepsize.tolist() == [3 * 2.0**power]


def test_the_median_is_not_the_mean():
    scores = {0: [1.0, 1.0, 1e6], 1: [2.0, 2.0, 2.0], -1: [9.0, 9.0, 1e-9]}
    found = tuned(
        lambda power, seed: scores.get(power, [50.0] * 3)[seed], [-1, 0, 1], seeds=[0, 1, 2]
    )
    assert found.multiple == 1.0


def test_astray_is_the_share_that_ends_no_lower_than_it_began():
    ends = {0: [1.0, 999.0, 1.0, 1.0], 1: [1e3, 5.0, math.inf, 1e4], 2: [math.inf] * 4}
    with np.errstate(divide="ignore"):
        found = tuned(
            lambda power, seed: ends.get(power, [2.0] * 4)[seed], [0, 1, 2], seeds=range(4)
        )
    assert found.powers == (-2, -1, 0, 1, 2)
    assert found.astray.tolist() == [0, 0, 0, 0.75, 1]
    assert found.multiple == 1.0


def test_a_method_without_chance_runs_once():
    calls = []
    found = tuned(
        lambda power, seed: 2.0 ** abs(power), [-1, 0, 1], seeds=SEEDS, random=False, calls=calls
    )
    assert calls == [([-1, 0, 1], [SEEDS[0]])]
    assert found.finals.shape == (3, 1)


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 5), (600, [2, 2, 1]), (10**9, [5])])
def test_seeds_keep_their_order_in_batches_of_any_size(monkeypatch, batch, sizes):
    monkeypatch.setattr(tuning, "_BATCH", batch)
    calls = []
    found = tuned(
        lambda power, seed: (2.0 + seed) ** abs(power) + seed / 16,
        [-1, 0, 1],
        seeds=SEEDS,
        coordinates=100,  # times three powers: 300 per seed
        calls=calls,
    )
    assert [len(seeds) for _, seeds in calls] == sizes
    assert [seed for _, seeds in calls for seed in seeds] == list(SEEDS)
    for k, power in enumerate((-1, 0, 1)):
        for trace, seed in zip(found.traces[k], SEEDS, strict=True):
            assert trace.seed.tolist() == [seed] and trace.stepsize.tolist() == [3 * 2.0**power]
        assert found.finals[k].tolist() == [(2.0 + s) ** abs(power) + s / 16 for s in SEEDS]


def test_there_are_powers_and_seeds():
    for powers, seeds in (([], [0]), ([0], [])):
        with pytest.raises(ValueError, match="one or more powers and seeds"):
            tuned(lambda power, seed: 1.0, powers, seeds=seeds)


# --- tuning: real methods ------------------------------------------------------------------------


@cache
def alone(contender, power, seed, budget):
    """Return a single run."""
    return contender.run(stepsize=contender.stepsize * 2.0**power, bit_budget=budget, seed=seed)


@cache
def real(name):
    return contenders.marina(TASK, make(name))


def reached(trace, bits):
    """Return the squared gradient norm of the last iterate within some bits, by a loop."""
    own = [t for t in range(trace.rounds + 1) if trace.bits[t, 0] <= bits]
    return trace.grad_norm_sq[own[-1], 0]


@pytest.mark.parametrize("batch", [1, 10**9])
def test_tuning_is_brute_force_over_runs_alone(monkeypatch, batch):
    monkeypatch.setattr(tuning, "_BATCH", batch)
    contender, budget = real("cq"), 32 * 12 * 6
    found = tune(contender, powers=[0, 1], bit_budget=budget, seeds=SEEDS, coordinates=96)
    ends = np.array(
        [[reached(alone(contender, k, s, budget), budget) for s in SEEDS] for k in found.powers]
    )
    np.testing.assert_allclose(found.finals, ends, rtol=1e-9)
    assert found.chosen == np.argmin(np.sort(ends, axis=1)[:, 2])
    assert 0 < found.chosen < len(found.powers) - 1
    assert (found.astray == (ends >= found.traces[0][0].grad_norm_sq[0, 0]).mean(axis=1)).all()
    bits = np.array([0.0, 500.0, 1234.0, budget])
    curves = found.curves(bits)
    for k, power in enumerate(found.powers):
        for s, seed in enumerate(SEEDS):
            own = [reached(alone(contender, power, seed, budget), b) for b in bits]
            np.testing.assert_allclose(curves[:, k, s], own, rtol=1e-9)


def test_the_budget_is_where_tuned_gradient_descent_has_lost_the_decades():
    L = TASK.smoothness().L_minus
    powers, most = (-1, 0, 1), 40
    start = float((TASK.gradients(TASK.x0).mean(dim=0) ** 2).sum())
    x, lost = [TASK.x0] * 3, []
    for _ in range(most + 1):  # by hand, all three stepsizes
        gradients = [TASK.gradients(each).mean(dim=0) for each in x]
        least = min(float((g**2).sum()) for g in gradients)
        lost.append(math.log10(start / least))
        x = [a - 2.0**k / L * g for a, g, k in zip(x, gradients, powers, strict=True)]
    for decades in (0.1, 0.7, 1.0, lost[17] - 1e-9, lost[17] + 1e-9, 2.0):
        rounds = next(t for t, value in enumerate(lost) if value >= decades)
        found = gd_budget(TASK, decades=decades, most_rounds=most, powers=powers)
        assert found.bits == 32 * TASK.d * rounds
        assert found.decades == pytest.approx(lost[rounds], rel=1e-9)
        for fewest in (0, 1, 15, 16, 17, 18, 33, most):
            found = gd_budget(
                TASK, decades=decades, most_rounds=most, powers=powers, fewest_rounds=fewest
            )
            assert found.bits == 32 * TASK.d * max(rounds, fewest)
            assert found.decades == pytest.approx(lost[max(rounds, fewest)], rel=1e-9)
    capped = gd_budget(TASK, decades=50, most_rounds=most, powers=powers)
    assert capped.bits == 32 * TASK.d * most
    assert capped.decades == pytest.approx(lost[most], rel=1e-9)


@pytest.mark.parametrize(("fewest", "most"), [(-1, 5), (6, 5), (0, 0)])
def test_the_budget_lies_between_its_limits(fewest, most):
    with pytest.raises(ValueError, match="fewest_rounds.*most_rounds"):
        gd_budget(TASK, decades=1, most_rounds=most, powers=[0], fewest_rounds=fewest)


def test_the_budget_is_just_enough_for_tuned_gradient_descent():
    powers = (0, 1)
    bits, decades = gd_budget(TASK, decades=2, most_rounds=500, powers=powers)
    trace = methods.gd(
        TASK, stepsize=contenders.gd(TASK).stepsize * 2.0 ** np.array(powers), rounds=500
    )
    start = trace.grad_norm_sq[0, 0]
    assert trace.at([bits]).min() == pytest.approx(start * 10**-decades, rel=1e-9)
    assert trace.at([bits]).min() <= start / 100 < trace.at([bits - 1]).min()


# --- comparison ----------------------------------------------------------------------------------

START = float((TASK.gradients(TASK.x0).mean(dim=0) ** 2).sum())
MILLION = 10**6  # the seeds of the k-th contender's new runs begin at k millions
FRESH = 5  # number of new seeds; tuning has three


def scripted(name, course, *, random=True):
    """Return a method with the course(k), pairs (bits, share of START), on its k-th new seed.

    This is at its best stepsize. Half of it makes no progress, all others diverge. On the seeds of
    the tuning the same stepsize is best, with other results.
    """

    def run(*, stepsize, bit_budget, seed):
        columns = []
        for own in seed:
            fresh = own >= MILLION
            for gamma in stepsize:
                steps = [(0.0, 1.0), *(course(own % MILLION) if fresh else [(7.0, 0.97)])]
                if gamma != 1.0:
                    end = 1.0 if gamma < 1.0 else math.inf
                    steps = [(bits, 1.0 if bits == 0 else end) for bits, _ in steps]
                columns.append([step for step in steps if step[0] <= bit_budget])
        longest = max(map(len, columns))
        table = np.full((2, longest, len(columns)), np.nan)
        for k, column in enumerate(columns):
            table[:, : len(column), k] = np.array(column).T
        norms = START * table[1]
        return Trace(
            table[0], norms, norms, np.tile(stepsize, len(seed)), np.repeat(seed, len(stepsize))
        )

    return Contender(name, run, 1.0, p=0.25, factor=0.5, random=random)


def scripted_comparison(*others, setting=None, gd=((240.0, 0.1), (480.0, 0.01))):
    return compare(
        setting or {"s": 0.5, "name": "x"},
        TASK,
        [scripted("GD", lambda k: gd, random=False), *others],
        powers=[-1, 0, 1],
        bit_budget=480.0,
        seeds=3,
        fresh_seeds=FRESH,
    )


def test_a_comparison_needs_names_and_gradient_descent_and_seeds():
    gd, cq = contenders.gd(TASK), real("cq")
    options = {"powers": [0], "bit_budget": 1000.0}
    for wrong in ([], [cq], [gd, gd], [gd, cq, replace(cq, p=0.5)]):
        with pytest.raises(ValueError, match="different names with 'GD' among them"):
            compare({}, TASK, wrong, seeds=1, fresh_seeds=1, **options)
    for seeds, fresh in ((0, 1), (1, 0), (-1, 1)):
        with pytest.raises(ValueError, match=f"seeds={seeds}, fresh_seeds={fresh}"):
            compare({}, TASK, [gd], seeds=seeds, fresh_seeds=fresh, **options)


def test_the_choice_is_made_without_the_fresh_runs():
    def score(power, seed):  # what tunes best is the worst afterwards
        return 2.0 ** abs(power - 1) if seed < MILLION else 2.0 ** -abs(power - 1)

    calls = {name: [] for name in ("GD", "a", "b")}
    rivals = [
        replace(made_up(score, random=name != "GD", calls=calls[name]), name=name) for name in calls
    ]
    options = {"powers": [0, 1], "bit_budget": BUDGET, "seeds": 3, "fresh_seeds": 4}
    found = compare({}, TASK, rivals, **options)
    # All candidates run on the seeds of the tuning, then only the choice on its new seeds.
    assert calls["GD"] == [([0, 1], [0]), ([-1, 2, 3], [0]), ([1], [MILLION])]
    for k, name in ((2, "a"), (3, "b")):
        fresh = [k * MILLION + j for j in range(4)]
        assert calls[name] == [([0, 1], [0, 1, 2]), ([-1, 2, 3], [0, 1, 2]), ([1], fresh)]
        assert [trace.seed.tolist() for trace in found.runs[name]] == [[seed] for seed in fresh]
    assert len(found.runs["GD"]) == 1 and list(found.runs) == list(found.tuned) == list(calls)
    assert [each.multiple for each in found.tuned.values()] == [2.0] * 3
    np.testing.assert_allclose(found.finals().log10, -math.log10(START), rtol=1e-12)


def test_no_two_contenders_share_a_seed():
    gd = contenders.gd(TASK)
    rivals = [real("cq"), gd, *(replace(real("iq"), name=str(k)) for k in range(3))]
    found = compare({}, TASK, rivals, powers=[0], bit_budget=800.0, seeds=8, fresh_seeds=8)
    finals = found.finals()
    used = finals[finals.method != "GD"].seed.tolist()  # which uses no seed
    assert len(used) == len(set(used)) == 4 * 8
    for tuned in found.tuned.values():
        tried = [int(trace.seed[0]) for traces in tuned.traces for trace in traces]
        assert set(tried) == (set(range(8)) if tuned.contender.random else {0})
        assert not set(used) & set(tried)
    # The same method under three names, with different seeds.
    assert len({tuple(finals[finals.method == str(k)].log10) for k in range(3)}) == 3


def test_other_contenders_change_nothing_but_the_seeds():
    gd, cq, iq = contenders.gd(TASK), real("cq"), real("iq")
    options = {"powers": [0, 1], "bit_budget": 32 * 12 * 4, "seeds": 3, "fresh_seeds": 3}
    found = {
        order: compare({}, TASK, order, **options)
        for order in ((gd, cq, iq), (gd, iq, cq), (cq, gd), (gd, cq))
    }
    seen = {}
    for order, comparison in found.items():
        for k, contender in enumerate(order, start=1):
            own = comparison.tuned[contender.name]
            first = found[gd, cq, iq].tuned[contender.name]
            assert own.powers == first.powers and own.chosen == first.chosen
            np.testing.assert_array_equal(own.finals, first.finals)
            traces = comparison.runs[contender.name]
            for one, other in zip(traces, seen.setdefault((contender, k), traces), strict=True):
                assert_same(one, other)
            for j, trace in enumerate(traces):
                power = own.powers[own.chosen]
                lone = alone(contender, power, k * MILLION + j, options["bit_budget"])
                np.testing.assert_allclose(trace.at([800.0]), lone.at([800.0]), rtol=1e-9)
    assert {(c.name, k) for c, k in seen} == {
        *(("GD", k) for k in (1, 2)),
        *(("MARINA + CQ", k) for k in (1, 2, 3)),
        *(("MARINA + IQ", k) for k in (2, 3)),
    }


def test_all_contenders_are_tuned_alike():
    gd, cq = contenders.gd(TASK), real("cq")
    budget = 32 * 12 * 6
    options = {"powers": [0, 1], "bit_budget": budget}
    found = compare({"s": 1}, TASK, [cq, gd], seeds=5, fresh_seeds=2, **options)
    assert list(found.tuned) == ["MARINA + CQ", "GD"]
    assert found.start == pytest.approx(START, rel=1e-12)
    for contender in (gd, cq):
        own = tune(contender, seeds=range(5), coordinates=96, **options)
        np.testing.assert_array_equal(found.tuned[contender.name].finals, own.finals)
    assert found.tuned["GD"].finals.shape[1] == 1


def test_the_size_of_a_batch_is_that_of_the_problem(monkeypatch):
    sizes = []
    other = scripted("other", lambda k: [(100.0, 0.1)])

    def run(**options):
        sizes.append(len(options["seed"]))
        return other.run(**options)

    # A batch holds three members: one seed at three stepsizes, or three seeds at the chosen one.
    monkeypatch.setattr(tuning, "_BATCH", 3 * TASK.n * TASK.d)
    scripted_comparison(replace(other, run=run))
    assert sizes == [1, 1, 1, 3, 2]


LEVELS = ["lowest", "lower_quartile", "median", "upper_quartile", "highest"]


def test_curves_are_quantiles_over_the_fresh_seeds_and_candidates_over_the_others():
    contender, budget = real("iq"), 32 * 12 * 6
    found = compare(
        {"n": 8, "s": 0.4},
        TASK,
        [contenders.gd(TASK), contender],
        powers=[0, 1],
        bit_budget=budget,
        seeds=3,
        fresh_seeds=FRESH,
    )
    curves, candidates = found.curves(points=9), found.candidates(points=9)
    known = ["n", "s", "method", "multiple"]
    assert list(curves) == [
        *(*known, "bits_per_client"),
        *("median", "lower_quartile", "upper_quartile", "lowest", "highest"),
    ]
    assert list(candidates) == [*known, "chosen", "bits_per_client", "median"]
    assert curves.method.tolist() == ["GD"] * 9 + ["MARINA + IQ"] * 9
    for table in (curves, candidates):
        assert (table.n == 8).all() and (table.s == 0.4).all()
    for k, (name, part) in enumerate(curves.groupby("method", sort=False), start=1):
        np.testing.assert_array_equal(part.bits_per_client, budget / 8 * np.arange(9))
        own = found.tuned[name]
        assert (part.multiple == own.multiple).all()
        power = own.powers[own.chosen]
        # The quartiles of five values are among the values.
        seeds = range(k * MILLION, k * MILLION + FRESH) if own.contender.random else [0] * FRESH
        runs = [alone(own.contender, power, seed, budget) for seed in seeds]
        expected = [sorted(reached(run, bits) for run in runs) for bits in part.bits_per_client]
        np.testing.assert_allclose(part[LEVELS], expected, rtol=1e-9)
        tried = candidates[candidates.method == name]
        assert tried.multiple.unique().tolist() == own.multiples.tolist()
        assert set(tried[tried.chosen].multiple) == {own.multiple}
        for power, (_, line) in zip(own.powers, tried.groupby("multiple"), strict=True):
            runs = [alone(own.contender, power, seed, budget) for seed in range(3)]
            expected = [
                sorted(reached(run, bits) for run in runs)[1] for bits in part.bits_per_client
            ]
            np.testing.assert_allclose(line["median"], expected, rtol=1e-9)


def test_finals_are_logarithms_with_a_floor_and_a_ceiling():
    ends = [1e-3, 1e-30, 0.0, math.inf, 1e-24]
    other = scripted("other", lambda k: [(100.0, 1e-9), (200.0, ends[k]), (481.0, 1e-15)])
    finals = scripted_comparison(other).finals()
    assert list(finals) == ["s", "name", "method", "multiple", "seed", "log10"]
    assert (finals.s == 0.5).all() and (finals.name == "x").all() and (finals.multiple == 1).all()
    assert finals.method.tolist() == ["GD"] + ["other"] * 5
    assert finals.seed.tolist() == [MILLION, *(2 * MILLION + k for k in range(5))]
    expected = [-2, -3, -24, -24, 16, -24]
    np.testing.assert_allclose(finals.log10, expected, rtol=1e-12)


@pytest.mark.parametrize("gone", [1, 2, 3])
@pytest.mark.parametrize(("end", "shown"), [(math.inf, 1e16), (1e20, 1e16), (0.0, 1e-24)])
def test_curves_have_the_floor_and_the_ceiling_too(gone, end, shown):
    other = scripted("x", lambda k: [(240.0, end if k < gone else 0.01)])
    last = scripted_comparison(other).curves(points=3).query("method == 'x'").iloc[-1]
    expected = START * np.array(sorted([shown] * gone + [0.01] * (FRESH - gone)))
    np.testing.assert_allclose(last[LEVELS].astype(float), expected, rtol=1e-12)


def test_summary_says_when_gradient_descents_result_was_reached():
    courses = {
        # The median of five seeds is that of three.
        "half": lambda k: [(240.0, 0.01 if k < 3 else 0.9)],
        "too few": lambda k: [(240.0, 0.009 if k < 2 else 0.0101)],
        "for a while": lambda k: [(120.0, 1e-3), (360.0, 0.02)],
        "at the end": lambda k: [(480.0, 1e-4)],
        "too late": lambda k: [(100.0, 0.5), (481.0, 1e-4)],
        "staggered": lambda k: [(48.0 * (1 + k), 1e-6)],
    }
    summary = scripted_comparison(*(scripted(*item) for item in courses.items())).summary()
    assert list(summary) == [
        *("s", "name", "method", "p", "predicted", "multiple", "log10_median", "bits_of_gd")
    ]
    assert summary.method.tolist() == ["GD", *courses]
    expected = [1, 0.5, math.nan, 0.25, 1, math.nan, 0.3]
    np.testing.assert_allclose(summary.bits_of_gd, expected, rtol=1e-12)
    medians = [-2, -2, math.log10(0.0101), math.log10(0.02), -4, math.log10(0.5), -6]
    np.testing.assert_allclose(summary.log10_median, medians, rtol=1e-12)
    assert (summary.p == 0.25).all() and (summary.predicted == 0.5).all()
    assert (summary.multiple == 1).all()


def test_what_is_below_the_floor_has_reached_what_is_below_the_floor():
    other = scripted("other", lambda k: [(120.0, 1e-23), (240.0, 1e-25)])
    summary = scripted_comparison(other, gd=[(480.0, 0.0)]).summary()
    assert summary.bits_of_gd.tolist() == [1, 0.5]
    np.testing.assert_allclose(summary.log10_median, -24, rtol=1e-12)


# --- outcomes ------------------------------------------------------------------------------------


def dealt(ours, theirs):
    """Return the exact two-sided p of the rank sum with midranks, over all assignments."""
    pooled = [*ours, *theirs]
    ranks = [
        Fraction(sum(b < a for b in pooled) * 2 + sum(b == a for b in pooled) + 1, 2)
        for a in pooled
    ]
    sums = [sum(hand) for hand in itertools.combinations(ranks, len(ours))]
    seen = sum(ranks[: len(ours)])
    low = Fraction(sum(s <= seen for s in sums), len(sums))
    high = Fraction(sum(s >= seen for s in sums), len(sums))
    return min(1, 2 * min(low, high))


@pytest.mark.parametrize(("k", "m"), [(2, 2), (2, 5), (3, 4), (5, 5), (6, 3)])
def test_p_is_that_of_the_exact_rank_sum_test(k, m):
    rng = np.random.default_rng(100 * k + m)
    for shift in (-2.0, -0.5, 0.0, 1.0, 3.0):
        ours, theirs = rng.standard_normal(k), rng.standard_normal(m) + shift
        expected = stats.mannwhitneyu(ours, theirs, method="exact").pvalue
        assert gap(ours, theirs).p == pytest.approx(expected, rel=1e-12)
        assert gap(theirs, ours).p == pytest.approx(expected, rel=1e-12)


some = st.lists(st.integers(0, 4), min_size=2, max_size=5)


@settings(max_examples=80)
@given(some, some)
def test_p_with_ties_is_that_of_all_deals(ours, theirs):
    found = gap(np.array(ours, dtype=float), np.array(theirs, dtype=float))
    assert found.p == pytest.approx(float(dealt(ours, theirs)), rel=1e-12)


@settings(max_examples=40)
@given(some, some, st.floats(0.01, 0.99))
def test_the_gap_is_the_median_of_all_differences(ours, theirs, level):
    differences = sorted(b - a for a in ours for b in theirs)
    count = len(differences)
    median = (differences[(count - 1) // 2] + differences[count // 2]) / 2
    a, b = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    found = gap(a, b, level=level)
    assert found.median == median
    assert found.low <= found.median <= found.high
    back = gap(b, a, level=level)
    assert (back.median, back.low, back.high) == (-found.median, -found.high, -found.low)


@pytest.mark.parametrize(("k", "m"), [(2, 3), (4, 4), (5, 5), (3, 6)])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.2, 0.5])
def test_the_interval_holds_the_shifts_that_the_test_accepts(k, m, level):
    rng = np.random.default_rng(10 * k + m)
    for _ in range(3):
        ours, theirs = rng.standard_normal(k), 2 * rng.standard_normal(m) + 1
        found = gap(ours, theirs, level=level)
        # p changes only at the differences: one shift between two of them is enough.
        edges = np.sort(np.subtract.outer(theirs, ours).ravel())
        between = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
        for shift in between:
            p = stats.mannwhitneyu(ours, theirs - shift, method="exact").pvalue
            inside = found.low < shift < found.high
            assert inside == (p > level), (shift, p, found)


def test_too_few_runs_have_no_interval():
    few = np.array([1.0, 2.0])
    assert gap(few, few + 100, level=0.05)[1:3] == (-math.inf, math.inf)  # least p: 1 / 3
    assert gap(few, few + 100, level=0.34)[1:3] == (99, 101)
    for a, b in ((few, few[:1]), (few[:1], few), (few, few[:0])):
        with pytest.raises(ValueError, match="two or more runs"):
            gap(a, b)


def table_of(results):
    """Return finals from {(setting, method): log10 of every seed}."""
    return pd.DataFrame(
        [
            {"s": s, "method": method, "seed": seed, "log10": float(value)}
            for (s, method), values in results.items()
            for seed, value in enumerate(values)
        ]
    )


def by_hand(p, level):
    """Holm: the smallest p against level / m, the next against level / (m - 1), until one fails."""
    rejected = set()
    for done, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        if p[k] > level / (len(p) - done):
            break
        rejected.add(k)
    return rejected


def test_who_ends_lower_wins():
    low, high = np.arange(5.0) - 9, np.arange(5.0)
    finals = table_of({(0, "us"): low, (0, "them"): high, (1, "us"): high, (1, "them"): low})
    table = outcomes(finals, ours="us", against=["them"], setting=["s"])
    assert list(table) == ["s", "method", "against", "decades", "low", "high", "p", "outcome"]
    assert table.s.tolist() == [0, 1]
    assert table.decades.tolist() == [9, -9]
    assert table.outcome.tolist() == ["win", "loss"]
    swapped = outcomes(finals, ours="them", against=["us"], setting=["s"])
    assert swapped.outcome.tolist() == ["loss", "win"]
    assert (table.method == "us").all() and (table.against == "them").all()


def unclear(row):
    """Return the outcome of a row without a rejection, from the row's interval."""
    return "tie" if -0.3 <= row.low <= row.high <= 0.3 else "undecided"


def decided(table):
    return table.outcome.isin(["win", "loss"])


def test_equal_results_are_a_tie():
    same = np.full(8, -24.0)
    table = outcomes(
        table_of({(0, "us"): same, (0, "them"): same}), ours="us", against=["them"], setting=["s"]
    )
    assert table[["decades", "low", "high", "p"]].iloc[0].tolist() == [0, 0, 0, 1]
    assert table.outcome.tolist() == ["tie"]


@pytest.mark.parametrize(("far", "outcome"), [(5, "undecided"), (0.1, "tie")])
def test_without_a_difference_in_the_middle_nobody_wins(far, outcome):
    # Most results are equal, and the others favour us: the interval is unbounded.
    ours, theirs = [0, 0, 0, 0, 0, -far, -far], [0, 0, 0, 0, 0, far, far]
    finals = table_of({(0, "us"): ours, (0, "them"): theirs})
    table = outcomes(finals, ours="us", against=["them"], setting=["s"], level=0.2)
    assert table.decades[0] == 0 and table.p[0] < 0.2
    assert table.outcome.tolist() == [outcome]


BEYOND = math.nextafter(0.3, 1)


@pytest.mark.parametrize(
    ("theirs", "outcome"),
    [
        # Against five zeros the interval goes from the smallest to the largest of these.
        ([-0.3, -0.1, 0, 0.1, 0.3], "tie"),
        ([-0.3, -0.1, 0, 0.1, BEYOND], "undecided"),
        ([-BEYOND, -0.1, 0, 0.1, 0.3], "undecided"),
        ([-BEYOND, -0.1, 0, 0.1, BEYOND], "undecided"),
        ([0, 0, 0.1, 0.2, 0.3], "tie"),  # of zeros there are 7: p = 2 (7 over 5) / 252
        ([0, 0, 0.1, 0.2, BEYOND], "undecided"),
        ([0, 0.1, 0.1, 0.2, 0.3], "win"),  # p = 2 (6 over 5) / 252 < 0.05, however small it is
        ([0, -0.1, -0.1, -0.2, -0.3], "loss"),
        ([5.0] * 5, "win"),
    ],
)
def test_a_tie_is_an_interval_within_a_factor_of_two(theirs, outcome):
    finals = table_of({(0, "us"): [0] * 5, (0, "them"): theirs})
    row = outcomes(finals, ours="us", against=["them"], setting=["s"]).iloc[0]
    assert (row.low, row.high) == (min(theirs), max(theirs))
    assert (row.p <= 0.05) == (outcome in ("win", "loss"))
    assert row.outcome == outcome


def test_too_few_runs_decide_nothing():
    finals = table_of({(0, "us"): [-7, -7], (0, "them"): [-7, -7], (0, "others"): [5, 5]})
    table = outcomes(finals, ours="us", against=["them", "others"], setting=["s"])
    assert table.decades.tolist() == [0, 12]
    assert table.outcome.tolist() == ["undecided"] * 2


@pytest.mark.parametrize(("ahead", "outcome"), [(0.1, "tie"), (1.0, "undecided")])
def test_what_is_significant_alone_only_may_be_a_tie(ahead, outcome):
    # p = 2 / 252 everywhere, which is below 0.05 / 6 and above 0.05 / 7.
    for count, expected in ((6, "win"), (7, outcome)):
        ours = np.arange(5) / 100
        results = {}
        for s in range(count):
            results |= {(s, "us"): ours, (s, "them"): ours + ahead}
        table = outcomes(table_of(results), ours="us", against=["them"], setting=["s"])
        assert (table.low > 0).all() and (table.outcome == expected).all()


@pytest.mark.parametrize("level", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_all_comparisons_of_a_table_are_corrected_together(level, seed):
    rng = np.random.default_rng(seed)
    shift = {"us": 0.0, "a": 2.5, "b": -1.5, "c": 1.0}
    finals = table_of(
        {(s, m): rng.standard_normal(5) + mean for s in (3, 1, 2) for m, mean in shift.items()}
    )
    table = outcomes(finals, ours="us", against=["c", "a", "b"], setting=["s"], level=level)
    assert list(zip(table.s, table.against, strict=True)) == [
        (s, m) for s in (3, 1, 2) for m in ("c", "a", "b")
    ]
    for _, row in table.iterrows():
        own = finals[finals.s == row.s]
        ours, theirs = (own[own.method == m].log10.to_numpy() for m in ("us", row.against))
        assert tuple(row[["decades", "low", "high", "p"]]) == gap(ours, theirs, level=level)
    rejected = by_hand(table.p.tolist(), level)
    for k, row in table.iterrows():
        sign = "win" if row.decades > 0 else "loss"
        assert row.outcome == (sign if k in rejected else unclear(row))


def test_holm_goes_through_the_values_in_order():
    # Groups of 7, 6, 5 and 4 separated runs: p = 2 / binomial, not in this order.
    results = {}
    for s, runs in enumerate((5, 4, 7, 6)):
        results |= {(s, "us"): np.arange(runs), (s, "them"): np.arange(runs) + 10.5}
    p = [2 / math.comb(2 * runs, runs) for runs in (5, 4, 7, 6)]
    assert p == pytest.approx([0.00794, 0.02857, 0.00058, 0.00216], rel=1e-2)
    expected = {
        0.05: ["win", "win", "win", "win"],  # 4 p_1, 3 p_2, 2 p_3, p_4 are all below
        0.02: ["win", "undecided", "win", "win"],
        0.01: ["undecided", "undecided", "win", "win"],
        0.005: ["undecided", "undecided", "win", "undecided"],  # 3 p_2 > 0.005
        0.002: [
            "undecided",
            "undecided",
            "undecided",
            "undecided",
        ],  # 4 p_1 > 0.002: all others fail with it
    }
    for level, outcome in expected.items():
        table = outcomes(table_of(results), ours="us", against=["them"], setting=["s"], level=level)
        np.testing.assert_allclose(table.p, p, rtol=1e-12)
        assert table.outcome.tolist() == outcome


def splits(values, size):
    """Yield all splits of the values into ``size`` of ours and the rest."""
    for hand in itertools.combinations(range(len(values)), size):
        rest = [v for k, v in enumerate(values) if k not in hand]
        yield [values[k] for k in hand], rest


@pytest.mark.parametrize("values", [range(6), [0, 0, 0, 1, 1, 2]], ids=str)
def test_equal_methods_seldom_differ_anywhere(values):
    """Check the exact level over all splits of the results, for independent settings."""
    level, total, wrong = 0.2, math.comb(6, 3) ** 2, 0
    deals = Counter((tuple(us), tuple(them)) for us, them in splits(list(values), 3))
    for first, second in itertools.combinations_with_replacement(deals, 2):
        results = {}
        for s, (us, them) in enumerate((first, second)):
            results |= {(s, "us"): us, (s, "them"): them}
        table = outcomes(table_of(results), ours="us", against=["them"], setting=["s"], level=level)
        ways = deals[first] * deals[second] * (1 if first == second else 2)
        wrong += ways * decided(table).any()
    assert wrong <= level * total
    if len(set(values)) == 6:
        assert wrong == 76  # 1 - (1 - 1 / 10)^2 of the 400: the bound is nearly reached


def test_equal_methods_seldom_differ_from_one_they_are_all_compared_with():
    """Check the same if both comparisons use the same results of ours."""
    level, wrong, total = 0.7, 0, 0
    for ours, rest in splits(list(range(6)), 2):
        for first, second in splits(rest, 2):
            finals = table_of({(0, "us"): ours, (0, "a"): first, (0, "b"): second})
            table = outcomes(finals, ours="us", against=["a", "b"], setting=["s"], level=level)
            wrong += decided(table).any()
            total += 1
    assert total == 90 and 0 < wrong <= level * total


def test_several_methods_are_corrected_together():
    rng = np.random.default_rng(1)
    shift = {"us": 0.0, "we": 0.5, "a": 3.0, "b": -1.0}
    finals = table_of(
        {(s, m): rng.standard_normal(5) + mean for s in (1, 0) for m, mean in shift.items()}
    )
    options = {"against": ["a", "b"], "setting": ["s"], "level": 0.1}
    both = outcomes(finals, ours=["us", "we"], **options)
    assert list(zip(both.s, both.method, both.against, strict=True)) == [
        (s, own, other) for s in (1, 0) for own in ("us", "we") for other in ("a", "b")
    ]
    known = ["decades", "low", "high", "p"]
    for own in ("us", "we"):
        one = outcomes(finals, ours=own, **options)
        part = both[both.method == own].reset_index(drop=True)
        pd.testing.assert_frame_equal(part[known], one[known])
    rejected = by_hand(both.p.tolist(), 0.1)
    assert set(both.index[decided(both)]) == rejected and rejected


def test_settings_may_have_several_columns_and_missing_methods():
    low, high = np.arange(5.0) - 9, np.arange(5.0)
    finals = pd.concat(
        [
            table_of({(s, "us"): low, (s, "iq"): high, (s, "gd"): high[:1]}).assign(n=n)
            for s, n in ((math.nan, 1), (0.5, 1), (0.5, 2))
        ]
    )
    finals = finals[(finals.method != "iq") | (finals.n == 1)]
    finals = pd.concat([finals, table_of({(9.0, "cq"): low}).assign(n=3)])
    table = outcomes(finals, ours="us", against=["cq", "iq"], setting=["n", "s"])
    assert list(table)[:4] == ["n", "s", "method", "against"]
    assert table.n.tolist() == [1, 1] and table.against.tolist() == ["iq", "iq"]
    np.testing.assert_array_equal(table.s, [math.nan, 0.5])


def test_what_cannot_be_compared_is_refused():
    finals = table_of({(0, "us"): [1, 2, 3], (1, "iq"): [1, 2, 3]})
    with pytest.raises(ValueError, match="no runs of drive; known: us, iq"):
        outcomes(finals, ours="us", against=["drive"], setting=["s"])
    with pytest.raises(ValueError, match="no setting has runs of both 'us' and one of"):
        outcomes(finals, ours="us", against=["iq", "us"], setting=["s"])
    with pytest.raises(ValueError, match="must be finite"):
        gap(np.array([1.0, math.inf]), np.array([1.0, 2.0]))


def test_many_seeds_are_no_trouble():
    found = gap(np.arange(30.0), np.arange(30.0) + 0.5)
    expected = stats.mannwhitneyu(np.arange(30.0), np.arange(30.0) + 0.5, method="exact").pvalue
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_a_budget_needs_a_stepsize_that_does_not_diverge():
    task = problems.quadratic_hessian_variance(n=16, d=16, noise=0.0, reg=1e-3, seed=0)
    with pytest.raises(ValueError, match=r"diverges with all of the powers \[6\]"):
        gd_budget(task, decades=4, most_rounds=100, powers=[6])
    with pytest.raises(ValueError, match="decades must be positive, got 0"):
        gd_budget(task, decades=0, most_rounds=100, powers=[0])


def test_a_gradient_of_exactly_zero_is_far_enough():
    task = problems.quadratic_hessian_variance(n=4, d=1, noise=0.0, reg=1.0, seed=0)
    assert gd_budget(task, decades=4, most_rounds=100, powers=[0]).bits == 32


def test_counts_of_outcomes_and_their_words():
    rows = [("IQ", 0, "win"), ("IQ", 1, "win"), ("IQ", 1, "loss"), ("GD", 0, "tie")]
    rows += [("DRIVE", s, outcome) for s in range(2) for outcome in ("loss", "tie", "undecided")]
    table = pd.DataFrame([*rows, ("PermK", 0, "undecided")], columns=["against", "s", "outcome"])
    found = counts(table)
    assert list(found) == list(OUTCOMES) == ["win", "tie", "undecided", "loss"]
    assert found.loc["IQ"].tolist() == [2, 0, 0, 1]
    assert found.loc["GD"].tolist() == [0, 1, 0, 0]
    assert found.loc["DRIVE"].tolist() == [0, 2, 2, 2]
    assert found.to_numpy().sum() == len(table)
    assert {label: in_words(found, label) for label in found.index} == {
        "IQ": "2 wins, 1 loss",
        "GD": "1 tie",
        "DRIVE": "2 ties, 2 undecided, 2 losses",
        "PermK": "1 undecided",
    }
    by_two = counts(table, by=["against", "s"])
    assert by_two.loc[("IQ", 1)].tolist() == [1, 0, 0, 1] and len(by_two) == 6
    assert in_words(by_two, ("IQ", 1)) == "1 win, 1 loss"
    # Every outcome has a column, even if no row has this outcome.
    assert counts(table[table.against == "GD"]).to_numpy().tolist() == [[0, 1, 0, 0]]
    assert in_words(found, "nobody") == "nothing compared"


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([True], "reproduced"),
        ([True, True], "reproduced"),
        ([False, True], "partly reproduced"),
        ([True, False, False], "partly reproduced"),
        ([False], "not reproduced"),
        ([False, False], "not reproduced"),
        ([None], "undecided"),
        ([True, None], "undecided"),
        ([None, False], "undecided"),
        ([True, None, False], "partly reproduced"),
    ],
)
def test_the_verdict_on_a_claim_of_several_parts(parts, verdict):
    for kind in (bool, np.bool_):
        typed = {str(k): part if part is None else kind(part) for k, part in enumerate(parts)}
        assert agreement(typed) == verdict
        answers = [line.rpartition(": ")[2] for line in told(typed).split("; ")]
        assert answers == [{True: "yes", False: "no", None: "undecided"}[part] for part in parts]
    assert verdict in claims.VERDICTS


# outcome, low, high, ahead, not behind
ROWS = [
    ("win", 0.5, 1.0, True, True),
    ("win", 0.05, 0.2, True, True),
    ("tie", -0.2, 0.2, False, True),
    ("loss", -1.0, -0.5, False, False),
    ("loss", -0.2, -0.05, False, False),
    ("undecided", -1.0, 1.0, None, None),
    ("undecided", -0.2, 1.0, None, True),
    ("undecided", -1.0, 0.2, False, None),
]


@pytest.mark.parametrize("row", ROWS)
def test_a_setting_is_judged(row):
    *facts, ahead, not_behind = row
    table = pd.DataFrame([facts], columns=["outcome", "low", "high"])
    for where in ("everywhere", "mostly", "somewhere"):
        assert judge(table, "ahead", where) is ahead
        assert judge(table, "not behind", where) is not_behind


@pytest.mark.parametrize("rows", list(itertools.product(ROWS[::2], repeat=3)))
def test_settings_are_judged_together(rows):
    """Against the definition: what is true for all ways to decide the undecided."""
    table = pd.DataFrame([row[:3] for row in rows], columns=["outcome", "low", "high"])
    for place, claim in ((3, "ahead"), (4, "not behind")):
        answers = [(row[place],) if row[place] is not None else (True, False) for row in rows]
        ways = [sum(way) for way in itertools.product(*answers)]
        for where, least in (("everywhere", 3), ("mostly", 2), ("somewhere", 1)):
            found = {way >= least for way in ways}
            expected = found.pop() if len(found) == 1 else None
            assert judge(table, claim, where) is expected


@pytest.mark.parametrize(
    ("answers", "found"),
    [([True, True], True), ([True, None], None), ([None, False, True], False)],
)
def test_every_answer(answers, found):
    assert every(answers) is found


def test_no_answers_cannot_be_combined():
    with pytest.raises(ValueError, match="no answers"):
        every([])


def test_no_setting_cannot_be_judged():
    with pytest.raises(ValueError, match="no setting to judge"):
        judge(pd.DataFrame({"outcome": [], "low": [], "high": []}), "ahead")


def test_methods_that_stand_still_are_seen():
    rows = [("a", "GD", -1.0), ("a", "CQ", -2.0), ("a", "CQ", -2.0), ("b", "GD", -1.0)]
    finals = pd.DataFrame(rows, columns=["data", "method", "log10"])
    assert all_descend(finals, ["data"])
    worse = pd.concat([finals, pd.DataFrame([("b", "CQ", 0.0)], columns=finals.columns)])
    assert not all_descend(worse, ["data"])


# --- figures -------------------------------------------------------------------------------------


def some_courses():
    """Names with a fixed style, and one without; and all names in order."""
    names = ("MARINA + CQ", "DCGD + CQ", "another")
    return [
        scripted("MARINA + CQ", lambda k: [(100.0, 0.1), (300.0, 1e-5 * (1 + k))]),
        scripted("DCGD + CQ", lambda k: [(100.0, 0.1), (300.0, 0.05)]),
        scripted("another", lambda k: [(200.0, 0.2)]),
    ], ["GD", *names]


def panels(settings=(0.0, 0.5, 1.0), across=2):
    courses, names = some_courses()
    curves = pd.concat(
        [
            scripted_comparison(*courses, setting={"n": 8, "s": s}).curves(points=25)
            for s in settings
        ]
    )
    fig = figures.panels(
        curves, by=["n", "s"], title=lambda key: f"n = {key['n']}, s = {key['s']}", across=across
    )
    return fig, curves, names


def candidates(across=3):
    courses, names = some_courses()
    table = scripted_comparison(*courses).candidates(points=25)
    return figures.candidates(table, across=across), table, names


def test_a_panel_for_every_setting():
    fig, curves, names = panels()
    drawn = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title() for ax in drawn] == [
        "n = 8, s = 0.0",
        "n = 8, s = 0.5",
        "n = 8, s = 1.0",
    ]
    assert all(ax.get_yscale() == "log" and ax.get_xlim()[0] == 0 for ax in drawn)
    # Labels are at the left of every row and below the last panel of every column.
    assert [bool(ax.get_ylabel()) for ax in drawn] == [True, False, True]
    assert [bool(ax.get_xlabel()) for ax in drawn] == [False, True, True]
    legend = [text.get_text() for text in fig.legends[0].get_texts()]
    assert legend == names and len(fig.legends) == 1
    for ax, s in zip(drawn, (0.0, 0.5, 1.0), strict=True):
        assert [line.get_label() for line in ax.lines] == names
        assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == len(names)
        for line in ax.lines:
            part = curves[(curves.s == s) & (curves.method == line.get_label())]
            np.testing.assert_array_equal(line.get_xdata(), part.bits_per_client / 1000)
            np.testing.assert_array_equal(line.get_ydata(), part["median"])
        assert len(ax.collections) == len(names)  # the bands


def test_a_panel_for_every_method():
    fig, table, names = candidates()
    drawn = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title() for ax in drawn] == names
    assert all(ax.get_yscale() == "log" for ax in drawn)
    assert [bool(ax.get_ylabel()) for ax in drawn] == [True, False, False, True]
    assert [bool(ax.get_xlabel()) for ax in drawn] == [False, True, True, True]
    for ax, name in zip(drawn, names, strict=True):
        part = table[table.method == name]
        assert len(ax.lines) == part.multiple.nunique()
        assert all(np.isfinite(line.get_ydata()).all() for line in ax.lines)
        widths = [line.get_linewidth() for line in ax.lines]
        bold = ax.lines[int(np.argmax(widths))]
        assert widths.count(max(widths)) == 1
        np.testing.assert_array_equal(bold.get_ydata(), part[part.chosen]["median"])
        powers = sorted(text.get_text() for text in ax.texts)
        assert powers == sorted([r"$\mathbf{2^{0}}$", "$2^{-1}$", "$2^{1}$"])


@pytest.mark.parametrize("draw", [panels, candidates])
def test_the_same_figure_is_the_same_bytes(draw):
    def svg():
        fig, table, _ = draw()
        return plotting.show(fig, "figure", data=table, caption="").svg

    assert svg() == svg()


@pytest.mark.parametrize(("count", "across"), [(1, 1), (1, 4), (2, 4), (4, 2), (5, 3)])
def test_no_panel_is_empty_or_without_labels(count, across):
    fig, _, _ = panels(settings=tuple(range(count)), across=across)
    drawn = [ax for ax in fig.axes if ax.axison]
    assert len(drawn) == count
    assert sum(bool(ax.get_xlabel()) for ax in drawn) == min(count, across)
    assert sum(bool(ax.get_ylabel()) for ax in drawn) == -(-count // across)


def test_a_method_looks_the_same_in_every_figure():
    alone_, among = (
        figures._styles(names)
        for names in (["MARINA + CQ"], ["new", "GD", "MARINA + CQ", "newer", "DCGD + CQ"])
    )
    assert alone_["MARINA + CQ"] == among["MARINA + CQ"]
    assert len({look["color"] for look in among.values()}) == 5
