"""The search for the worst input of an inequality."""

import numpy as np
import pytest

from cqbook.evidence import attack


def bowl(z):
    return 1 - ((z - 0.25) ** 2).sum(axis=1)


def test_the_search_finds_a_maximum():
    found = attack(bowl, 3, evaluations=6000, restarts=2, seed=5)
    assert found.ratio == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found.at, 0.25, atol=1e-3)
    assert found.ratio == bowl(np.array([found.at]))[0]
    edge = attack(lambda z: z.sum(axis=1), 2, evaluations=4000)
    assert max(map(abs, edge.at)) <= 1 and edge.ratio > 1.99


@pytest.mark.parametrize(
    ("evaluations", "restarts"), [(1, 1), (64, 1), (65, 1), (1000, 3), (999, 4)]
)
def test_every_input_that_is_tried_is_counted(evaluations, restarts):
    shapes = []

    def ratio(z):
        shapes.append(z.shape)
        assert (np.abs(z) <= 1).all()
        return bowl(z)

    found = attack(ratio, 2, evaluations=evaluations, restarts=restarts)
    assert found.evaluations == sum(k for k, _ in shapes) >= evaluations
    assert found.evaluations < evaluations + 2 * 64 * restarts
    assert {size for _, size in shapes} == {2}
    assert found.restarts == restarts


def test_the_seed_of_a_search_decides():
    first, same, other = (attack(bowl, 3, evaluations=500, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first.at != other.at


def test_a_longer_search_with_more_starts_is_no_worse():
    found = [attack(bowl, 4, evaluations=k * 640, restarts=k, seed=1).ratio for k in (1, 2, 4)]
    assert found == sorted(found)


def test_what_is_no_number_is_not_the_worst():
    found = attack(lambda z: np.where(z[:, 0] > 0, np.nan, z[:, 1]), 2, evaluations=2000)
    assert found.at[0] <= 0 and found.ratio > 0.9
    assert attack(lambda z: np.full(len(z), np.nan), 1, evaluations=10).ratio == 0
    assert attack(lambda z: np.full(len(z), -np.inf), 1, evaluations=10).ratio == 0


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"evaluations": 0}, {"restarts": 0}, {"restarts": -2}]
)
def test_searches_of_nothing_are_refused(wrong):
    options = {"size": 2, "evaluations": 10, "restarts": 1} | wrong
    numbers = ", ".join(str(v) for v in options.values())
    with pytest.raises(ValueError, match=f"must be at least 1; got {numbers}"):
        attack(bowl, **options)
