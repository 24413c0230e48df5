"""Bias and errors of the compressors, against the facts and formulas that they state.

Every compressor is run for hundreds of rounds on a few sets of vectors. The tests make fewer than
50 000 comparisons in all; see ``helpers`` for their level.
"""

import functools

import numpy as np
import pytest
import torch

from cqlib import Key, PayloadError
from cqlib.compressors import AB, average, make
from tests.cases import CASES, STATISTICS, normal, spread
from tests.helpers import Z, bernstein_radius, same_bits, standard_error

pytestmark = pytest.mark.slow

ROUNDS = {(8, 12): 300, (5, 7): 250, (7, 3): 120, (4, 1): 100}
ROUNDING = 1e-6  # relative error of float32 scales and of the grid


def trend(n, d):
    """Return unit vectors that turn slowly from client to client."""
    angle = torch.linspace(-1, 1, n, dtype=torch.float64)
    X = torch.cos(angle[:, None] * torch.arange(1, d + 1) + torch.arange(d))
    return X / X.norm(dim=1, keepdim=True)


def sparse(n, d):
    """Return vectors with every other coordinate zero, even ones or odd ones."""
    X = normal(n, d, seed=7)
    X[:, ::2][::2] = 0.0
    X[:, 1::2][1::2] = 0.0
    return X


def equal(n, d):
    """Return the same vector for all clients."""
    return normal(1, d, seed=2).expand(n, d)


# Inputs of one shape run as a batch, which shares its randomness.
INPUTS = {
    (8, 12): {"random": spread(8, 12, base=4.0), "trend": trend(8, 12), "equal": equal(8, 12)},
    (5, 7): {"random": normal(5, 7), "sparse": sparse(5, 7), "equal": equal(5, 7)},
    (7, 3): {"random": normal(7, 3), "equal": equal(7, 3)},
    (4, 1): {"line": torch.tensor([[1.0], [-2.0], [0.25], [0.5]], dtype=torch.float64)},
}


def takes(c, n, d):
    """Return True if the compressor allows these numbers of clients and coordinates."""
    try:
        c.compress(torch.ones(n, d), key=Key(0))
    except ValueError:
        return False
    return True


def has_exact_mse(c, n, d):
    """Return True if the exact error of the mean is known."""
    try:
        c.mse(torch.ones(n, d))
    except ValueError:
        return False
    return True


def for_all(condition):
    """Parametrise by compressors and the shapes of inputs that they allow."""
    chosen = [(c, shape) for c in STATISTICS for shape in INPUTS if condition(c, shape)]
    return pytest.mark.parametrize(("c", "shape"), chosen, ids=str)


unbiased = for_all(lambda c, shape: c.unbiased and takes(c, *shape))
by_client = for_all(lambda c, shape: c.unbiased and takes(c, *shape) and not c.before)
exact = for_all(lambda c, shape: has_exact_mse(c, *shape))


@functools.cache
def errors(c, shape):
    """Return C(X) - X in each round, shape (rounds, n, d), for each input."""
    X = torch.stack(list(INPUTS[shape].values()))
    rounds = range(ROUNDS[shape])
    found = np.stack([(c.compress(X, key=Key(2024, r)) - X).numpy() for r in rounds])
    return dict(zip(INPUTS[shape], found.swapaxes(0, 1), strict=True))


@functools.cache
def squared_errors_of_the_mean(c, shape):
    """Return |estimated mean - mean of X|^2 in each round, shape (rounds,), for each input."""
    if not c.sums:
        means = {which: found.mean(axis=1) for which, found in errors(c, shape).items()}
    else:
        X = torch.stack(list(INPUTS[shape].values()))
        keys = [Key(2024, r) for r in range(ROUNDS[shape])]
        found = np.stack([(c.mean(X, key=key) - X.mean(dim=1)).numpy() for key in keys])
        means = dict(zip(INPUTS[shape], found.swapaxes(0, 1), strict=True))
    return {which: (mean**2).sum(axis=-1) for which, mean in means.items()}


