"""Standard errors, scores and their limits."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from scipy.stats import t as student

from cqbook.evidence import sampling
from cqlib import Key
from cqlib.compressors import make


def test_errors_of_rounds_are_those_of_the_compressor():
    X, c = torch.tensor([[3.0, 4.0], [0.0, 5.0]], dtype=torch.float64), make("iq")
    found = sampling.squared_errors(c, X, rounds=3, seed=7, first_round=2)
    expected = [
        float(((c.compress(X, key=Key(7, r)).mean(0) - X.mean(0)) ** 2).sum()) for r in (2, 3, 4)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(set(found)) > 1


def test_scores_by_hand():
    samples = np.array([[1.0, 10.0], [3.0, 10.5], [5.0, 11.0]])
    np.testing.assert_allclose(sampling.standard_error(samples), [2 / 3**0.5, 0.5 / 3**0.5])
    np.testing.assert_allclose(sampling.scores(samples, [2.0, 11.0]), [3**0.5 / 2, -(3**0.5)])
    assert isinstance(sampling.scores(samples[:, 0], 2.0), float)


@pytest.mark.parametrize("rounds", [3, 20, 10_000])
@pytest.mark.parametrize("quotient", [-4.0, -0.3, 0.7, 6.0])
def test_normal_scores_have_the_tail_of_students_t(quotient, rounds):
    score = float(sampling.normal_scores(2 * quotient, 2.0, rounds))
    assert np.sign(score) == np.sign(quotient)
    assert norm.sf(abs(score)) == pytest.approx(student.sf(abs(quotient), rounds - 1), rel=1e-9)


def test_far_scores_stay_numbers():
    assert 30 < sampling.normal_scores(1e30, 1.0, 1000) < 40


@pytest.mark.parametrize("tests", [1, 12])
def test_limits_share_the_level(tests):
    assert 2 * tests * norm.sf(sampling.limit(1e-3, tests)) == pytest.approx(1e-3)
    assert 2 * tests * student.sf(sampling.student_limit(1e-3, tests, 7), 6) == pytest.approx(1e-3)
    assert sampling.student_limit(1e-3, tests, 7) > sampling.limit(1e-3, tests)


def test_the_radius_holds_for_a_rare_value():
    # A value of probability 1/100 is missing in 20 samples, whose mean is 0.
    samples = np.zeros((20, 1))
    radius = sampling.bernstein_radius(samples, np.ones(1), 1e-2)
    assert radius[0] == pytest.approx(7 * np.log(400) / (3 * 19)) and radius[0] > 1 / 100


def test_the_radius_has_both_terms():
    samples = np.array([0.0, 1.0, 0.0, 1.0])  # sample variance 1/3
    log = np.log(4 / 1e-3)
    assert sampling.bernstein_radius(samples, 1.0, 1e-3) == pytest.approx(
        (2 / 3 * log / 4) ** 0.5 + 7 * log / 9
    )
