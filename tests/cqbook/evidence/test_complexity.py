"""Predicted gains of IQ and CQ against scans over p, and their limits."""

from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import gains
from cqbook.evidence.figures import complexity as figures
from cqbook.evidence.limit_factors import enclose_root, factor, limit_factor, polynomial
from cqlib import theory

# --- limits --------------------------------------------------------------------------------------


def test_polynomials_by_hand():
    assert polynomial((2, -3, 1), Fraction(3)) == 10
    with pytest.raises(ValueError, match="negative at 2 and positive at 1"):
        enclose_root((1, 0, -2), 2, 1)
    assert enclose_root((1, -1), 0, 3, steps=2) == (Fraction(3, 4), Fraction(3, 2))


@pytest.mark.parametrize("root_A", [Fraction(1, 2), Fraction(1)])
def test_limits_are_minima(root_A):
    found = limit_factor(root_A)
    u = np.linspace(0, 50, 200_001)
    scan = (1 + u**2 / 32) * (1 + u * float(root_A)) / (1 + u**2)
    assert found.certain and found.factor == pytest.approx(scan.min(), abs=1e-9)
    assert found.p == pytest.approx(1 / (1 + u[scan.argmin()] ** 2), rel=1e-3)
    assert found.over_cq == 32 * found.factor
    assert factor(Fraction(1), root_A) == Fraction(33, 64) * (1 + root_A)


def test_a_constant_without_an_integer_polynomial_is_refused():
    with pytest.raises(ValueError, match="62 / root_A must be an integer, got 62/3"):
        limit_factor(Fraction(3))


# --- gains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [0.25, 1.0])
def test_speedups_are_those_of_the_scan(kappa):
    found = gains.speedups(2000, 300, kappa)
    iq = theory.improvement_factor(kappa * 2000 / 300, 2000).factor
    cq = theory.improvement_factor(kappa * 2000 / 300**2, 2000).factor
    assert np.allclose(found, [1 / iq, 1 / cq, iq / cq], rtol=1e-6)


def test_the_largest_gain_is_larger_than_its_neighbours():
    gain, n = gains.largest_gain(500, 1.0)
    every = gains.speedups(500, np.arange(1.0, 5001.0), 1.0).cq_over_iq
    assert gain == pytest.approx(every.max()) and n == every.argmax() + 1


@pytest.mark.parametrize("correlated", [False, True])
def test_thresholds_divide_gain_from_none(correlated):
    ratio = gains.threshold_ratio(correlated=correlated, kappa=1.0)
    assert gains.falls_back(10**6, ratio, correlated=correlated, kappa=1.0)
    assert not gains.falls_back(10**6, 2 * ratio, correlated=correlated, kappa=1.0)
    assert not gains.falls_back(10**6, ratio / 2, correlated=correlated, kappa=1.0)


def test_a_local_search_can_be_worse_than_gradient_descent():
    assert gains.local_search(25.0, 1000) > 1.5 > theory.improvement_factor(25.0, 1000).factor == 1
    easy = theory.improvement_factor(0.25, 123).factor
    assert gains.local_search(0.25, 123) == pytest.approx(easy, rel=1e-4)


def test_costs_are_within_their_bounds():
    d, n = np.meshgrid(np.geomspace(2, 1e5, 9), np.geomspace(2, 1e5, 9))
    found = gains.costs(d, n, 1.0, correlated=False)
    assert found.within and found.above_floor and (found.cost <= d * (1 + 1e-9)).all()
    assert (gains.costs(d, n, 1.0, correlated=True).cost <= found.cost * (1 + 1e-9)).all()


def test_costs_outside_their_bounds_are_found(monkeypatch):
    d, n, right = np.full((1, 1), 1e4), np.full((1, 1), 1e4), theory.improvement_factors
    monkeypatch.setattr(theory, "improvement_factors", lambda A, d: right(A, d) / 40)
    found = gains.costs(d, n, 1.0, correlated=True)
    assert not found.within and not found.above_floor


# --- figures -------------------------------------------------------------------------------------


def test_maps_hold_the_gains():
    maps = figures.gain_maps(0.25, 8)
    table = maps.table()
    assert len(table) == 64 and maps.d[0] == 10 and maps.n[-1] == pytest.approx(1e7)
    row = table.iloc[37]
    assert [row.iq, row.cq] == pytest.approx(list(gains.speedups(row.d, row.n)[:2]))
    *panels, bar = figures.figure_4(maps).axes
    drawn = np.asarray(panels[2].images[0].get_array())
    assert np.allclose(drawn, maps.cq / maps.iq) and bar.get_ylabel() == "times fewer bits"
    assert [len(ax.lines) for ax in panels] == [1, 1, 2]


def test_the_approach_is_drawn():
    d = np.geomspace(10, 1e9, 5)
    ratios = {"one": np.arange(5.0), "two": 2 * np.arange(5.0)}
    fig = figures.approach(d, ratios, {"one": 4.0, "two": 8.0}, {"a9a": 123})
    (ax,) = fig.axes
    assert list(ax.lines[2].get_ydata()) == list(ratios["two"])
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["one\n(limit 4.00)", "two\n(limit 8.00)", "a9a"]
