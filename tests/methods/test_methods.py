"""GD and MARINA: the numbers of the algorithm, the bits, and the guarantee."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cqlib import Key, data, theory
from cqlib.compressors import make
from cqlib.data import Dataset
from cqlib.keys import Stream
from cqlib.methods import Trace, by_bytes, gd, marina, marina_by_bytes
from cqlib.payload import Payload
from cqlib.problems import logistic
from cqlib.theory import Smoothness
from tests.helpers import Z

CASES = [make(name) for name in ("identity", "iq", "cq", "perm_k", "terngrad")]
CASES += [make("cq", ranks="permutation"), make("rand_k", k=5)]
UNBIASED = [c for c in CASES if c.unbiased]
every = pytest.mark.parametrize("c", UNBIASED, ids=repr)


@dataclass(frozen=True, eq=False)
class Quadratic:
    """f_i(x) = x^T A_i x / 2 - b_i^T x, with all constants known exactly."""

    A: torch.Tensor  # (n, d, d), symmetric
    b: torch.Tensor  # (n, d)
    x0: torch.Tensor  # (d,)

    @property
    def n(self):
        return self.A.shape[0]

    @property
    def d(self):
        return self.A.shape[1]

    def value(self, x):
        quadratic = torch.einsum("...i,ij,...j->...", x, self.A.mean(dim=0), x) / 2
        return quadratic - x @ self.b.mean(dim=0)

    def gradients(self, x):
        return torch.einsum("nij,...j->...ni", self.A, x) - self.b

    def gradient(self, i, x):
        return self.A[i] @ x - self.b[i]

    def value_and_gradients(self, x):
        return self.value(x), self.gradients(x)

    def smoothness(self):
        mean, squares = self.A.mean(dim=0), (self.A @ self.A).mean(dim=0)

        def largest(matrix):
            return float(torch.linalg.eigvalsh(matrix).abs().max())

        return Smoothness(
            L_minus=largest(mean),
            L_plus=math.sqrt(largest(squares)),
            L_pm=math.sqrt(largest(squares - mean @ mean)),
            L_i=tuple(map(largest, self.A)),
        )

    def infimum(self):
        solution = torch.linalg.solve(self.A.mean(dim=0), self.b.mean(dim=0))
        return float(self.value(solution))


def quadratic(n=8, d=16, noise=0.5, seed=0):
    """Tridiagonal tasks of different scale and shift, as in the paper's generators."""
    rng = np.random.default_rng(seed)
    T = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    scale = 1 + noise * rng.standard_normal((n, 1, 1))
    A = scale * T / 4
    A = A + (1e-2 - np.linalg.eigvalsh(A.mean(axis=0))[0]) * np.eye(d)
    b = np.zeros((n, d))
    b[:, 0] = (noise * rng.standard_normal(n) - 1) / 4
    x0 = np.zeros(d)
    x0[0] = math.sqrt(d)
    return Quadratic(torch.from_numpy(A), torch.from_numpy(b), torch.from_numpy(x0))


@functools.cache
def breast_cancer():
    return logistic(data.load("breast_cancer"), n_clients=30, reg=0.1)


