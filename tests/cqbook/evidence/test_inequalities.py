"""The inequalities: worst inputs are stored, and a search finds no worse ones."""

import functools
import json

import numpy as np
import pytest

from cqbook.evidence import INEQUALITIES, attack, worst_input
from cqbook.evidence.worst_inputs import FILE

pytestmark = pytest.mark.slow

each_inequality = pytest.mark.parametrize("name", INEQUALITIES)
TOO_SMALL = [name for name, inequality in INEQUALITIES.items() if not inequality.valid]
SLOW = [name for name in INEQUALITIES if "logistic" in name]
# True statements that are not tight, at least in these dimensions.
LOOSE = [
    "standard dithering, d = 10, four levels",
    "natural dithering, d = 16, three levels",
    "Corollary 2, valid constant, n = 5, d = 16",
    "Corollary 3, valid constant, n = 8, d = 8, b = 2",
    "bound of Suresh et al., n = 12",
    "Theorem 3, ISCC of IQ, four rounds",
    "Theorem 2, ISCC of IQ, up to the largest stepsize",
    "Corollary 4, at most root n times cheaper",
    "valid constants: natural_dithering, s = 3, n = 3, d = 4",
    *SLOW,
]


@functools.cache
def searched(name):
    evaluations = 512 if name in SLOW else 4096
    inequality = INEQUALITIES[name]
    return attack(inequality.ratio, inequality.size, evaluations=evaluations, restarts=2, seed=17)


def replayed(name):
    return float(INEQUALITIES[name].ratio(worst_input(name))[0])


def test_a_worst_input_is_stored_for_every_inequality():
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert stored.keys() == INEQUALITIES.keys()
    for name, at in stored.items():
        assert len(at) == INEQUALITIES[name].size
        assert worst_input(name).tolist() == [at]
        assert max(map(abs, at)) <= 1
    assert all(name == inequality.name for name, inequality in INEQUALITIES.items())


def test_there_is_no_worst_input_of_an_unknown_inequality():
    with pytest.raises(
        ValueError, match="no worst input is stored for 'nothing'; known: .*TernGrad"
    ):
        worst_input("nothing")


@each_inequality
def test_the_worst_input_stored_decides_as_claimed(name):
    if INEQUALITIES[name].valid:
        assert 0 < replayed(name) <= 1 + 1e-9
    else:
        assert replayed(name) > 1.5


@each_inequality
def test_a_short_search_finds_nothing_worse(name):
    assert searched(name).ratio <= replayed(name) * (1 + 1e-6)


@pytest.mark.parametrize("name", [n for n in INEQUALITIES if n not in LOOSE + TOO_SMALL])
def test_tight_inequalities_are_reached(name):
    assert replayed(name) > 1 - 1e-4


@pytest.mark.parametrize("name", TOO_SMALL)
def test_a_short_search_refutes_a_constant_that_is_too_small(name):
    found = searched(name)
    assert found.ratio > 1.5
    assert INEQUALITIES[name].ratio(np.array([found.at]))[0] == pytest.approx(found.ratio, rel=1e-9)


def test_there_are_constants_that_are_too_small():
    assert {name.split(",")[0] for name in TOO_SMALL} == {
        "Corollary 2",
        "Corollary 3",
        "DRIVE with Hadamard rotation against pi/2 - 1",
        "Theorem 2",
        "constant as read: iq",
        "constant for equal inputs: cq",
    }


@each_inequality
def test_a_ratio_does_not_depend_on_its_neighbours(name):
    inequality = INEQUALITIES[name]
    z = np.random.default_rng(2).uniform(-1, 1, (12, inequality.size))
    together = inequality.ratio(z)
    assert together.shape == (12,) and np.isfinite(together).all()
    one_by_one = [inequality.ratio(row[None])[0] for row in z]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-7, atol=1e-12)
    if inequality.valid:
        assert (together <= 1 + 1e-9).all()


@each_inequality
def test_no_ratio_is_one_of_roundings(name):
    inequality = INEQUALITIES[name]
    rng = np.random.default_rng(3)
    z = rng.uniform(-1, 1, (30, inequality.size))
    edges = rng.integers(-1, 2, (30, inequality.size)).astype(float)
    scales = 10.0 ** rng.uniform(-16, 0, (30, 1))
    mixed = np.where(rng.random(z.shape) < 0.5, z, 1e-9 * z)
    for inputs in (z * scales, edges, edges * scales, mixed, z * 0):
        found = inequality.ratio(inputs)
        assert np.isfinite(found).all()
        assert not inequality.valid or (found <= 1 + 1e-9).all()
