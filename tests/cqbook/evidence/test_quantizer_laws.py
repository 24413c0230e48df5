"""Laws of dithering, sparsification and one-bit rounding, by hand."""

import math
from fractions import Fraction

import pytest

from cqbook.evidence import quantizer_laws as laws
from cqbook.evidence.laws import mean_and_error
from cqbook.evidence.vectors import squared_norm, vector

STANDARD, NATURAL = "standard_dithering", "natural_dithering"


def test_levels():
    assert laws.dithering_levels(STANDARD, 3) == vector(0, "1/3", "2/3", 1)
    assert laws.dithering_levels(NATURAL, 3) == vector(0, "1/4", "1/2", 1)
    with pytest.raises(ValueError, match="standard_dithering or natural_dithering, got 'iq'"):
        laws.dithering_levels("iq", 3)


def test_norms():
    x = vector(2, -3, 6)
    assert [laws.q_norm(x, q) for q in (1, 2, math.inf)] == [11, 7, 6]
    with pytest.raises(ValueError, match="q must be 1, 2 or infinity, got 3"):
        laws.q_norm(x, 3)


def test_a_level_is_kept():
    levels = laws.dithering_levels(NATURAL, 2)
    assert laws.neighbours(Fraction(1, 2), levels) == (Fraction(1, 2), Fraction(1, 2))
    assert laws.rounding(Fraction(1, 2), levels) == [(1, Fraction(1, 2))]


def test_rounding_between_levels():
    levels = laws.dithering_levels(NATURAL, 2)
    assert laws.rounding(Fraction(7, 8), levels) == [
        (Fraction(1, 4), Fraction(1, 2)),
        (Fraction(3, 4), Fraction(1)),
    ]


def test_a_quantized_vector_by_hand():
    # (3, -4) over 5 is (0.6, -0.8): levels 0 and 1.
    law = laws.quantized(vector(3, -4), 5, laws.dithering_levels(STANDARD, 1))
    assert sorted(law) == sorted(
        [
            (Fraction(2, 25), [0, 0]),
            (Fraction(8, 25), [0, -5]),
            (Fraction(3, 25), [5, 0]),
            (Fraction(12, 25), [5, -5]),
        ]
    )
    assert laws.quantization_variance(
        vector(3, -4), 5, laws.dithering_levels(STANDARD, 1)
    ) == 25 * (Fraction(6, 25) + Fraction(4, 25))


@pytest.mark.parametrize("levels", [laws.dithering_levels(STANDARD, 2), laws.POWERS])
def test_variance_is_that_of_the_law(levels):
    x = vector("1/3", "-1/5", 0)
    mean, error = mean_and_error(laws.quantized(x, 1, levels), x)
    assert mean == x and error == laws.quantization_variance(x, 1, levels) > 0
    assert laws.error_share(x, 1, levels) == error / squared_norm(x)


def test_rand_k():
    law = laws.rand_k(vector(1, 2, 3), 2)
    assert law == [
        (Fraction(1, 3), vector("3/2", 3, 0)),
        (Fraction(1, 3), vector("3/2", 0, "9/2")),
        (Fraction(1, 3), vector(0, 3, "9/2")),
    ]


def test_one_bit():
    law = laws.one_bit(vector(3, 4))
    assert sum(chance for chance, _ in law) == 1 and len(law) == 4
    assert (Fraction(4, 5) * Fraction(9, 10), [5, 5]) in law