def assert_equal(a, b):
    for field in ("bits", "grad_norm_sq", "value", "stepsize"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


# --- gradient descent ----------------------------------------------------------------------------


def test_gd_follows_its_formula():
    problem = quadratic()
    trace = gd(problem, stepsize=[0.3, 0.7], rounds=20)
    assert trace.bits.shape == trace.grad_norm_sq.shape == trace.value.shape == (21, 2)
    assert trace.rounds == 20
    np.testing.assert_array_equal(trace.stepsize, [0.3, 0.7])
    for column, gamma in enumerate((0.3, 0.7)):
        x = problem.x0
        for t in range(21):
            gradient = problem.gradients(x).mean(dim=0)
            assert trace.bits[t, column] == 32 * problem.d * t
            assert trace.value[t, column] == pytest.approx(float(problem.value(x)), rel=1e-12)
            square = float(gradient @ gradient)
            assert trace.grad_norm_sq[t, column] == pytest.approx(square, rel=1e-10)
            x = x - gamma * gradient


def test_gd_keeps_its_guarantee():
    problem = breast_cancer()
    gamma = theory.gd_stepsize(problem.smoothness().L_minus)
    trace = gd(problem, stepsize=gamma, rounds=200)
    assert (np.diff(trace.value[:, 0]) < 0).all()
    for T in (1, 10, 200):
        gap = trace.value[0, 0] - trace.value[T, 0]  # at most f(x^0) - inf f
        assert trace.grad_norm_sq[:T, 0].mean() <= 2 * gap / (gamma * T) * (1 + 1e-12)


# --- MARINA --------------------------------------------------------------------------------------


def coins(seed, rounds, p):
    """Return, for each round, True if it sends whole gradients: the first, then by the coin."""
    later = (Key(seed, t).uniform(Stream.COIN) < p for t in range(1, rounds))
    return [True, *later][:rounds]


@every
def test_marina_follows_its_formula(c):
    problem, p, gamma, seed = quadratic(n=4, d=6), 0.3, 0.2, 12
    trace = marina(problem, c, p=p, stepsize=gamma, rounds=25, seed=seed)
    x, previous, sent = problem.x0, None, 0.0
    for t, whole in enumerate([*coins(seed, 25, p), None]):
        gradients = problem.gradients(x)
        mean = gradients.mean(dim=0)
        assert trace.bits[t, 0] == sent
        assert trace.value[t, 0] == pytest.approx(float(problem.value(x)), rel=1e-9)
        assert trace.grad_norm_sq[t, 0] == pytest.approx(float(mean @ mean), rel=1e-9)
        if whole is None:
            break
        if whole:
            direction, sent = mean, sent + 32 * problem.d
        else:
            direction = direction + c.mean(gradients - previous, key=Key(seed, t))
            sent += c.bits(problem.d, problem.n)
        x, previous = x - gamma * direction, gradients
    assert 3 < sum(coins(seed, 25, p)) < 15  # both kinds of rounds occur


def test_identity_is_gradient_descent_up_to_float32():
    problem = breast_cancer()
    descent = gd(problem, stepsize=[0.05, 0.1], rounds=50)
    trace = marina(problem, make("identity"), p=0.1, stepsize=[0.05, 0.1], rounds=50)
    np.testing.assert_array_equal(trace.bits, descent.bits)
    np.testing.assert_allclose(trace.value, descent.value, rtol=1e-6)
    np.testing.assert_allclose(trace.grad_norm_sq, descent.grad_norm_sq, rtol=1e-5)
    assert (trace.value != descent.value).any()  # some rounds were compressed


@every
def test_p_one_is_gradient_descent(c):
    problem = breast_cancer()
    trace = marina(problem, c, p=1, stepsize=[0.05, 0.1], rounds=20, seed=3)
    assert_equal(trace, gd(problem, stepsize=[0.05, 0.1], rounds=20))


@every
def test_same_seed_same_trace(c):
    problem = breast_cancer()
    runs = [
        marina(problem, c, p=0.1, stepsize=[0.1, 0.2], rounds=15, seed=seed) for seed in (5, 5, 6)
    ]
    assert_equal(runs[0], runs[1])
    assert (runs[0].value[2:] != runs[2].value[2:]).any()


@every
def test_a_member_of_a_sweep_runs_as_if_alone(c):
    problem = breast_cancer()
    stepsizes = [0.02, 0.05, 0.1, 0.4]
    together = marina(problem, c, p=0.2, stepsize=stepsizes, rounds=25, seed=2)
    for column, gamma in enumerate(stepsizes):
        alone = marina(problem, c, p=0.2, stepsize=gamma, rounds=25, seed=2)
        for field in ("bits", "grad_norm_sq", "value"):
            np.testing.assert_allclose(
                getattr(together, field)[:, column], getattr(alone, field)[:, 0], rtol=1e-9
            )


@every
def test_bits_are_those_of_the_coins(c):
    problem, p = quadratic(n=4, d=5), 0.35
    for seed in (0, 1, 2**40):
        trace = marina(problem, c, p=p, stepsize=0.1, rounds=40, seed=seed)
        per_round = [
            32 * problem.d if whole else c.bits(problem.d, 4) for whole in coins(seed, 40, p)
        ]
        np.testing.assert_array_equal(trace.bits[:, 0], np.cumsum([0, *per_round]))


@settings(max_examples=25)
@given(st.floats(0, 3000), st.floats(0.01, 1), st.integers(0, 2**64 - 1))
@pytest.mark.parametrize("c", CASES[:2], ids=repr)
def test_the_bit_budget_is_used_up_and_never_exceeded(c, budget, p, seed):
    problem = quadratic(n=2, d=5)
    trace = marina(problem, c, p=p, stepsize=0.1, bit_budget=budget, seed=seed)
    assert trace.bits[-1, 0] <= budget
    whole = coins(seed, trace.rounds + 1, p)[-1]
    following = 32 * problem.d if whole else c.bits(problem.d, 2)
    assert trace.bits[-1, 0] + following > budget
    same = marina(problem, c, p=p, stepsize=0.1, rounds=trace.rounds, seed=seed)
    assert_equal(trace, same)


def test_the_bit_budget_of_gd():
    problem = quadratic(d=5)
    for budget, rounds in ((0, 0), (159, 0), (160, 1), (1599.9, 9), (1600, 10)):
        assert gd(problem, stepsize=0.1, bit_budget=budget).rounds == rounds
    assert gd(problem, stepsize=0.1, rounds=0).bits.tolist() == [[0.0]]


# --- MARINA by its bytes -------------------------------------------------------------------------

WIRED = [make(name) for name in ("cq", "iq", "drive", "perm_k", "iscc")]
tasks = pytest.mark.parametrize(
    "task",
    [functools.partial(quadratic, n, d) for n, d in ((4, 10), (10, 4))] + [breast_cancer],
    ids=["quadratic 4, 10", "quadratic 10, 4", "logistic"],
)


@tasks
@pytest.mark.parametrize("c", WIRED, ids=repr)
def test_marina_is_what_its_bytes_make(c, task, monkeypatch):
    read = []

    class Counted(Payload):
        @classmethod
        def from_bytes(cls, data):
            read.append(data)
            return Payload.from_bytes(data)

    monkeypatch.setattr(by_bytes, "Payload", Counted)
    problem, rounds = task(), 12
    for seed, p in ((0, 0.3), (2**63 + 5, 0.5), (3, 0.01)):
        read.clear()
        options = {"p": p, "rounds": rounds, "seed": seed}
        slow = marina_by_bytes(problem, c, stepsize=0.2, **options)
        fast = marina(problem, c, stepsize=0.2, **options)
        np.testing.assert_array_equal(slow.bits, fast.bits)
        np.testing.assert_array_equal(slow.seed, fast.seed)
        np.testing.assert_array_equal(slow.stepsize, fast.stepsize)
        np.testing.assert_allclose(slow.grad_norm_sq, fast.grad_norm_sq, rtol=1e-9)
        np.testing.assert_allclose(slow.value, fast.value, rtol=1e-9)
        # Round t makes x^{t+1}; the messages at the last point are sent, but not used.
        compressed = coins(seed, rounds + 1, p).count(False)
        assert compressed > 0
        heard = [len(data) > 0 for data in read]
        senders = 1 if c.name == "iscc" else problem.n  # the other clients are silent
        assert all(heard) and len(read) == compressed * senders


@dataclass(frozen=True, eq=False)
class OneByOne:
    """A problem where gradients one by one are bitwise those of all clients together."""

    problem: object

    def __getattr__(self, name):
        return getattr(self.problem, name)

    def value(self, x):
        return self.problem.value_and_gradients(x[None])[0][0]

    def gradient(self, i, x):
        return self.problem.value_and_gradients(x[None])[1][0, i]


@tasks
def test_by_bytes_p_one_is_gradient_descent(task):
    problem = OneByOne(task())
    slow = marina_by_bytes(problem, make("cq"), p=1, stepsize=0.1, rounds=15, seed=3)
    descent = gd(problem, stepsize=0.1, rounds=15)
    np.testing.assert_array_equal(slow.bits, descent.bits)
    np.testing.assert_array_equal(slow.value, descent.value)  # since the iterates are the same
    np.testing.assert_allclose(slow.grad_norm_sq, descent.grad_norm_sq, rtol=1e-14)


# --- divergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "run",
    [lambda *a, **k: gd(*a, **k), *(functools.partial(marina, compressor=c, p=0.3) for c in CASES)],
    ids=["gd", *map(repr, CASES)],
)
def test_divergence_is_recorded_and_harms_nobody_else(run):
    problem = quadratic(n=4, d=6)
    stepsizes = [0.1, 1e3, 0.3, 1e160, 30.0]
    trace = run(problem, stepsize=stepsizes, rounds=30)
    assert trace.rounds == 30
    assert trace.diverged.tolist() == [False, True, False, True, True]
    assert np.isfinite(trace.bits).all()
    assert not np.isnan(trace.grad_norm_sq).any() and not np.isnan(trace.value).any()
    for column in range(5):
        infinite = np.isinf(trace.grad_norm_sq[:, column])
        np.testing.assert_array_equal(infinite, np.isinf(trace.value[:, column]))
        # A column that is infinite stays infinite.
        np.testing.assert_array_equal(infinite, np.logical_or.accumulate(infinite))
        assert not infinite[0]
        assert infinite.any() == trace.diverged[column]
    first = np.isinf(trace.grad_norm_sq).argmax(axis=0)
    assert 1 <= first[3] <= first[1] <= first[4]
    calm = run(problem, stepsize=[0.1, 0.3], rounds=30)
    np.testing.assert_allclose(trace.grad_norm_sq[:, [0, 2]], calm.grad_norm_sq, rtol=1e-9)
    assert trace.best() in (0, 2)


