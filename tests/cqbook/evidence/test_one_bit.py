"""Checks of IQ and CQ: they pass for the paper's laws, and each fails for some wrong law."""

from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import exact, one_bit_laws, one_bit_samples
from cqbook.evidence.vectors import vector
from cqlib import theory
from cqlib.compressors import make
from tests.helpers import Z


def test_means_and_variances_by_hand():
    law = [(Fraction(1, 2), (1, 1)), (Fraction(1, 2), (0, 1))]
    assert one_bit_laws.bit_means(law, 2) == [Fraction(1, 2), 1]
    assert one_bit_laws.mean_variance(law, 2) == Fraction(1, 16)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_equal_positions(n):
    found = one_bit_laws.equal_positions(Fraction(1, 2 * n), n)
    assert all(found.values()) and set(found) == {*one_bit_laws.OF_EQUAL, "attained"}
    assert not one_bit_laws.equal_positions(Fraction(0), n)["attained"]


def test_each_check_of_equal_positions_can_fail(monkeypatch):
    y = Fraction(1, 4)
    monkeypatch.setattr(one_bit_laws, "cq_bits", exact.iq_bits)
    found = one_bit_laws.equal_positions(y, 3)
    assert {name for name, right in found.items() if not right} == {
        "CQ exact",
        "CQ bound",
        "attained",
    }
    tripled = lambda y: exact.iq_bits([3 * v for v in y])  # noqa: E731
    monkeypatch.setattr(one_bit_laws, "iq_bits", tripled)
    assert not one_bit_laws.equal_positions(Fraction(1, 5), 3)["IQ mean"]
    together = lambda y: [(y[0], (1,) * len(y)), (1 - y[0], (0,) * len(y))]  # noqa: E731
    monkeypatch.setattr(one_bit_laws, "iq_bits", together)
    found = one_bit_laws.equal_positions(Fraction(1, 2), 3)
    assert found["IQ mean"] and not found["IQ exact"] and not found["IQ bound"]


@pytest.mark.parametrize("y", [vector("1/7", "6/7"), vector("2/7", "3/7", 1)])
def test_unequal_positions(y):
    found = one_bit_laws.unequal_positions(y)
    assert tuple(found) == one_bit_laws.OF_UNEQUAL and all(found.values())


def test_each_check_of_unequal_positions_can_fail(monkeypatch):
    low, high = vector("1/3", "2/3")
    together = lambda y: [(low, (1, 1)), (low, (0, 1)), (1 - 2 * low, (0, 0))]  # noqa: E731
    monkeypatch.setattr(one_bit_laws, "cq_bits", together)
    found = one_bit_laws.unequal_positions([low, high])
    assert found["unbiased"] and not any(found[name] for name in one_bit_laws.OF_UNEQUAL[1:])
    assert not one_bit_laws.unequal_positions([low, low])["unbiased"]


@pytest.mark.parametrize("kind", ["shift", "permutation"])
def test_all_orders_are_equally_likely(kind):
    scores = one_bit_samples.order_scores(kind, 3, draws=600, seed=1)
    assert scores.shape == (6,) and 0 < np.abs(scores).max() < Z
    assert one_bit_samples.every_rank_once(kind, 5, 50, seed=1)


def test_other_ranks_are_seen(monkeypatch):
    def always_in_order(kind, key, d, clients, n):
        return np.tile(np.asarray(clients)[:, None], (1, d))

    monkeypatch.setattr(one_bit_samples, "ranks_of", always_in_order)
    assert np.abs(one_bit_samples.order_scores("shift", 3, draws=600, seed=1)).max() > Z
    monkeypatch.setattr(one_bit_samples, "ranks_of", lambda *a: 0 * always_in_order(*a))
    assert not one_bit_samples.every_rank_once("shift", 3, 50, seed=1)


@pytest.mark.parametrize(("name", "mse"), [("iq", theory.iq_mse), ("cq", theory.cq_mse)])
def test_decoded_values_and_errors(name, mse):
    X = np.random.default_rng(0).standard_normal((4, 6))
    found = one_bit_samples.decode(make(name), X, rounds=200, seed=2)
    assert found.two_values and found.errors.shape == (200,)
    error = found.errors.std(ddof=1) / 200**0.5
    assert abs(found.errors.mean() - mse(X)) < Z * error


def test_other_values_are_seen():
    X = np.random.default_rng(0).standard_normal((4, 6))
    assert not one_bit_samples.decode(make("terngrad"), X, rounds=3, seed=2).two_values


def test_outliers():
    number, distance, y = one_bit_samples.outliers(100)
    assert number == 32 and distance == pytest.approx(100**-0.2 / 4)
    assert (y != 0.5).sum() == 32 and y.mean() == pytest.approx(0.5)
    assert np.abs(y - 0.5).max() == pytest.approx(distance)
