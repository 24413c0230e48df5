"""The kernels round with the probabilities of the definitions; other laws are detected."""

import numpy as np
import pytest

from cqbook.evidence import kernel_laws


@pytest.mark.parametrize("name", ["standard_dithering", "natural_dithering"])
def test_laws_of_ditherings(name, monkeypatch):
    right = kernel_laws.dithering_laws(name, 2)
    assert len(right) == 257 and all(right)
    down = lambda y, levels: [(1, max(v for v in levels if v <= y))]  # noqa: E731
    monkeypatch.setattr(kernel_laws, "rounding", down)
    wrong = kernel_laws.dithering_laws(name, 2)
    assert wrong[0] and wrong[256] and not any(wrong[1:128])


def test_laws_of_one_bit(monkeypatch):
    assert all(kernel_laws.one_bit_laws(4)) and len(kernel_laws.one_bit_laws(4)) == 257 * 5
    biased = np.minimum(kernel_laws.grid_words(), 2**31)
    monkeypatch.setattr(kernel_laws, "grid_words", lambda: biased)
    assert not all(kernel_laws.one_bit_laws(4))


@pytest.mark.parametrize("q", [1.0, 3.5, np.inf])
def test_outputs_are_neighbouring_levels(q, monkeypatch):
    x = np.array([0.5, -1.25, 0.0, 2.0])
    assert kernel_laws.sends_neighbouring_levels("standard_dithering", x, q, 3, seed=1)
    shifted = lambda name, s: [0.1 + k / s for k in range(s + 1)]  # noqa: E731
    monkeypatch.setattr(kernel_laws, "dithering_levels", shifted)
    assert not kernel_laws.sends_neighbouring_levels("standard_dithering", x, q, 3, seed=1)
