"""Bits against error of Algorithm 3: values, figure and caption."""

import numpy as np
import pytest

from cqbook.evidence import batch_errors
from cqbook.evidence.figures import permk_bits
from tests.helpers import Z


def test_errors_given_permutations():
    X = np.random.default_rng(0).standard_normal((4, 4))
    errors = permk_bits.errors_given_permutations(X, 2, draws=3000, rng=np.random.default_rng(1))
    expected = float(batch_errors.permk_cq_mse(X[None], 2)[0])
    assert abs(errors.mean() - expected) < Z * errors.std(ddof=1) / 3000**0.5
    one = permk_bits.errors_given_permutations(X, 1, draws=9, rng=np.random.default_rng(1))
    assert one == pytest.approx([batch_errors.cq_mse(X[None])[0]])


@pytest.fixture(scope="module")
def curve():
    return permk_bits.curves(4, 16, draws=20, seed=0)


def test_curves_of_permk(curve):
    assert curve.blocks.tolist() == [1, 2, 4, 0] * 2
    assert curve.bits.tolist() == [48, 40, 36, 128] * 2
    equal = curve[curve.inputs == "equal"]
    assert equal.PermK_IQ[:3].tolist() == pytest.approx([15 / 4, 14 / 4, 12 / 4])  # (d - b) / n
    assert equal.PermK_CQ.iloc[3] == pytest.approx(0, abs=1e-12)
    assert (equal.PermK_CQ[:3] <= equal.b_d_over_n2[:3]).all()
    assert equal.PermK_CQ[2] == equal.PermK_IQ[2]


def test_curves_of_permk_are_drawn(curve):
    left, right = permk_bits.draw(curve).axes
    shown = next(line for line in left.lines if line.get_label() == "PermK+CQ")
    np.testing.assert_array_equal(shown.get_ydata(), curve.PermK_CQ[:3])
    assert "PermK:\nno error" in {text.get_text() for text in left.texts}
    assert {"b = 1", "b = 2", "b = 4", "PermK"} == {text.get_text() for text in right.texts}


def test_permk_in_words(curve):
    text = permk_bits.in_words(curve, 4, 16)
    assert text.startswith("n = 4, d = 16, Gaussian vectors. For equal inputs PermK+CQ with b = 2 ")
    assert "needs 1.2 times fewer bits than CQ (b = 1)" in text  # 48 / 40
    assert "At b = n" in text and "Errors of zero" not in text
    alone = permk_bits.in_words(permk_bits.curves(1, 4, draws=2, seed=0), 1, 4)
    assert "for b = 1 (the constant as read: 0.25)" in alone and "At b = n" not in alone
    whole = permk_bits.in_words(permk_bits.curves(4, 4, draws=2, seed=0), 4, 4)
    assert "Errors of zero are not drawn." in whole  # d = n: one coordinate each
