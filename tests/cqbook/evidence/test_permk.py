"""PermK and Algorithm 3 in fractions, by hand and against the library; sampled messages."""

from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import batch_errors, exact, permk, permk_samples
from cqbook.evidence.exact import iq_bits
from cqbook.evidence.vectors import ab_bound, as_floats, integer_vectors, vector
from cqlib import theory
from tests.cqbook.evidence.inputs import PARTS, ROWS, floats, fractions
from tests.helpers import Z


@pytest.mark.parametrize(("n", "d"), [(1, 3), (3, 3), (3, 7), (5, 2), (6, 4), (7, 3)])
def test_omega_of_perm_k(n, d):
    assert float(permk.omega(n, d)) == pytest.approx(theory.perm_k_omega(d, n), abs=1e-12)


def test_moments_of_factors():
    law = [(Fraction(1, 4), ((2, 0),)), (Fraction(3, 4), ((0, 4),))]
    assert permk.factor_moments(law, 1, 2, 1) == vector("1/2", 3)
    assert permk.factor_moments(law, 1, 2, 2) == vector(1, 12)


def test_blocks_by_hand():
    assert permk.block_numbers(7, 3) == [0, 0, 0, 1, 1, 2, 2]
    # Two clients, three coordinates, two blocks of sizes (1, 1) and (2, 1): one half is kept.
    assert permk.blocks(2, 3, 2) == (6, 12, 1, 0)
    # Three clients, two coordinates: blocks of 2 and 1 clients, so factors 4/3 and 2/3.
    assert permk.blocks(3, 2, 2) == (6, 12, 1, Fraction(1, 9))
    assert permk.blocks(3, 3, 2) == (20, 36, Fraction(10, 9), Fraction(1, 9))


@pytest.mark.parametrize(
    ("rows", "b"),
    [
        (PARTS[:2], 2),
        (PARTS[:4], 2),
        (PARTS[2:], 2),
        (PARTS[:4], 4),
        ([row[:3] for row in ROWS[:3]], 3),
        (ROWS[:3], 1),
        (ROWS[2:], 1),
    ],
)
def test_errors_of_permk_iq(rows, b):
    error = float(permk.permk_cq_error(fractions(rows), b, iq_bits))
    assert theory.permk_iq_mse(floats(rows), b) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "b"),
    [
        (PARTS[:2], 2),
        ([(3, 4, 0, 0)] * 4, 2),
        ([(5, 0, -12, 0)] * 6, 2),
        (PARTS[:4], 4),
        ([row[:3] for row in ROWS[:3]], 3),
        (ROWS[:3], 1),
        (ROWS[2:5], 1),
    ],
)
def test_errors_of_permk_cq(rows, b):
    error = float(permk.permk_cq_error(fractions(rows), b))
    assert batch_errors.permk_cq_mse(floats(rows)[None], b)[0] == pytest.approx(error, rel=1e-12)
    if len(set(rows)) == 1:
        found = float(theory.permk_cq_mse_equal(floats(rows[0]), len(rows), b))
        assert found == pytest.approx(error, rel=1e-12)


def test_permk_cq_in_batches_is_between_its_special_cases():
    X = np.random.default_rng(0).standard_normal((5, 4, 4))
    np.testing.assert_allclose(batch_errors.permk_cq_mse(X, 1), batch_errors.cq_mse(X), rtol=1e-12)
    # With b = n = d there is no rounding: Algorithm 3 is PermK.
    expected = [theory.perm_k_mse(x) for x in X]
    np.testing.assert_allclose(batch_errors.permk_cq_mse(X, 4), expected, rtol=1e-12)
    for x, found in zip(X, batch_errors.permk_cq_mse(X, 2), strict=True):
        assert 0 < found <= theory.permk_iq_mse(x, 2)
        assert found == pytest.approx(batch_errors.permk_cq_mse(x[None], 2)[0], rel=1e-13)


@pytest.mark.parametrize(("n", "d", "b"), [(4, 4, 3), (3, 4, 2), (4, 3, 2)])
def test_blocks_divide_clients_and_coordinates(n, d, b):
    with pytest.raises(ValueError, match=f"b = {b} must divide n = {n} and d = {d}"):
        permk.permk_cq_error([[Fraction(1)] * d] * n, b)


