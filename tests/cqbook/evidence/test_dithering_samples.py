"""Tests of sampled ditherings: right ones pass, wrong levels or probabilities do not."""

import numpy as np
import pytest
import torch

from cqbook.evidence import dithering_samples

X = np.array([0.7, -0.3, 0.0, 1.1, -0.02])


@pytest.mark.parametrize("name", ["standard_dithering", "natural_dithering"])
@pytest.mark.parametrize("q", [2, np.inf])
def test_ditherings_pass(name, q):
    found = dithering_samples.levels_sent(name, X, q, 3, seed=0)
    assert found.neighbours and found.tail > 1e-6 and found.z < 5
    assert found.tests == (3 if q == np.inf else 4)  # 0 is a level, the largest is one, too
    assert dithering_samples.keeps_zero(name, q, 3, seed=0)


class Changed:
    """A dithering with changed outputs."""

    def __init__(self, change):
        self.change = change

    def compress(self, X, *, key):
        return self.change(X)


def test_other_levels_and_probabilities_are_seen(monkeypatch):
    x = np.array([0.6, -0.8])  # one level: 0 or 1, with these probabilities

    def always_up(X):
        return torch.sign(X)

    monkeypatch.setattr(dithering_samples, "make", lambda *a, **o: Changed(always_up))
    biased = dithering_samples.levels_sent("standard_dithering", x, 2, 1, seed=0)
    assert biased.neighbours and biased.tail < 1e-100 and biased.z > 15
    assert dithering_samples.keeps_zero("standard_dithering", 2, 1, seed=0)
    monkeypatch.setattr(dithering_samples, "make", lambda *a, **o: Changed(lambda X: X + 0.5))
    assert not dithering_samples.levels_sent("standard_dithering", x, 2, 1, seed=0).neighbours
    assert not dithering_samples.keeps_zero("standard_dithering", 2, 1, seed=0)
