"""Means of single clients, exact and sampled; a bias is found."""

from fractions import Fraction

import numpy as np
import pytest

from cqbook.evidence import exact, unbiased_clients
from cqbook.evidence.vectors import vector
from cqlib.compressors import make, names

BRICK = vector(44, 117, 240, 0)


def always_up(y):
    return [(Fraction(1), (1,) * len(y))]


@pytest.mark.parametrize("bits", [exact.iq_bits, exact.cq_bits])
def test_clients_are_unbiased(bits):
    X = [vector(2, 3, 6), vector(0, 0, 0), vector(0, -3, 4)]
    assert unbiased_clients.one_bit_means(X, bits) == X


def test_biased_bits_are_seen():
    X = [vector(3, 4), vector(0, 0)]
    assert unbiased_clients.one_bit_means(X, always_up) == [vector(5, 5), vector(0, 0)]


def test_sparsified_clients_are_unbiased():
    X = [vector(1, 2, 3), vector(-1, 0, 5)]
    assert unbiased_clients.perm_k_means(X) == X
    X = [BRICK, BRICK[::-1], [-v for v in BRICK], BRICK[1:] + BRICK[:1]]
    assert unbiased_clients.permk_cq_means(X) == X
    assert unbiased_clients.rounded_rand_k_mean(BRICK, 2) == BRICK


def test_drawn_clients_are_unbiased():
    X, q = [vector(3, 4), vector(0, -5)], vector("1/4", "3/4")
    assert unbiased_clients.iscc_means(X, q) == X
    # Probabilities with a wrong sum give a wrong mean.
    assert unbiased_clients.iscc_means(X, vector("1/4", "1/4")) == [
        vector("3/2", 2),
        vector(0, "-5/2"),
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [("rand_k", {"k": 4}), ("perm_k", {}), ("terngrad", {}), ("cq", {}), ("drive_plus", {})],
)
def test_ranges_hold_all_values(name, options):
    X = np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32).astype(np.float64)
    X[1, 2:] = 0.0
    spread = unbiased_clients.value_ranges(X)[name]
    compressor = make(name, **options)
    settings = {"rounds": 60, "seed": 0, "level": 1e-8}
    found = unbiased_clients.deviation(compressor, X, spread, **settings)
    assert found.in_range and found.found.shape == found.allowed.shape == (3, 8)
    half = unbiased_clients.deviation(compressor, X, spread / 8, **settings)
    assert not half.in_range


def test_there_is_a_range_for_every_compressor():
    assert set(unbiased_clients.value_ranges(np.ones((2, 4)))) == set(names())


def test_a_bias_is_found():
    X = np.zeros((2, 8))
    X[0, :3] = np.float32([0.0, 1.0, 0.7])
    X[1] = 1.0
    spread = unbiased_clients.value_ranges(X)["drive"]
    settings = {"rounds": 600, "seed": 0, "level": 1e-8}
    off, allowed, _ = unbiased_clients.deviation(make("drive"), X, spread, **settings)
    assert off[0, 2] > allowed[0, 2] and off[0, 2] == pytest.approx(0.7, rel=1e-6)
    fair = make("drive", rotation="uniform")
    off, allowed, _ = unbiased_clients.deviation(fair, X, spread, **settings)
    assert (off <= allowed).all()