@pytest.mark.parametrize(
    ("a", "n", "b"), [(vector(3, 4, 0, 0), 4, 2), (vector(2, 3, 6), 2, 1), (vector(1, 2), 4, 2)]
)
def test_formula_for_equal_inputs(a, n, b):
    assert permk.subset_formula(a, n, b) == permk.permk_cq_error([a] * n, b)


@pytest.mark.parametrize(("n", "d", "b"), [(4, 4, 2), (4, 5, 2), (3, 5, 3), (2, 3, 1)])
def test_error_with_iq_is_the_bound(n, d, b):
    X = integer_vectors(np.random.default_rng(n * d), n, d)
    A, B = permk.constants(n, d, b)
    assert permk.error_with_iq(X, b) == ab_bound(A, B, X)
    assert (float(A), float(B)) == pytest.approx(theory.permk_cq_constants(n, d, b)[:2])
    if d % b == 0:
        assert float(permk.error_with_iq(X, b)) == pytest.approx(
            theory.permk_iq_mse(as_floats(X), b), rel=1e-12
        )


@pytest.fixture(scope="module")
def decoded():
    X = np.random.default_rng(0).standard_normal((4, 8))
    return X, permk_samples.sample(X, 2, rounds=400, seed=5)


def test_messages_have_blocks(decoded):
    X, messages = decoded
    assert messages.shape == (400, 4, 8)
    assert permk_samples.has_blocks(messages, X, 2)
    assert not permk_samples.has_blocks(messages, X, 4)  # other sizes
    assert not permk_samples.has_blocks(1.001 * messages, X, 2)  # another range
    moved = messages.copy()
    moved[3, 0] = np.roll(moved[3, 0], 1)
    assert not permk_samples.has_blocks(moved, X, 2)


def test_samples_agree_with_exact_errors_and_not_with_others(decoded):
    X, messages = decoded
    expected = float(batch_errors.permk_cq_mse(X[None], 2)[0])
    found = permk_samples.compare(messages, X, expected)
    assert abs(found.error) < Z and 0 < found.bias < Z
    assert permk_samples.compare(messages, X, 2 * expected).error < -Z
    assert permk_samples.compare(messages + 1, X, expected).bias > Z


@pytest.mark.parametrize("ranks", ["shift", "permutation"])
def test_one_block(ranks, monkeypatch):
    X = np.random.default_rng(1).standard_normal((6, 7))
    assert permk_samples.one_block_is_cq(X, seed=2, rounds=3, ranks=ranks)
    make = permk_samples.make
    one = lambda name, **options: make("iq") if name == "cq" else make(name, **options)  # noqa: E731
    monkeypatch.setattr(permk_samples, "make", one)
    assert not permk_samples.one_block_is_cq(X, seed=2, rounds=3, ranks=ranks)


def test_bias_is_scored(decoded):
    X, messages = decoded
    scores = permk_samples.bias_scores(messages, X)
    assert scores.shape == (4 * 8 + 4,) and np.abs(scores).max() < Z
    assert np.abs(permk_samples.bias_scores(1.5 * messages, X)).max() > Z


def test_blocks_that_do_not_fit_are_refused():
    assert [b for b in range(1, 7) if not permk_samples.refuses(6, b)] == [1, 2, 3, 6]


def test_errors_of_partitions():
    # Two blocks of two coordinates, two clients each: CQ's error for n = 2, once per block.
    a = vector(3, 4, 0, 5)
    found = permk_samples.error_of_partition(as_floats([a])[0], 4, 2, np.array([0, 1, 3, 2]))
    parts = [exact.quantization_error([part] * 2, exact.cq_bits) for part in (a[:2], a[2:])]
    assert found == pytest.approx(float(sum(parts)))


def test_corollary_3():
    row = permk_samples.corollary_3(4, 8, 2, rounds=60, seed=0, rng=np.random.default_rng(0))
    assert row["bits"] == row["d / b + 32"] == 36
    assert row["signs, exact"] == pytest.approx(1)  # attained: n / b = 2 clients, d / b = 4
    assert abs(row["z"]) < Z and 0 < row["worst partition"] <= 1 + 1e-9
