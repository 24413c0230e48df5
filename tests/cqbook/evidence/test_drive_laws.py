"""DRIVE in fractions and sampled, against small cases and its constant."""

from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import batch_errors, drive_laws
from cqbook.evidence.vectors import as_floats, vector
from cqlib import theory
from tests.helpers import Z


def test_the_algebra_is_right_and_depends_on_its_constants(monkeypatch):
    assert drive_laws.lemma_algebra()
    monkeypatch.setattr(drive_laws.sp, "pi", drive_laws.sp.Integer(4))  # then 10 / pi < 3
    assert not drive_laws.lemma_algebra()


def test_the_lemma_holds_and_is_nearly_tight():
    shares = drive_laws.lemma_share(np.geomspace(0.05, 1e4, 500))
    assert 0.99 < shares.max() < 1


def test_four_equal_entries_by_hand():
    # For half of the signs the rotated vector has one nonzero entry, and is sent exactly. For the
    # others the error is 3 |x|^2.
    outcomes = drive_laws.hadamard_outcomes(vector(1, 1, 1, 1))
    assert len(outcomes) == 16
    errors = sorted(sum((v - 1) ** 2 for v in z) for z in outcomes)
    assert errors == [0] * 8 + [12] * 8
    assert drive_laws.bias_and_error(vector(1, 1, 1, 1)) == (0, Fraction(3, 2))


@pytest.mark.parametrize("x", [vector(5, 3, 2, 1), vector(1, 0, 0, "-1/3")])
def test_fractions_agree_with_floats(x):
    bias, error = drive_laws.bias_and_error(x)
    floats = as_floats([x])
    mean, errors = batch_errors.drive_hadamard(floats)
    size = float((floats**2).sum())
    assert float(error) == pytest.approx(errors[0] / size, rel=1e-12)
    assert float(bias) == pytest.approx(((mean - floats) ** 2).sum() / size, rel=1e-12)


def test_two_coordinates():
    assert drive_laws.two_coordinates(4, 2, 0, Fraction(-9, 10)) == (True, True, 16)
    # For |t| > 1 the other entry is kept.
    assert not drive_laws.two_coordinates(4, 2, 0, Fraction(3, 2)).always_decoded_alike


def test_uniform_rotations_have_their_constant():
    x = np.array([1.0, -2.0, 0.5, 0.0])
    errors = drive_laws.sampled_uniform_errors(x, clients=50, rounds=10, seed=3)
    assert errors.shape == (500,)
    error = errors.std(ddof=1) / 500**0.5
    assert abs(errors.mean() - theory.drive_omega(4)) < Z * error


def test_equal_clients_do_not_help_a_hadamard_rotation():
    options = {"d": 8, "clients": 32, "rounds": 3, "seed": 0}
    hadamard = drive_laws.equal_clients("hadamard", 0.9, **options)
    uniform = drive_laws.equal_clients("uniform", 0.9, **options)
    assert hadamard.always_decoded_alike and not uniform.always_decoded_alike
    np.testing.assert_allclose(hadamard.errors, 0.81, rtol=1e-5)
    assert uniform.errors.shape == (3,) and uniform.errors.max() < 0.1