@unbiased
def test_each_coordinate_is_unbiased(c, shape):
    for which, found in errors(c, shape).items():
        # The widest observed range of a client's coordinates estimates their range.
        width = np.ptp(found, axis=0).max(axis=-1, keepdims=True)
        width = width.max() if c.before else width  # all clients have the same levels
        size = INPUTS[shape][which].norm(dim=-1, keepdim=True).numpy()
        radius = bernstein_radius(found, width) + ROUNDING * size
        assert (np.abs(found.mean(axis=0)) <= radius).all(), which


@unbiased
def test_sums_of_coordinates_are_unbiased(c, shape):
    # Sums reveal a small bias that many coordinates share: along the vector itself (a wrong scale),
    # along patterns of signs, and over all clients.
    for which, found in errors(c, shape).items():
        X = INPUTS[shape][which].numpy()
        along = X / np.linalg.norm(X, axis=1, keepdims=True)
        signs = np.random.default_rng(3).choice([-1.0, 1.0], (20, *shape))
        per_client = np.einsum("rnd,snd->rsn", found, np.concatenate([along[None], signs]))
        everyone = per_client.sum(axis=2, keepdims=True)
        sums = np.concatenate([per_client, everyone], axis=2)
        width = np.ptp(sums, axis=0)
        width = width.max() if c.before else width
        radius = bernstein_radius(sums, width) + ROUNDING * np.abs(X).sum()
        assert (np.abs(sums.mean(axis=0)) <= radius).all(), which


@exact
def test_error_of_the_mean_is_the_exact_one(c, shape):
    for which, squared in squared_errors_of_the_mean(c, shape).items():
        X = INPUTS[shape][which]
        slack = Z * standard_error(squared) + ROUNDING * float((X**2).sum())
        assert abs(squared.mean() - c.mse(X)) <= slack, which


@exact
def test_error_of_a_client_is_the_exact_one(c, shape):
    for which, found in errors(c, shape).items():
        X = INPUTS[shape][which]
        try:
            expected = c.variance(X)
        except ValueError:
            return
        squared = (found**2).sum(axis=-1)
        slack = Z * standard_error(squared) + ROUNDING * (X**2).sum(dim=1).numpy()
        if c.before:  # small clients are seldom rounded away from 0: too few events for this test
            slack = bernstein_radius(squared, squared.max())
        assert (np.abs(squared.mean(axis=0) - expected) <= slack).all(), which


def bound(c, X, constants="valid"):
    """Return the right-hand side of the AB-inequality."""
    n, d = X.shape
    A, B, _ = c.ab(n, d, constants=constants)
    return A * float((X**2).sum()) / n - B * float((X.mean(dim=0) ** 2).sum())


@unbiased
def test_error_of_the_mean_is_within_the_ab_inequality(c, shape):
    for which, squared in squared_errors_of_the_mean(c, shape).items():
        X = INPUTS[shape][which]
        slack = Z * standard_error(squared) + ROUNDING * float((X**2).sum())
        assert squared.mean() <= bound(c, X) + slack, which
        if which == "equal":
            assert squared.mean() <= bound(c, X, "homogeneous") + slack


@by_client
def test_error_of_a_client_is_within_omega(c, shape):
    for which, found in errors(c, shape).items():
        squared_norms = (INPUTS[shape][which] ** 2).sum(dim=-1).numpy()
        relative = (found**2).sum(axis=-1) / squared_norms
        slack = Z * standard_error(relative) + ROUNDING
        assert (relative.mean(axis=0) <= c.omega(shape[1], shape[0]) + slack).all(), which


