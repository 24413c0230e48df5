"""Laws and errors in fractions: by hand, and against the formulas of the library."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqbook.evidence import batch_errors, exact
from cqbook.evidence.exact import cq_bits, iq_bits
from cqlib import theory
from tests.cqbook.evidence.inputs import PARTS, ROWS, floats, fractions

positions = st.lists(st.fractions(0, 1, max_denominator=30), min_size=1, max_size=4)


@settings(max_examples=60)
@given(positions)
@pytest.mark.parametrize("bits", [iq_bits, cq_bits])
def test_bits_are_a_law_with_the_right_means(bits, y):
    law = bits(y)
    assert sum(chance for chance, _ in law) == 1 and all(chance > 0 for chance, _ in law)
    assert len({outcome for _, outcome in law}) == len(law)
    for i, v in enumerate(y):
        assert exact.expectation(law, lambda b, i=i: Fraction(b[i])) == v


@settings(max_examples=60)
@given(positions)
def test_variances_of_the_mean_of_the_bits(y):
    n, array = len(y), floats(y)
    weights = [Fraction(1, n)] * n
    found = float(exact.count_variance(iq_bits(y), weights))
    assert theory.iq_variance(array) == pytest.approx(found, abs=1e-14)
    found = float(exact.count_variance(cq_bits(y), weights))
    assert theory.cq_variance(array) == pytest.approx(found, abs=1e-14)


@given(st.fractions(0, 1, max_denominator=30), st.fractions(0, 1, max_denominator=30))
def test_covariance_of_two_clients(y, z):
    both = exact.expectation(cq_bits([y, z]), lambda b: Fraction(b[0] * b[1]))
    assert theory.cq_covariance(float(y), float(z), 2) == pytest.approx(
        float(both - y * z), abs=1e-14
    )


def test_laws_by_hand():
    # Two clients at 1/4: rank 0 goes up with probability 1/2, rank 1 never.
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert cq_bits([quarter] * 2) == [(half, (0, 0)), (quarter, (0, 1)), (quarter, (1, 0))]
    assert iq_bits([quarter] * 2)[-1] == (Fraction(1, 16), (1, 1))
    assert exact.count_variance(iq_bits([half, half]), [1, 3]) == Fraction(10, 4)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_quantization_errors(n):
    for rows in itertools.islice(itertools.permutations(ROWS, n), 0, None, 11):
        X = floats(rows)
        for bits, closed, batch in (
            (iq_bits, theory.iq_mse, batch_errors.iq_mse),
            (cq_bits, theory.cq_mse, batch_errors.cq_mse),
        ):
            error = float(exact.quantization_error(fractions(rows), bits))
            assert closed(X) == pytest.approx(error, rel=1e-12)
            assert batch(X[None])[0] == pytest.approx(error, rel=1e-12)


def test_quantization_errors_with_a_client_that_has_nothing_to_send():
    rows = [(1, 2, 2), (0, 0, 0), (2, 3, 6)]
    error = exact.quantization_error(fractions(rows), cq_bits)
    assert theory.cq_mse(floats(rows)) == pytest.approx(float(error), rel=1e-12)
    assert error == Fraction(88, 9)


def test_independent_clients_with_nothing_to_send_have_no_error():
    rows = [(1, 2, 2), (0, 0, 0), (2, 3, 6)]
    assert exact.quantization_error(fractions(rows), iq_bits) == Fraction(2 * (9 + 49), 9)
    assert exact.quantization_error(fractions([(0, 0)] * 2), cq_bits) == 0


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=4), st.integers(1, 9))
def test_norms_are_rational_or_refused(a, denominator):
    vector = [Fraction(v, denominator) for v in a]
    square = sum(v * v for v in a)
    if math.isqrt(square) ** 2 == square:
        assert exact.norm(vector) == Fraction(math.isqrt(square), denominator)
    else:
        with pytest.raises(
            ValueError, match=f"not rational: its square is {sum(v * v for v in vector)}"
        ):
            exact.norm(vector)


@pytest.mark.parametrize(
    ("n", "d"),
    [(1, 3), (2, 2), (2, 3), (2, 4), (3, 4), (3, 2), (4, 2), (5, 2), (4, 3), (5, 1), (3, 3)],
)
def test_perm_k(n, d):
    law = exact.perm_k(n, d)
    assert sum(chance for chance, _ in law) == 1
    assert len({rows for _, rows in law}) == len(law)
    for i, j in np.ndindex(n, d):
        assert exact.expectation(law, lambda rows, i=i, j=j: Fraction(rows[i][j])) == 1
        square = exact.expectation(law, lambda rows, i=i, j=j: Fraction(rows[i][j]) ** 2)
        assert float(square - 1) == pytest.approx(theory.perm_k_omega(d, n), rel=1e-14, abs=1e-14)
    for _, rows in law:
        kept = (floats(rows) != 0).sum(axis=1)
        shared = (floats(rows) != 0).sum(axis=0)
        assert max(kept) - min(kept) <= 1 and max(shared) - min(shared) <= 1
        assert min(shared) >= 1 and kept.sum() == max(n, d)
        # The factors of a coordinate have the sum n.
        np.testing.assert_allclose(floats(rows).sum(axis=0), n)


@pytest.mark.parametrize(
    ("n", "d"), [(2, 2), (2, 3), (2, 4), (3, 4), (3, 2), (4, 2), (5, 2), (5, 3)]
)
def test_errors_of_perm_k(n, d):
    rows = np.random.default_rng(n * d).integers(-9, 10, (n, d))
    error = exact.sparsified_error(fractions(rows.tolist()), exact.perm_k(n, d))
    assert theory.perm_k_mse(rows.astype(float)) == pytest.approx(float(error), rel=1e-12)


def test_one_coordinate_of_a_client_is_rounded_without_error():
    for n, d in ((3, 3), (4, 2)):
        X, law = fractions([row[:d] for row in ROWS[:n]]), exact.perm_k(n, d)
        assert exact.sparsified_error(X, law, iq_bits) == exact.sparsified_error(X, law) > 0


def test_rounding_what_perm_k_keeps():
    # Two clients keep two of four coordinates, doubled: rounding adds d / n - 1 times
    # n |a_i|^2 for each, over n^2.
    X, law = fractions(PARTS[:2]), exact.perm_k(2, 4)
    rounding = Fraction(2 * (25 + 100), 4)
    assert exact.sparsified_error(X, law, iq_bits) == exact.sparsified_error(X, law) + rounding


@pytest.mark.parametrize("tau", [1, 2, 3])
@pytest.mark.parametrize("bits", [None, iq_bits])
def test_errors_of_sampling(tau, bits):
    q = [Fraction(1, 2), Fraction(1, 8), Fraction(3, 8)]
    for rows in itertools.combinations(ROWS, 3):
        error = float(exact.sampling_error(fractions(rows), q, tau, bits))
        found = theory.importance_sampling_mse(
            floats(rows), [float(v) for v in q], tau, omega=2 if bits else 0
        )
        assert found == pytest.approx(error, rel=1e-12)


def test_sampling_of_two_draws_by_all_its_outcomes():
    X, q = fractions(ROWS[:2]), [Fraction(1, 4), Fraction(3, 4)]
    mean = [sum(column) / 2 for column in zip(*X, strict=True)]
    error = Fraction(0)
    for i, k in itertools.product(range(2), repeat=2):
        sent = [(a / (2 * q[i]) + b / (2 * q[k])) / 2 for a, b in zip(X[i], X[k], strict=True)]
        error += q[i] * q[k] * sum((s - m) ** 2 for s, m in zip(sent, mean, strict=True))
    assert exact.sampling_error(X, q, 2) == error
