"""Checks of Definition 1: they pass for unbiased laws, and each can fail."""

import math
from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import dithering_constants, unbiased_laws
from cqbook.evidence.vectors import vector

RIGHT = {"formula": Fraction(1), "closed_form": 1.0, "omega": 0.5}
COIN = [(Fraction(1, 2), vector(1)), (Fraction(1, 2), vector(3))]  # mean 2, error 1


@pytest.mark.parametrize(
    ("changed", "fails"),
    [
        ({}, set()),
        ({"formula": Fraction(2)}, {"formula"}),
        ({"closed_form": 1.001}, {"closed form"}),
        ({"omega": 0.2}, {"in bound"}),  # 0.2 * 4 < 1
    ],
)
def test_each_check_can_fail(changed, fails):
    found = unbiased_laws.checks(COIN, vector(2), **(RIGHT | changed))
    assert tuple(found) == unbiased_laws.CHECKS
    assert {name for name, true in found.items() if not true} == fails


def test_bias_is_seen():
    found = unbiased_laws.checks(COIN, vector(3), formula=Fraction(2), closed_form=2.0, omega=1.0)
    assert not found["unbiased"] and found["formula"] and found["closed form"]


@pytest.mark.parametrize("name", dithering_constants.NAMES)
@pytest.mark.parametrize("q", [1, 2, math.inf])
def test_ditherings(name, q):
    assert all(unbiased_laws.dithering(name, vector(2, -3, 6), q, 3).values())
    assert unbiased_laws.within_sharp(name, vector(2, -3, 6), 3)


def test_others():
    x = vector(2, 0, -1, 2)
    assert all(unbiased_laws.natural_compression(x).values())
    assert all(unbiased_laws.rand_k(x, 3).values()) and all(unbiased_laws.one_bit(x).values())


def test_a_smaller_constant_is_exceeded(monkeypatch):
    smaller = lambda name, d, s: 0.99 * dithering_constants.sharp(name, d, s)  # noqa: E731
    monkeypatch.setattr(unbiased_laws, "sharp", smaller)
    assert not unbiased_laws.within_sharp("standard_dithering", vector(1, 1, 1, 1), 1)


def test_constants_by_hand():
    standard, natural = dithering_constants.NAMES
    assert dithering_constants.sharp(standard, 36, 2) == 2  # 6 / 2 - 1
    assert dithering_constants.sharp(standard, 4, 2) == 0.25  # 4 / 16
    assert dithering_constants.sharp(natural, 100, 3) == 1.5  # 10 / 4 - 1
    assert dithering_constants.sharp(natural, 9, 2) == pytest.approx(1 / 8 + 2 / 9 * 9 / 4)
    assert dithering_constants.published(standard, 36, 9) == pytest.approx(36 / 81)
    assert dithering_constants.published(natural, 9, 2) == pytest.approx(1 / 8 + 3 / 2)


def test_the_library_could_use_others(monkeypatch):
    monkeypatch.setitem(dithering_constants.OMEGAS, "natural_dithering", lambda d, q, s: d / 8.0)
    assert not dithering_constants.library_uses_sharp_ones()


def test_shares_of_vectors():
    ratio = dithering_constants.share_of_sharp("standard_dithering", 4, 1)
    x = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [3.0, 4, 0, 0]])
    np.testing.assert_allclose(ratio(x), [1, 0, 0, (35 - 25) / 25], atol=1e-12)