def test_a_run_ends_when_all_have_diverged():
    trace = gd(quadratic(), stepsize=[1e3, 1e5], rounds=1000)
    assert trace.rounds < 100
    assert trace.diverged.all()
    assert np.isinf(trace.grad_norm_sq[-1]).all() and np.isfinite(trace.grad_norm_sq[0]).all()


def test_a_gradient_of_zero_is_no_divergence():
    problem = quadratic(n=3, d=4, noise=0.0)
    still = Quadratic(problem.A, torch.zeros_like(problem.b), torch.zeros(4, dtype=torch.float64))
    trace = marina(still, make("cq"), p=0.5, stepsize=0.1, rounds=5)
    assert not trace.diverged.any()
    assert (trace.grad_norm_sq == 0).all()


# --- arguments -----------------------------------------------------------------------------------


def run_gd(**options):
    return gd(quadratic(n=2, d=3), **{"stepsize": 0.1} | options)


def run_marina(**options):
    return marina(quadratic(n=2, d=3), make("iq"), **{"stepsize": 0.1, "p": 0.5} | options)


@pytest.mark.parametrize("run", [run_gd, run_marina])
def test_exactly_one_limit(run):
    with pytest.raises(ValueError, match="exactly one"):
        run()
    with pytest.raises(ValueError, match="exactly one"):
        run(rounds=3, bit_budget=1000)
    for limit in ("rounds", "bit_budget"):
        for wrong in (-1, math.nan, math.inf):
            with pytest.raises(ValueError, match=limit):
                run(**{limit: wrong})
    assert run(rounds=2.5).rounds == 3  # and it ends


