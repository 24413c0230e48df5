"""Clients with shared randomness, and the parts of the error of their mean, by hand."""

from fractions import Fraction

import pytest

from cqbook.evidence import composition, dependence, exact
from cqbook.evidence.laws import client_means
from cqbook.evidence.vectors import ab_bound, squared_norm, vector

MIXED = [vector(2, 3, 6), vector(1, 2, -2), vector(0, 3, 4)]


def test_one_threshold():
    third, half = Fraction(1, 3), Fraction(1, 2)
    assert dependence.one_threshold_bits([third, half]) == [
        (third, (1, 1)),
        (half - third, (0, 1)),
        (half, (0, 0)),
    ]
    for y in ([third, half, third], [Fraction(0), Fraction(1)]):
        law = dependence.one_threshold_bits(y)
        assert [sum(chance * bits[i] for chance, bits in law) for i in range(len(y))] == y


@pytest.mark.parametrize("together", [True, False])
def test_rand_k(together):
    law = dependence.rand_k_factors(2, 3, 2, together=together)
    assert sum(chance for chance, _ in law) == 1 and len(law) == (3 if together else 9)
    assert all(rows[0] == rows[1] for _, rows in law) == together
    assert client_means(law, 2, 3) == [vector(1, 1, 1)] * 2


@pytest.mark.parametrize("bits", [exact.iq_bits, exact.cq_bits, dependence.one_threshold_bits])
def test_parts_of_one_bit_rounding_are_the_error(bits):
    parts = dependence.one_bit_parts(MIXED, bits)
    assert parts.variances + parts.covariances == 9 * parts.error
    # A client's own error is (d - 1) |a|^2 for any dependence of the clients.
    assert [parts.matrix[i][i] for i in range(3)] == [2 * squared_norm(x) for x in MIXED]


def test_signs_of_the_covariances():
    assert not any(dependence.one_bit_parts(MIXED, exact.iq_bits).off_diagonal)
    assert max(dependence.one_bit_parts(MIXED, exact.cq_bits).off_diagonal) <= 0
    equal = dependence.one_bit_parts([vector(3, 4)] * 2, dependence.one_threshold_bits)
    assert equal.matrix == [[25, 25], [25, 25]] and equal.off_diagonal == [25, 25]


def test_parts_of_perm_k():
    parts = dependence.sparse_parts(MIXED, exact.perm_k(3, 3))
    assert parts.off_diagonal == dependence.negative_products(MIXED)
    assert parts.off_diagonal[:2] == [4, -33]  # -(2 + 6 - 12) and -(9 + 24)
    assert parts.variances + parts.covariances == 9 * parts.error
    together = dependence.sparse_parts(MIXED, dependence.rand_k_factors(3, 3, 1, together=True))
    assert together.off_diagonal[1] == 2 * 33


def test_quantize_first_by_hand():
    # PermK of one client sends all coordinates: only the error of rounding is left.
    assert composition.quantize_first_error([vector(3, 4)], exact.perm_k(1, 2)) == 25
    # Two equal clients, d = 2: rounding errors of 25 each, halved by the mean, and PermK's
    # A = B = 1 on the rounded vectors b_i = a + e_i: (E|b|^2 - E<b_1, b_2>) / 2.
    found = composition.quantize_first_error([vector(3, 4)] * 2, exact.perm_k(2, 2))
    assert found == Fraction(25, 2) + Fraction(50 - 25, 2)


@pytest.mark.parametrize(
    "X", [[vector(3, 4, 0, 0)] * 2, [vector(3, 4, 0, 0), vector(0, -12, 5, 0)]]
)
def test_orders_reach_their_constants(X):
    orders = composition.orders(2, 4)
    assert len({order.label for order in orders}) == 4
    for order in orders:
        assert order.error(X) == ab_bound(Fraction(order.A), Fraction(order.B), X)