def adversarial(n, d):
    """Yield inputs for which a wrong bound is likely to fail."""
    ones = torch.ones(n, d, dtype=torch.float64)
    one_hot = torch.zeros(n, d, dtype=torch.float64)
    one_hot[:, 0] = 1
    signs = (1 - 2 * (torch.arange(n) % 2))[:, None]
    single = torch.zeros(n, d, dtype=torch.float64)
    single[n // 2] = normal(d, seed=d)
    yield from (0 * ones, ones, signs * ones, one_hot)
    yield from (signs * one_hot, single, spread(n, d), trend(n, d))
    yield torch.eye(max(n, d), dtype=torch.float64)[:n, :d]
    for seed in range(5):
        yield normal(n, d, seed=seed)
        yield normal(n, d, seed=seed) ** 3
        yield normal(1, d, seed=seed).sign().expand(n, d)
        yield normal(1, d, seed=seed) + 0.1 * normal(n, d, seed=seed + 100)


UNBIASED = [c for c in STATISTICS if c.unbiased and any(takes(c, n, 4) for n in (4, 8))]
of_every_unbiased = pytest.mark.parametrize("c", UNBIASED, ids=str)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 17])
@of_every_unbiased
def test_ab_inequality_on_adversarial_inputs(c, n):
    for d in (1, 2, 3, 4, 16, 64):
        for X in adversarial(n, d) if has_exact_mse(c, n, d) else ():
            assert c.mse(X) <= bound(c, X) + 1e-12 * float((X**2).sum())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 17, 64])
@of_every_unbiased
def test_homogeneous_constants_on_equal_inputs(c, n):
    folds = getattr(c, "reduction", None) == "fold"  # with 64 clients that takes half a minute
    for d in (1, 2, 3, 4, 16) if folds and n == 64 else (1, 2, 3, 4, 16, 64):
        for X in adversarial(1, d) if has_exact_mse(c, n, d) else ():
            X = X.expand(n, d)
            assert not c.ab(n, d).homogeneous_only
            assert c.mse(X) <= bound(c, X, "homogeneous") + 1e-12 * float((X**2).sum())


def test_most_compressors_have_an_exact_error():
    known = {c.name for c in STATISTICS if has_exact_mse(c, 8, 12)}
    unknown = {"drive_plus"}
    assert {make(name).name for name in ("iq", "cq", "rand_k", "perm_k", "terngrad")} <= known
    assert {c.name for c in STATISTICS} - known == unknown


# --- where the paper's constants, or a common belief, are wrong ----------------------------------


def test_the_papers_constant_for_cq_is_violated():
    # n = 2, d = 4, a = (1, 1, 1, 1): the error is |a|^2 in every round, but d / (4 n^2) allows a
    # quarter of it.
    X = torch.ones(2, 4, dtype=torch.float64)
    paper = bound(make("cq"), X, "paper")
    assert paper == 1.0
    assert make("cq").mse(X) == 4.0 == bound(make("cq"), X, "homogeneous")
    for c in (make("cq"), make("cq", ranks="permutation")):
        for r in range(50):
            error = c.mean(X, key=Key(0, r)) - X.mean(dim=0)
            assert float((error**2).sum()) == 4.0


def test_the_papers_constant_for_iq_is_violated():
    # n = d = 16: 0.9375 for every input, where d / (4 n) = 0.25.
    X = normal(16, 16)
    relative = make("iq").mse(X) / float((X**2).sum() / 16)
    assert relative == pytest.approx(0.9375, rel=1e-12)
    assert make("iq").ab(16, 16) == AB(0.9375, 0.0, False)
    assert make("iq").ab(16, 16, constants="paper") == AB(0.25, 0.0, False)


@pytest.mark.parametrize("b", [1, 2, 4, 8])
def test_the_papers_constant_for_permk_cq_is_violated(b):
    # Equal clients: Corollary 3 with the factor 1/4 allows b d / (4 n^2); the valid constant is
    # four times as large.
    n, d = 8, 16
    c = make("permk_cq", b=b)
    X = normal(1, d, seed=5).expand(n, d)
    mean = X.mean(dim=0)
    found = np.array([float(((c.mean(X, key=Key(0, r)) - mean) ** 2).sum()) for r in range(250)])
    slack = Z * standard_error(found[:, None])[0]
    assert found.mean() - slack > bound(c, X, "paper")
    assert found.mean() <= bound(c, X, "homogeneous") + slack
    assert bound(c, X, "homogeneous") <= 4 * bound(c, X, "paper")


