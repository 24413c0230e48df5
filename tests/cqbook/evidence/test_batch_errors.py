"""Errors of batches of inputs, against errors of single inputs."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import batch_errors, exact
from cqbook.evidence.exact import cq_bits
from cqlib import theory
from tests.cqbook.evidence.inputs import floats


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 4), (2, 3), (5, 2), (9, 6)])
def test_batches_of_quantizers(n, d):
    X = np.random.default_rng(n + d).standard_normal((6, n, d)) ** 3
    X[0, 0] = 0
    np.testing.assert_allclose(batch_errors.iq_mse(X), [theory.iq_mse(x) for x in X], rtol=1e-12)
    expected = [theory.cq_mse(x) for x in X]
    np.testing.assert_allclose(batch_errors.cq_mse(X), expected, rtol=1e-9, atol=1e-12)
    y = np.random.default_rng(d).random((6, n, d))
    found = batch_errors.cq_variance(y) / n**2
    expected = [[theory.cq_variance(column) for column in x.T] for x in y]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def test_variance_of_weighted_clients():
    y = [Fraction(1, 3), Fraction(1, 2), Fraction(4, 5)]
    weights = [Fraction(2), Fraction(1, 2), Fraction(5)]
    expected = float(exact.count_variance(cq_bits(y), weights))
    found = batch_errors.cq_variance(floats(y)[None, :, None], floats(weights)[None, :, None])
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("D", [1, 2, 4])
def test_drive_by_all_its_signs(D):
    H = np.array([[1.0]])
    while len(H) < D:
        H = np.block([[H, H], [H, -H]])
    H /= math.sqrt(D)
    x = np.random.default_rng(D).standard_normal(D)
    decoded = []
    for signs in itertools.product((1.0, -1.0), repeat=D):
        R = H * np.array(signs)
        y = R @ x
        decoded.append(R.T @ (np.sign(y) * (y @ y) / np.abs(y).sum()))
    mean, error = batch_errors.drive_hadamard(np.stack([x, np.zeros(D)]))
    np.testing.assert_allclose(mean[0], np.mean(decoded, axis=0), rtol=1e-12, atol=1e-14)
    assert error[0] == pytest.approx(
        np.mean([np.sum((v - x) ** 2) for v in decoded]), rel=1e-12, abs=1e-14
    )
    assert error[1] == 0 and not mean[1].any()
