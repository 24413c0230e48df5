"""The authors' compressors, run as they are."""

import numpy as np
import pytest

from cqbook.evidence import authors_code, exact
from cqbook.evidence.vectors import vector

needs_it = pytest.mark.skipif(not authors_code.installed(), reason="MiniFL is not installed")


@needs_it
@pytest.mark.parametrize("name", ["IQ", "CQ"])
def test_their_errors_are_the_exact_ones(name):
    """Their bound is a quarter of d/n or d/n^2 times |a|^2; the laws are those of our reading."""
    found = authors_code.share(name, np.ones(4), 2, rounds=2000, seed=1)
    X = [vector(1, 1, 1, 1)] * 2
    law = exact.iq_bits if name == "IQ" else exact.cq_bits
    bound = {"IQ": 4 * 4 / (4 * 2), "CQ": 4 * 4 / (4 * 2**2)}[name]
    expected = float(exact.quantization_error(X, law)) / bound
    assert abs(found.share - expected) < 5 * found.error + 1e-6
    assert found.share > 2.5


def test_without_it_there_is_no_version(monkeypatch):
    monkeypatch.setattr(authors_code, "find_spec", lambda name: None)
    assert authors_code.installed() == ""