@pytest.mark.parametrize("name", ["drive", "iscc"])
@pytest.mark.parametrize("d", [2, 4, 1024, 1500])
def test_drive_with_a_hadamard_rotation_is_biased(d, name):
    # x = (1, t, 0, ..., 0) is decoded to (1 + t^2, 0, ..., 0) in every round. All clients have the
    # same error, so that averaging does not reduce it.
    t, n = 0.9, 64
    x = torch.zeros(d, dtype=torch.float64)
    x[0], x[1] = 1.0, t
    drive = make("drive")
    for r in range(20):
        decoded = drive.compress(x.expand(n, d), key=Key(1, r))
        expected = torch.zeros(n, d, dtype=torch.float64)
        expected[:, 0] = 1 + t**2
        torch.testing.assert_close(decoded, expected, rtol=1e-6, atol=1e-6)
    error = float(((average(decoded) - x) ** 2).sum())
    assert error == pytest.approx(t**2 * (1 + t**2), rel=1e-5)
    assert error > bound(drive, x.expand(n, d), "paper")
    c = make(name)
    assert not c.unbiased
    for call in (c.omega, c.ab):
        with pytest.raises(ValueError, match="biased"):
            call(n, d)


# --- clients that are missing --------------------------------------------------------------------


@pytest.mark.parametrize("c", [make("iq"), make("cq"), make("cq", levels=3)], ids=str)
def test_the_mean_of_those_received_is_unbiased(c):
    # Clients 1, 2 and 6 of 8 do not answer.
    X = spread(8, 12, base=2.0)
    received = [0, 3, 4, 5, 7]
    found = []
    for r in range(500):
        rows = c.compress(X, key=Key(9, r))[received]
        found.append((average(rows) - X[received].mean(dim=0)).numpy())
    found = np.array(found)
    assert (np.abs(found.mean(axis=0)) <= bernstein_radius(found, np.ptp(found))).all()
    squared = (found**2).sum(axis=1)
    k, d = len(received), X.shape[1]
    if c.name == "iq":
        expected = c.mse(X[received])
        assert abs(squared.mean() - expected) <= Z * standard_error(squared)
    bound_of_received = c.omega(d) / k**2 * float((X[received] ** 2).sum())
    assert squared.mean() <= bound_of_received + Z * standard_error(squared)


@pytest.mark.parametrize("c", CASES, ids=str)
def test_the_mean_of_those_received_is_that_of_their_payloads(c):
    X, key = spread(8, 20, dtype=torch.float32), Key(11)
    everyone = {"n_clients": 8, "key": key, "shared": c.statistic(X)}
    sent = {i: c.encode(x, client=i, **everyone) for i, x in enumerate(X)}
    who = {"d": 20, **everyone}
    rows = c.compress(X, key=key)
    some = {i: sent[i] for i in (6, 0, 3)}
    if c.sums:
        found = c.mean_of_received(sent, **who)
        assert same_bits(found.float(), c.mean(X, key=key))
        if c.reduction == "sum":
            few = c.mean_of_received(some, **who)
            torch.testing.assert_close(few, average(rows[[0, 3, 6]]), rtol=1e-6, atol=0)
    else:
        assert same_bits(c.mean_of_received(sent, **who), average(rows))
        assert same_bits(c.mean_of_received(some, **who), average(rows[[0, 3, 6]]))
    with pytest.raises(ValueError, match="no client answered"):
        c.mean_of_received({}, **who)
    speaking = {i: p for i, p in sent.items() if p is not None}
    for wrong in ({"d": 21}, {"n_clients": 9}, {"key": Key(12)}):
        with pytest.raises(PayloadError):
            c.mean_of_received(speaking, **who | wrong)
    for client, payload in sent.items():
        if payload is None:
            assert not c.mean_of_received({client: None}, **who).any()
        else:
            with pytest.raises(ValueError, match=f"client {client} is not silent"):
                c.mean_of_received({client: None}, **who)
    with pytest.raises(ValueError, match="client must be in"):
        c.mean_of_received({77: None}, **who)


def test_cq_still_cancels_errors_when_some_are_missing():
    X = normal(1, 64, seed=3).expand(16, 64)
    received = [i for i in range(16) if i not in (2, 9)]
    c, found = make("cq"), []
    for r in range(200):
        rows = c.compress(X, key=Key(10, r))[received]
        found.append(float(((rows.mean(dim=0) - X[0]) ** 2).sum()))
    assert np.mean(found) < make("iq").mse(X[received]) / 4
