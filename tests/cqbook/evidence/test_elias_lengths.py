"""Lengths of QSGD's codes: expectation against enumeration and samples."""

import numpy as np
import pytest

from cqbook.evidence import elias_lengths
from tests.helpers import Z


@pytest.mark.parametrize("x", [[1.0, 0.0], [0.6, 0.0, -0.8], [0.5, -0.5, 0.5, 0.5]])
def test_expected_lengths_are_those_of_all_outcomes(x):
    x = np.array(x)
    found, expected = elias_lengths.expected_lengths(x, 1), elias_lengths.enumerated_lengths(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_one_certain_coordinate_by_hand():
    # Dense: level 1 plus one takes 3 bits, and a sign; level 0 takes 1 bit.
    # Sparse: gap, sign and level take a bit each.
    dense, sparse = elias_lengths.expected_lengths(np.array([1.0, 0.0]), 1)
    assert (dense, sparse) == (32 + 3 + 1 + 1, 32 + 1 + 1 + 1)


def test_samples_have_the_expected_length():
    a = np.random.default_rng(0).standard_normal(16)
    mean, error = elias_lengths.sampled_sparse_length(a, 3, clients=16, seed=0)
    expected = elias_lengths.expected_lengths(a, 3)[1]
    assert 0 < error < 3 and abs(mean - expected) < Z * error
