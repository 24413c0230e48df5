"""Runs are pure functions: a member of a batch gives the same as alone, at every repetition."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import torch

from cqlib import Key, data, problems, theory
from cqlib.compressors import average, make
from cqlib.keys import Stream
from cqlib.methods import Progress, Trace, dcgd, descend, diana, marina, weighted_marina
from cqlib.methods.gd import gd_init, gd_step
from cqlib.methods.marina import MarinaMemory, marina_init, marina_step, marina_step_of_seeds
from tests.helpers import global_generators_untouched

SEEDS = (7, 0, 2**63 + 5)  # not sorted
MULTIPLES = (1 / 2, 1 / 8)  # of 1 / L_-
FLOOR = 1e-20  # share of the first squared gradient norm; below it, rounding errors decide
FIELDS = ("bits", "grad_norm_sq", "value", "stepsize", "seed")


@cache
def problem(name):
    if name == "quadratic":
        return problems.quadratic_hessian_variance(n=4, d=12, noise=0.5, reg=0.1, seed=3)
    source = data.load("breast_cancer")
    if name == "logistic":
        return problems.logistic(source, n_clients=10, reg=0.1)
    return problems.network(source, n_clients=6, hidden=2, seed=1)


def run_weighted(task, **options):
    share = np.arange(1.0, task.n + 1)
    c = make("iscc", inner=make("iq"), probabilities=tuple(share / share.sum()))
    return weighted_marina(task, c, p=0.2, **options)


METHODS = {
    "gd": lambda task, **options: descend(task, gd_init, gd_step, **options),
    "dcgd": lambda task, **options: dcgd(task, make("cq"), **options),
    "diana": lambda task, **options: diana(task, make("iq"), **options),
    "marina": lambda task, **options: marina(task, make("cq"), p=0.2, **options),
    "weighted_marina": run_weighted,
}
COINS = ("marina", "weighted_marina")  # the cost of their rounds depends on the seed
methods = pytest.mark.parametrize("method", METHODS)
tasks = pytest.mark.parametrize("task", ["quadratic", "logistic", "network"])


def steps(task, multiples=MULTIPLES):
    return theory.gd_stepsize(task.smoothness().L_minus) * np.array(multiples)


def limit(task):
    """Return the bits of six whole gradients, or ten rounds if a run is slow."""
    return {"rounds": 10} if isinstance(task, problems.Network) else {"bit_budget": 208 * task.d}


@cache
def whole(method, task):
    """Return a batch over all seeds and stepsizes."""
    task = problem(task)
    return METHODS[method](task, stepsize=steps(task), seed=SEEDS, **limit(task))


def assert_identical(a, b):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), strict=True)


def assert_close(a, b):
    """Check that bits, stepsizes and seeds agree, and values up to rounding, down to FLOOR."""
    for field in ("bits", "stepsize", "seed"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), strict=True)
    shown = b.grad_norm_sq > FLOOR * b.grad_norm_sq[0]
    assert shown.sum(axis=0).min() > 5
    np.testing.assert_allclose(a.grad_norm_sq[shown], b.grad_norm_sq[shown], rtol=1e-9)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-9, atol=1e-12 * abs(b.value[0, 0]))


# --- members -------------------------------------------------------------------------------------


@tasks
@methods
def test_a_member_runs_as_if_alone(method, task):
    together, task = whole(method, task), problem(task)
    assert together.seed.tolist() == [seed for seed in SEEDS for _ in MULTIPLES]
    np.testing.assert_array_equal(together.stepsize, np.tile(steps(task), len(SEEDS)))
    for column in range(len(together.seed)):
        seed, gamma = int(together.seed[column]), float(together.stepsize[column])
        alone = METHODS[method](task, stepsize=gamma, seed=seed, **limit(task))
        assert_close(together.select(column), alone)


@methods
def test_seeds_matter_where_there_is_chance(method):
    ends = whole(method, "quadratic").at([np.inf])[0].reshape(len(SEEDS), -1)
    for k, _ in enumerate(MULTIPLES):
        assert len(set(ends[:, k].tolist())) == (1 if method == "gd" else len(SEEDS))


def test_what_marina_sends_depends_on_the_seed_and_not_only_when():
    task = problem("quadratic")
    found = marina(task, make("cq"), p=1e-9, stepsize=0.1, rounds=3, seed=SEEDS)
    assert (found.bits == found.bits[:, :1]).all()  # all coins are the same
    assert len(set(found.grad_norm_sq[-1].tolist())) == len(SEEDS)


@tasks
@methods
def test_the_same_call_gives_the_same_bits(method, task):
    first = whole(method, task)
    task = problem(task)
    METHODS[method](task, stepsize=0.01, rounds=2, seed=99)  # it must not change later runs
    options = {"stepsize": steps(task), "seed": SEEDS, **limit(task)}
    assert_identical(METHODS[method](task, **options), first)
    options["seed"] = np.array(SEEDS, dtype=np.uint64)
    assert_identical(METHODS[method](task, **options), first)


def test_the_order_of_seeds_and_stepsizes_is_that_of_the_columns():
    task = problem("quadratic")
    for seeds in (SEEDS, SEEDS[::-1]):
        for gamma in (steps(task), steps(task)[::-1]):
            found = METHODS["marina"](task, stepsize=gamma, rounds=12, seed=seeds)
            np.testing.assert_array_equal(found.seed, np.repeat(np.array(seeds, np.uint64), 2))
            np.testing.assert_array_equal(found.stepsize, np.tile(gamma, 3))
            for seed in seeds:
                alone = METHODS["marina"](task, stepsize=gamma, rounds=12, seed=seed)
                assert_close(found.of_seed(seed), alone)


@methods
def test_the_number_of_threads_changes_rounding_alone(method):
    # Large enough for PyTorch to use threads, which it does from 2^15 numbers on.
    task = problems.quadratic_hessian_variance(n=64, d=256, noise=0.2, reg=0.1, seed=3)
    options = {"stepsize": steps(task), "rounds": 8, "seed": SEEDS[:2]}
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(METHODS[method](task, **options))
            found.append(METHODS[method](problem("logistic"), **options))
    finally:
        torch.set_num_threads(before)
    assert_close(found[2], found[0])
    assert_close(found[3], found[1])


@methods
def test_global_generators_are_left_alone(method):
    with global_generators_untouched():
        METHODS[method](problem("quadratic"), stepsize=0.1, rounds=3, seed=SEEDS)


# --- seeds that end at different rounds ----------------------------------------------------------


@pytest.mark.parametrize("method", COINS)
def test_shorter_runs_are_padded(method):
    trace, budget = whole(method, "quadratic"), 208 * 12
    there = ~np.isnan(trace.bits)
    for field in ("grad_norm_sq", "value"):
        np.testing.assert_array_equal(~np.isnan(getattr(trace, field)), there)
    # A column that has ended does not restart, and the columns of a seed end together.
    np.testing.assert_array_equal(there, np.logical_and.accumulate(there))
    lengths = there.sum(axis=0).reshape(len(SEEDS), -1)
    assert (lengths == lengths[:, :1]).all()
    assert len(set(lengths[:, 0].tolist())) > 1  # so that some columns are padded
    assert lengths.max() == trace.rounds + 1
    assert not trace.diverged.any()
    ends = np.nanmax(trace.bits, axis=0)
    assert (ends <= budget).all() and (ends > budget - 32 * 12).all()


@pytest.mark.parametrize("method", COINS)
def test_the_run_of_a_seed_has_no_padding(method):
    trace, task = whole(method, "quadratic"), problem("quadratic")
    for seed in SEEDS:
        alone = METHODS[method](task, stepsize=steps(task), seed=seed, **limit(task))
        assert_close(trace.of_seed(seed), alone)
        assert trace.of_seed(seed).rounds == alone.rounds
    for other in (1, -1, 2**64):
        with pytest.raises(ValueError, match=f"no column has seed {other}; the seeds are"):
            trace.of_seed(other)


@pytest.mark.parametrize("method", COINS)
def test_at_goes_by_the_bits_of_each_column(method):
    trace = whole(method, "quadratic")
    every = np.unique(trace.bits[~np.isnan(trace.bits)])
    bits = np.concatenate([every, every[1:] - 0.5, [1e9, np.inf]])  # not sorted
    found = trace.at(bits)
    assert found.shape == (len(bits), len(trace.seed))
    for column in range(len(trace.seed)):
        for k, limit in enumerate(bits):
            within = [t for t in range(trace.rounds + 1) if trace.bits[t, column] <= limit]
            assert found[k, column] == trace.grad_norm_sq[within[-1], column]
    assert trace.best() == np.argmin(found[-1])


def test_a_frame_has_a_row_for_each_iterate():
    trace = whole("marina", "quadratic")
    frame = pd.DataFrame(trace.columns(method="MARINA"))
    assert not frame.isna().any(axis=None)
    assert frame.index.tolist() == list(range(len(frame)))
    assert len(frame) == (~np.isnan(trace.bits)).sum()
    for column in range(len(trace.seed)):
        own = trace.select(column)
        here = (frame.seed == own.seed[0]) & (frame.stepsize == own.stepsize[0])
        part = frame[here]
        assert part["round"].tolist() == list(range(own.rounds + 1))
        for field in ("bits", "grad_norm_sq", "value"):
            np.testing.assert_array_equal(part[field], getattr(own, field)[:, 0])


def test_select_takes_masks_and_indices():
    trace = whole("marina", "quadratic")
    mask = np.array([False, True, False, False, True, False])
    for columns in (mask, [1, 4], np.array([1, 4]), [-5, -2], mask.tolist()):
        found = trace.select(columns)
        rows = ~np.isnan(trace.bits[:, [1, 4]]).all(axis=1)
        for field in FIELDS[:3]:
            np.testing.assert_array_equal(
                getattr(found, field), getattr(trace, field)[rows][:, [1, 4]]
            )
        assert found.seed.tolist() == [SEEDS[0], SEEDS[2]]
        assert found.stepsize.tolist() == trace.stepsize[[1, 4]].tolist()
    backwards = trace.select([4, 1])  # in the given order
    assert_identical(backwards.select([1, 0]), trace.select([1, 4]))
    shortest = int(np.argmin((~np.isnan(trace.bits)).sum(axis=0)))
    assert not np.isnan(trace.select(shortest).bits).any()
    assert trace.select(shortest).rounds < trace.rounds


@pytest.mark.parametrize("wrong", [6, [0, 6], -7, [True, False], [True] * 7])
def test_select_refuses_columns_that_are_not_there(wrong):
    with pytest.raises(IndexError):
        whole("marina", "quadratic").select(wrong)


# --- divergence ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counter:
    """A state, to check that it stays with its member."""

    first: torch.Tensor  # gradient at the start, shape (b, d)
    sums: torch.Tensor  # sum of the gradients so far, shape (b, d)


def explosive(task, factor, **options):
    """Gradient descent with a kind of momentum; seed 1 has ``factor`` times the stepsize."""

    def init(gradients, *, key):
        return step(Counter(average(gradients), 0 * average(gradients)), gradients, key=key)

    def step(memory, gradients, *, key):
        mean = average(gradients)
        longer = factor if key.seed == 1 and key.round >= 3 else 1.0
        direction = longer * (mean + 0.01 * memory.sums + 0.001 * memory.first)
        return Progress(Counter(memory.first, memory.sums + mean), direction, 10.0 + key.seed)

    return descend(task, init, step, **options)


def assert_runs_as_alone(trace, run, seeds):
    for seed in seeds:
        own, alone = trace.of_seed(seed), run(seed=seed)
        for field in FIELDS:
            np.testing.assert_allclose(
                getattr(own, field), getattr(alone, field), rtol=1e-9, strict=True
            )


@pytest.mark.parametrize("limit", [{"rounds": 20}, {"bit_budget": 210}])
@pytest.mark.parametrize("seeds", [(0, 1, 2), (1, 0), (2, 1)])
def test_a_member_that_diverges_changes_no_other(limit, seeds):
    task = problem("quadratic")
    gamma = steps(task, (0.5, 1e-3, 0.2))
    run = partial(explosive, task, 100.0, stepsize=gamma, **limit)
    trace = run(seed=seeds)
    assert not np.isnan(trace.of_seed(1).grad_norm_sq).any()
    for seed in seeds:
        gone = trace.of_seed(seed).diverged.tolist()
        assert gone == ([True, False, True] if seed == 1 else [False] * 3)
    assert_runs_as_alone(trace, run, seeds)
    # The remaining member keeps its state.
    calm = explosive(task, 100.0, stepsize=gamma[1], seed=1, **limit)
    assert_close(trace.select((trace.seed == 1) & (trace.stepsize == gamma[1])), calm)


@pytest.mark.parametrize("limit", [{"rounds": 20}, {"bit_budget": 210}])
@pytest.mark.parametrize("seeds", [(0, 1, 2), (1, 0), (2, 1)])
def test_a_seed_that_diverges_wholly_ends_and_changes_no_other(limit, seeds):
    task = problem("quadratic")
    run = partial(explosive, task, 1e9, stepsize=steps(task, (0.5, 0.1, 0.2)), **limit)
    trace = run(seed=seeds)
    for seed in seeds:
        assert (trace.of_seed(seed).diverged == (seed == 1)).all()
    gone = trace.of_seed(1)
    assert 3 < gone.rounds < 12
    assert np.isinf(gone.grad_norm_sq[-1]).all() and np.isfinite(gone.grad_norm_sq[3]).all()
    assert np.isfinite(gone.bits).all()
    assert np.isinf(trace.at([1e9])[0][trace.seed == 1]).all()
    np.testing.assert_array_equal(trace.diverged, trace.seed == 1)
    assert not pd.DataFrame(trace.columns()).isna().any(axis=None)
    assert_runs_as_alone(trace, run, seeds)


@methods
def test_long_steps_diverge_for_every_seed_and_short_ones_for_none(method):
    task = problem("quadratic")
    gamma = [steps(task)[1], 1e3, 1e150]
    trace = METHODS[method](task, stepsize=gamma, rounds=25, seed=SEEDS)
    assert trace.diverged.tolist() == [False, True, True] * len(SEEDS)
    assert trace.rounds == 25 and not np.isnan(trace.bits).any()
    calm = METHODS[method](task, stepsize=gamma[0], rounds=25, seed=SEEDS)
    assert_close(trace.select(trace.stepsize == gamma[0]), calm)
    wild = METHODS[method](task, stepsize=gamma[1:], rounds=10**6, seed=SEEDS)  # it diverges
    assert wild.diverged.all() and wild.rounds < 25


# --- seeds ---------------------------------------------------------------------------------------


@methods
@pytest.mark.parametrize(
    "wrong",
    [[], [1, 1], [3, 0, 3], -1, [0, -1], 2**64, 0.5, [0, 1.0], True, "0", [[0, 1]], None],
    ids=repr,
)
def test_seeds_are_different_integers(method, wrong):
    with pytest.raises(ValueError, match="seed"):
        METHODS[method](problem("quadratic"), stepsize=0.1, rounds=1, seed=wrong)


def test_a_seed_is_the_same_in_any_type():
    task = problem("quadratic")
    plain = METHODS["marina"](task, stepsize=0.1, rounds=10, seed=3)
    for seed in ([3], (3,), np.int32(3), np.array([3]), range(3, 4)):
        assert_identical(METHODS["marina"](task, stepsize=0.1, rounds=10, seed=seed), plain)
    assert isinstance(plain, Trace) and plain.seed.dtype == np.uint64


# --- messages of all seeds at once ----------------------------------------------------------------


class Own:
    """A random map that takes one key, as a user may write one."""

    def mean(self, X, *, key):
        return X.mean(dim=-2) * (1 + 0.1 * key.uniform(Stream.COIN))

    def bits(self, d, n):
        return 7.0


@pytest.mark.parametrize("p", [1e-9, 0.5, 1.0])
@pytest.mark.parametrize(
    "c", [make("cq"), make("iscc", inner=make("drive")), Own()], ids=["cq", "iscc", "own"]
)
def test_a_step_of_all_seeds_is_the_steps_of_each(c, p):
    torch.manual_seed(0)
    old, new = torch.randn(2, 12, 5, 8, dtype=torch.float64)
    keys = [Key(seed, 3) for seed in range(4) for _ in range(3)]
    before = marina_init(old, key=keys[0]).memory
    found = marina_step_of_seeds(before, new, keys=keys, compressor=c, p=p)
    for i, key in enumerate(keys):
        own = MarinaMemory(before.gradients[i : i + 1], before.direction[i : i + 1])
        wanted = marina_step(own, new[i : i + 1], key=key, compressor=c, p=p)
        assert torch.equal(found.direction[i : i + 1], wanted.direction)
        assert torch.equal(found.memory.gradients[i : i + 1], wanted.memory.gradients)
        assert torch.equal(found.memory.direction[i : i + 1], wanted.memory.direction)
        assert np.broadcast_to(found.bits, len(keys))[i] == wanted.bits
    if p == 0.5:
        assert len(set(np.broadcast_to(found.bits, len(keys)).tolist())) == 2


def test_a_random_map_of_the_user_runs_for_several_seeds():
    task = problem("quadratic")
    options = {"p": 0.3, "stepsize": steps(task), "rounds": 9}
    together = marina(task, Own(), seed=SEEDS, **options)
    for seed in SEEDS:
        assert_close(together.of_seed(seed), marina(task, Own(), seed=seed, **options))
