"""Vectors in fractions, by hand and against NumPy."""

from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import vectors
from cqbook.evidence.vectors import vector


def test_numbers_become_fractions():
    assert vector(3, "-5/7", Fraction(1, 2)) == [Fraction(3), Fraction(-5, 7), Fraction(1, 2)]


def test_terms_of_the_ab_inequality_by_hand():
    X = [vector(1, 0), vector(0, 3)]
    assert vectors.average(X) == vector("1/2", "3/2")
    assert vectors.mean_squares(X) == (5, Fraction(5, 2))
    assert vectors.ab_bound(3, 2, X) == 10


@pytest.mark.parametrize(("n", "d"), [(1, 3), (4, 2)])
def test_terms_of_the_ab_inequality_against_floats(n, d):
    X = vectors.integer_vectors(np.random.default_rng(n), n, d, size=5)
    floats = vectors.as_floats(X)
    assert floats.shape == (n, d) and np.abs(floats).max() <= 5
    mean_square, square_of_mean = vectors.mean_squares(X)
    assert vectors.same(mean_square, (floats**2).sum() / n)
    assert vectors.same(square_of_mean, (floats.mean(0) ** 2).sum())
    assert vectors.same(vectors.inner(X[0], X[-1]), float(floats[0] @ floats[-1]))


def test_integers_reach_both_ends():
    X = vectors.integer_vectors(np.random.default_rng(0), 20, 20, size=2)
    assert {v for row in X for v in row} == {-2, -1, 0, 1, 2}


def test_the_same_number_is_near_and_not_more():
    assert vectors.same(Fraction(1, 3), 1 / 3 + 1e-13)
    assert not vectors.same(Fraction(1, 3), 1 / 3 + 1e-11)
    assert vectors.same(Fraction(10**6), 1e6 + 1e-7) and not vectors.same(
        Fraction(10**6), 1e6 + 1e-5
    )