@pytest.mark.parametrize("run", [run_gd, run_marina])
@pytest.mark.parametrize("wrong", [0.0, -0.1, math.nan, math.inf, [], [0.1, -1], [[0.1]]])
def test_stepsizes_are_positive(run, wrong):
    with pytest.raises(ValueError, match="stepsize"):
        run(stepsize=wrong, rounds=1)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match="p must be in"):
        run_marina(p=p, rounds=1)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5])
def test_seeds_are_64_bits(seed):
    with pytest.raises(ValueError, match="seed"):
        run_marina(seed=seed, rounds=1)


# --- Trace ---------------------------------------------------------------------------------------


def trace_by_hand():
    bits = np.array([0.0, 64.0, 100.0, 164.0])
    return Trace(
        bits=np.stack([bits, bits], axis=1),
        grad_norm_sq=np.array([[8.0, 8.0], [4.0, 2.0], [5.0, math.inf], [0.5, math.inf]]),
        value=np.array([[1.0, 1.0], [0.1, 1 / 3], [0.2, math.inf], [1e-300, math.inf]]),
        stepsize=np.array([0.1, 0.7]),
        seed=np.array([3, 3]),
    )


def test_at_is_the_last_iterate_within_the_bits():
    trace = trace_by_hand()
    found = trace.at([0, 63.9, 64, 99, 100, 163, 164, 1e9, math.inf])
    inf = math.inf
    expected = [[8, 8], [8, 8], [4, 2], [4, 2], [5, inf], [5, inf], [0.5, inf], [0.5, inf]]
    np.testing.assert_array_equal(found, [*expected, [0.5, inf]])
    for wrong in (-1, [3, -0.5], math.nan):
        with pytest.raises(ValueError, match="bits must be at least 0"):
            trace.at(wrong)


def test_best_is_the_smallest_gradient_within_the_bits():
    trace = trace_by_hand()
    assert trace.best() == 0
    assert trace.best(64) == 1
    assert trace.best(100) == 0
    assert trace.rounds == 3
    assert trace.diverged.tolist() == [False, True]


def test_frame_is_tidy():
    trace = trace_by_hand()
    frame = pd.DataFrame(trace.columns(method="marina"))
    assert list(frame) == ["method", "seed", "stepsize", "round", "bits", "grad_norm_sq", "value"]
    assert len(frame) == 8
    assert (frame["method"] == "marina").all() and (frame["seed"] == 3).all()
    for t in range(4):
        for column in range(2):
            row = frame.iloc[2 * t + column]
            assert row["round"] == t and row["stepsize"] == trace.stepsize[column]
            assert row["bits"] == trace.bits[t, column]
            assert row["grad_norm_sq"] == trace.grad_norm_sq[t, column]
            assert row["value"] == trace.value[t, column]


