"""Overflow of Global-QSGD's sums: it occurs with the published choices, never in the library."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from cqbook.evidence.overflow import exponents_in_seven_bits, linear_in_eight_bits
from cqlib import Key, theory
from cqlib.compressors import make


@pytest.mark.parametrize(("n", "mean"), [(2, 0.496), (4, 0.362), (8, 0.307)])
def test_published_linear_levels_overflow_eight_bits(n, mean):
    found = linear_in_eight_bits(n)
    assert found.lost == pytest.approx((1 - 1 / n) ** n, rel=1e-12)
    assert found.mean == pytest.approx(mean, abs=5e-4)


def test_published_linear_levels_overflow_in_torch_as_well():
    """Sums of eight-bit integers with independent rounding overflow as often as predicted."""
    n, draws = 4, 100_000
    generator = torch.Generator().manual_seed(1)
    rounded = torch.floor(127 / n + torch.rand(draws, n, generator=generator))
    total = rounded.to(torch.int8)
    wrapped = total[:, 0].clone()
    for client in range(1, n):
        wrapped += total[:, client]
    lost = float((wrapped < 0).double().mean())
    expected = linear_in_eight_bits(n).lost
    assert abs(lost - expected) < 5 * (expected * (1 - expected) / draws) ** 0.5


@pytest.mark.parametrize(
    ("n", "reduction", "lost"),
    [(3, "tree", 1 / 9), (5, "tree", 3 / 25), (4, "fold", 1 / 8), (16, "fold", 0.165)],
)
def test_published_exponents_lose_the_largest_sums(n, reduction, lost):
    found = exponents_in_seven_bits(n, reduction)
    assert found.lost == pytest.approx(lost, abs=5e-4)
    assert found.mean < 1 - lost


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_published_exponents_suffice_for_a_balanced_tree(n):
    found = exponents_in_seven_bits(n, "tree")
    assert found.lost == 0 and found.mean == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n", [*range(1, 20), 31, 64, 127])
def test_head_room_of_the_library_is_enough_for_any_number_of_clients(n):
    s = theory.most_levels(n)
    assert n * s <= 127 < n * (s + 1)
    assert linear_in_eight_bits(n, Fraction(s)) == (0.0, 1.0)
    depth = (n - 1).bit_length()
    assert theory.most_levels(n, levels="exponential") + depth == 127
    tree = exponents_in_seven_bits(n, "tree", headroom=2.0 * 2**depth)
    assert tree.lost == 0 and tree.mean == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_head_room_for_one_client_after_the_other_is_an_exponent_each(n):
    found = exponents_in_seven_bits(n, "fold", headroom=2.0**n)
    assert found.lost == 0 and found.mean == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 16, 33, 127])
@pytest.mark.parametrize("levels", ["linear", "exponential"])
def test_sums_of_the_largest_vectors_come_back(n, levels):
    """The sum is largest if every client is at plus or minus the norm."""
    X = torch.tensor([[3.0, -3.0]]).expand(n, 2)
    c = make("global_qsgd", levels=levels, s=theory.most_levels(n, levels=levels))
    means = torch.stack([c.mean(X, key=Key(7, r)) for r in range(200)]).double()
    if levels == "linear":
        assert (means == X[0]).all()
    else:
        worst = 2.0 ** np.ceil(np.log2(n)) / n * 3 * (1 + 1e-6)  # as a float32
        assert means.abs().max() <= worst and (means[:, 0] > 0).all()
        error = theory.global_qsgd_mse(X.numpy(), levels=levels, s=c.s, reduction="tree") / 2
        assert abs(float(means[:, 0].mean()) - 3) <= 5 * (error / 200) ** 0.5 + 1e-12
