"""Constants A and B against exact errors in fractions, and smoothness constants of quadratics."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqbook.evidence import exact
from cqbook.evidence.exact import cq_bits, iq_bits
from cqlib import theory


def fractions(rows):
    return [[Fraction(v) for v in row] for row in rows]


def squares(row):
    return sum(v * v for v in row)


def mean_square(X):
    return sum(map(squares, X)) / len(X)


def mean(X):
    return [sum(column) / len(X) for column in zip(*X, strict=True)]


# --- A and B -------------------------------------------------------------------------------------

# Every subset of a row has a rational norm.
PYTHAGOREAN = [[3, 4, 0, 0], [0, 0, -8, 6], [5, 0, 12, 0], [0, 7, 0, 0]]


def test_independent_clients_reach_their_constants():
    X = fractions([[1, 2, 2], [2, 3, 6], [-4, 4, 7]])
    A, B = theory.independent_constants(2, 3)
    assert B == 0
    assert exact.quantization_error(X, iq_bits) == Fraction(2, 3) * mean_square(X)
    assert pytest.approx(2 / 3, rel=1e-15) == A


def test_one_common_coin_reaches_the_constants_of_any_dependence():
    # All clients send 1 with probability q and else 0: omega = (1 - q) / q.
    q = Fraction(1, 5)
    A, B = theory.dependent_constants(4)
    for n in (1, 2, 5):
        law = [(q, (1,) * n), (1 - q, (0,) * n)]
        assert exact.count_variance(law, [Fraction(1, n)] * n) == Fraction(A - B) * q**2


def test_correlated_clients_keep_the_constants_of_any_dependence():
    assert theory.dependent_constants(2) == (2, 0)
    for rows in itertools.product([[1, 2, 2], [2, 3, 6], [-4, 4, 7], [-1, -2, 2]], repeat=3):
        X = fractions(rows)
        as_stated = 3 * mean_square(X) - squares(mean(X))  # Proposition 1
        assert exact.quantization_error(X, cq_bits) <= 2 * mean_square(X) <= as_stated


def quantized(X, law=iq_bits):
    """Yield all outcomes of IQ of the rows, with their probabilities."""
    norms = [exact.norm(row) for row in X]
    y = [(1 + v / r) / 2 for row, r in zip(X, norms, strict=True) for v in row]
    d = len(X[0])
    for chance, bits in law(y):
        yield (
            chance,
            [[r * (2 * bits[i * d + j] - 1) for j in range(d)] for i, r in enumerate(norms)],
        )


@pytest.mark.parametrize("rows", [[[3, 4], [5, -12]], [[1, 2, 2], [-4, 4, 7]]])
def test_quantizing_first_reaches_its_constants_for_perm_k(rows):
    X = fractions(rows)
    n, d = len(X), len(X[0])
    error = Fraction(0)
    for chance, Q in quantized(X):
        apart = [a - b for a, b in zip(mean(Q), mean(X), strict=True)]
        error += chance * (exact.sparsified_error(Q, exact.perm_k(n, d)) + squares(apart))
    A, B = theory.quantize_first_constants(1, 1, d - 1, n)
    assert error == A * mean_square(X) - B * squares(mean(X))


@pytest.mark.parametrize("n", [2, 4])
def test_sparsifying_first_reaches_its_constants_for_perm_k(n):
    X, d = fractions(PYTHAGOREAN[:n]), 4
    error = exact.sparsified_error(X, exact.perm_k(n, d), iq_bits)
    A, B = theory.sparsify_first_constants(1, 1, n - 1, d / n - 1, n)
    assert (A, B) == (d / n, 1)
    assert error == Fraction(A) * mean_square(X) - squares(mean(X))


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 50))
def test_independent_compositions_are_independent_compressors(outer, inner, n):
    both = theory.independent_constants((1 + outer) * (1 + inner) - 1, n)
    first = theory.quantize_first_constants(*theory.independent_constants(outer, n), inner, n)
    last = theory.sparsify_first_constants(*theory.independent_constants(outer, n), outer, inner, n)
    assert first == pytest.approx(both, rel=1e-12, abs=1e-12)
    assert last == pytest.approx(both, rel=1e-12, abs=1e-12)


def test_quantizing_first_keeps_b():
    assert theory.quantize_first_constants(3, 0.25, 2, 6) == (9 + 0.75 / 3, 0.25)


@pytest.mark.parametrize("tau", [1, 2, 4])
@pytest.mark.parametrize("bits", [None, iq_bits])
def test_sampling_reaches_its_weighted_constants(tau, bits):
    X = fractions([[1, 2, 2], [2, 3, 6], [-4, 4, 7]])
    q = [Fraction(1, 2), Fraction(1, 8), Fraction(3, 8)]
    A, B = theory.sampling_constants(tau, omega=2 if bits else 0)
    weighted = sum(squares(row) / (3 * p) for row, p in zip(X, q, strict=True)) / 3
    error = Fraction(A) * weighted - Fraction(B) * squares(mean(X))
    assert exact.sampling_error(X, q, tau, bits) == error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.independent_constants(-1.0, 3), r"omega >= 0 and n >= 1, got -1.0, 3"),
        (lambda: theory.independent_constants(math.nan, 3), r"got nan, 3"),
        (lambda: theory.independent_constants(1.0, 0), r"got 1.0, 0"),
        (lambda: theory.dependent_constants(-0.5), r"omega must be at least 0, got -0.5"),
        (lambda: theory.dependent_constants(math.nan), r"got nan"),
        (lambda: theory.quantize_first_constants(-1, 0, 0, 2), r"got -1, 0, 0, 2"),
        (lambda: theory.quantize_first_constants(2, 1.5, 0, 2), r"B in \[0, 1\].*got 2, 0, 1.5, 2"),
        (lambda: theory.quantize_first_constants(2, -0.5, 0, 2), r"got 2, 0, -0.5, 2"),
        (lambda: theory.quantize_first_constants(2, 1, -3, 2), r"got 2, -3, 1, 2"),
        (lambda: theory.quantize_first_constants(2, 1, 3, 0), r"got 2, 3, 1, 0"),
        (lambda: theory.sparsify_first_constants(-1, 0, 0, 0, 2), r"got -1, 0, 0, 0, 2"),
        (lambda: theory.sparsify_first_constants(1, -2, 0, 0, 2), r"got 1, -2, 0, 0, 2"),
        (lambda: theory.sparsify_first_constants(1, 0, -3, 0, 2), r"got 1, 0, -3, 0, 2"),
        (lambda: theory.sparsify_first_constants(1, 0, 0, -4, 2), r"got 1, 0, 0, -4, 2"),
        (lambda: theory.sparsify_first_constants(1, 0, 0, 0, 0), r"got 1, 0, 0, 0, 0"),
        (
            lambda: theory.sampling_constants(0),
            r"integer tau >= 1 and finite omega >= 0, got 0, 0.0",
        ),
        (lambda: theory.sampling_constants(1, -0.5), r"got 1, -0.5"),
    ],
)
def test_constants_outside_their_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- smoothness ----------------------------------------------------------------------------------


def symmetric(n, d, seed):
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((n, d, d)) * 10.0 ** rng.integers(-1, 2, (n, 1, 1))
    return half + half.transpose(0, 2, 1)


def weights(n, seed):
    w = np.random.default_rng(seed).uniform(0.1, 1, n)
    return w / w.sum()


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 4), (2, 3), (6, 2), (5, 7)])
@pytest.mark.parametrize("weighted", [False, True])
def test_constants_are_spectral_norms(n, d, weighted):
    A = symmetric(n, d, seed=n + d)
    w = weights(n, seed=d) if weighted else np.full(n, 1 / n)
    found = theory.smoothness_of_hessians(A, w if weighted else None)
    assert found.L_minus == pytest.approx(np.linalg.norm(A.mean(axis=0), 2), rel=1e-12)
    assert found.L_i == pytest.approx([np.linalg.norm(a, 2) for a in A], rel=1e-12)
    stacked = np.concatenate([a / (n * math.sqrt(v)) for a, v in zip(A, w, strict=True)])
    assert found.L_plus == pytest.approx(np.linalg.norm(stacked, 2), rel=1e-12)
    if not weighted:
        stacked = np.concatenate(list(A - A.mean(axis=0)))
        expected = np.linalg.norm(stacked, 2) / math.sqrt(n)
        assert found.L_pm == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_weighted_variance_is_the_largest_over_all_directions(n):
    A, w = symmetric(n, 2, seed=n), weights(n, seed=n)
    angles = np.linspace(0, math.pi, 200_001)
    v = np.stack([np.cos(angles), np.sin(angles)])
    image = A @ v  # (n, 2, angles)
    quotient = ((image**2).sum(axis=1) / (n * n * w[:, None])).sum(axis=0)
    quotient -= (image.mean(axis=0) ** 2).sum(axis=0)
    found = theory.smoothness_of_hessians(A, w).L_pm ** 2
    assert found == pytest.approx(quotient.max(), rel=1e-8)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_variance_lies_between_its_bounds(n, d, seed):
    s = theory.smoothness_of_hessians(symmetric(n, d, seed))
    slack = 1e-9 * s.L_plus**2
    assert s.L_plus**2 - s.L_minus**2 <= s.L_pm**2 + slack
    assert s.L_pm**2 <= s.L_plus**2 + slack
    assert s.L_minus <= s.L_plus * (1 + 1e-9) and s.L_plus <= max(s.L_i) * (1 + 1e-9)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_importance_weights_bring_both_constants_below_the_mean(n, d, seed):
    A = symmetric(n, d, seed)
    L = np.array(theory.smoothness_of_hessians(A).L_i)
    s = theory.smoothness_of_hessians(A, L / L.sum())
    assert max(s.L_plus, s.L_pm) <= L.mean() * (1 + 1e-9)


def test_equal_weights_change_nothing():
    A = symmetric(4, 3, seed=0)
    assert theory.smoothness_of_hessians(A, [0.25] * 4) == theory.smoothness_of_hessians(A.tolist())


def test_equal_clients_have_no_variance():
    A = np.repeat(symmetric(1, 4, seed=1), 5, axis=0)
    s = theory.smoothness_of_hessians(A)
    assert s.L_pm <= 1e-6 * s.L_plus
    assert s.L_plus == pytest.approx(s.L_minus, rel=1e-12)


def test_negative_curvature_counts():
    s = theory.smoothness_of_hessians([np.diag([1.0, -5.0]), np.diag([1.0, 1.0])])
    assert (s.L_minus, s.L_i) == (2.0, (5.0, 1.0))
    assert s.L_plus == pytest.approx(math.sqrt(13), rel=1e-14)
    assert s.L_pm == pytest.approx(3.0, rel=1e-14)


def test_client_factors():
    np.testing.assert_array_equal(theory.client_factors(3), np.ones(3))
    w = np.array([0.5, 0.125, 0.375])
    found = theory.client_factors(3, w)
    np.testing.assert_allclose(found, [2 / 3, 8 / 3, 8 / 9], rtol=1e-15)
    assert found @ w == pytest.approx(1, rel=1e-15)


@pytest.mark.parametrize(
    "wrong",
    [[0.5, 0.5], [0.5, 0.6, -0.1], [0.0, 0.5, 0.5], [0.334, 0.334, 0.333], [math.nan] * 3, [[1.0]]],
)
def test_weights_are_positive_numbers_of_sum_one(wrong):
    with pytest.raises(ValueError, match="weights must be 3 positive numbers of sum 1, got") as e:
        theory.client_factors(3, wrong)
    assert repr(wrong) in str(e.value)
    with pytest.raises(ValueError, match="weights must be 3 positive"):
        theory.smoothness_of_hessians(symmetric(3, 2, seed=0), wrong)


@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 3), (0, 2, 2), (3, 0, 0)])
def test_hessians_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(n, d, d\), got \(") as e:
        theory.smoothness_of_hessians(np.zeros(shape))
    assert str(shape) in str(e.value)


def test_hessians_are_symmetric():
    with pytest.raises(ValueError, match="symmetric"):
        theory.smoothness_of_hessians([[[1.0, 2.0], [0.0, 1.0]]])