def test_csv_keeps_every_digit(tmp_path):
    run = marina(breast_cancer(), make("cq"), p=0.2, stepsize=[0.1, 1 / 3], rounds=20)
    for trace in (run, trace_by_hand()):
        path = tmp_path / "deep" / "trace.csv"
        trace.to_csv(path, method="marina", note='a "quoted", note')
        written = pd.DataFrame(trace.columns(method="marina", note='a "quoted", note'))
        read = pd.read_csv(path, dtype=str).astype(written.dtypes.to_dict())
        pd.testing.assert_frame_equal(read, written, check_exact=True)
        assert list(path.parent.iterdir()) == [path]  # no partial file is left
        assert b"\r" not in path.read_bytes()


# --- the guarantee -------------------------------------------------------------------------------

SEEDS = 20


def assert_guarantee(problem, c, infimum, *, homogeneous=False, rounds=50):
    """Check E |grad f(x^)|^2 <= 2 Delta0 / (gamma T), x^ uniform over x^0 .. x^{T-1}.

    The mean over t is the mean over x^. The mean over SEEDS runs plus Z standard errors must be
    below the bound.
    """
    constants = "homogeneous" if homogeneous else "valid"
    A, B, homogeneous_only = c.ab(problem.n, problem.d, constants=constants)
    assert homogeneous or not homogeneous_only
    s = problem.smoothness()
    best = theory.optimal_p(A=A, B=B, d=problem.d, bits=c.bits(problem.d, problem.n), smoothness=s)
    p = min(best.p, 0.3)  # so that most rounds are compressed
    gamma = theory.marina_stepsize(p, A, B, s.L_minus, s.L_plus, s.L_pm)
    means = np.array(
        [
            marina(problem, c, p=p, stepsize=gamma, rounds=rounds, seed=seed).grad_norm_sq[:-1, 0]
            for seed in range(SEEDS)
        ]
    ).mean(axis=1)
    assert np.isfinite(means).all()
    start = float(problem.value(problem.x0))
    allowed = 2 * (start - infimum) / (gamma * rounds)
    error = means.std(ddof=1) / math.sqrt(SEEDS)
    assert means.mean() + Z * error <= allowed
    return means.mean() / allowed


@every
@pytest.mark.slow
def test_guarantee_on_breast_cancer(c):
    problem = breast_cancer()
    descent = gd(problem, stepsize=theory.gd_stepsize(problem.smoothness().L_minus), rounds=500)
    # The smallest value found is slightly above the infimum, which makes the test stricter.
    assert_guarantee(problem, c, descent.value.min())


@every
@pytest.mark.slow
def test_guarantee_on_unlike_quadratics(c):
    problem = quadratic(n=8, d=16)
    ratio = assert_guarantee(problem, c, problem.infimum())
    assert ratio > 0.3  # the bound is not too loose here


@pytest.mark.parametrize("c", [c for c in CASES if c.name == "cq"], ids=repr)
@pytest.mark.slow
def test_guarantee_of_cq_for_equal_clients(c):
    # All clients have the same samples. So the larger stepsize of the homogeneous constant d / n^2
    # is allowed, and CQ is much better than IQ.
    source = data.load("breast_cancer")
    X, y = np.tile(source.X[:18], (30, 1)), np.tile(source.y[:18], 30)
    problem = logistic(Dataset(X, y, "repeated", "breast_cancer"), 30, 0.1)
    descent = gd(problem, stepsize=theory.gd_stepsize(problem.smoothness().L_minus), rounds=500)
    assert_guarantee(problem, c, descent.value.min(), homogeneous=True)


def test_cq_beats_iq_where_clients_are_alike():
    problem = quadratic(n=16, d=16, noise=0.0)
    s = problem.smoothness()
    budget = 20_000
    reached = {}
    for name in ("iq", "cq"):
        c = make(name)
        A, B, _ = c.ab(16, 16, constants="homogeneous")
        p, _ = theory.optimal_p(A=A, B=B, d=16, bits=c.bits(16, 16), smoothness=s)
        gamma = theory.marina_stepsize(p, A, B, s.L_minus, s.L_plus, s.L_pm)
        reached[name] = np.array(
            [
                marina(problem, c, p=p, stepsize=gamma, bit_budget=budget, seed=seed).at(budget)[0]
                for seed in range(2)
            ]
        )
    assert reached["cq"].max() < reached["iq"].min() / 3
