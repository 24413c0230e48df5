"""Laws of random vectors, by hand."""

from fractions import Fraction

from cqbook.evidence import exact, laws
from cqbook.evidence.vectors import vector

THIRD, HALF = Fraction(1, 3), Fraction(1, 2)


def test_independent_coordinates():
    law = laws.independent([[(THIRD, 1), (1 - THIRD, 0)], [(HALF, 4), (HALF, -4)]])
    assert sum(chance for chance, _ in law) == 1
    assert (Fraction(1, 6), [1, -4]) in law and len(law) == 4
    assert laws.independent([]) == [(1, [])]


def test_mean_and_error_by_hand():
    law = [(THIRD, vector(3, 0)), (1 - THIRD, vector(0, 3))]
    mean, error = laws.mean_and_error(law, vector(1, 1))
    assert mean == vector(1, 2) and error == 5  # every outcome is (2, -1) or (-1, 2) away


def test_error_is_variance_and_squared_bias():
    law = laws.independent([[(THIRD, Fraction(1)), (1 - THIRD, Fraction(4))]] * 2)
    mean, error = laws.mean_and_error(law, vector(0, 0))
    assert mean == vector(3, 3) and error == 2 * (9 * THIRD * (1 - THIRD) + 9)


def test_means_of_clients():
    assert laws.client_means(exact.perm_k(2, 3), 2, 3) == [vector(1, 1, 1)] * 2
    law = [(HALF, ((0, 2), (4, 6))), (HALF, ((2, 0), (0, 0)))]
    assert laws.client_means(law, 2, 2) == [vector(1, 1), vector(2, 3)]
