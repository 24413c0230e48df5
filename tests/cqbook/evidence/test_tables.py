"""Rows of Tables 2 and 4."""

import numpy as np
import pytest

from cqbook.evidence import tables
from cqlib.compressors import make


def test_vectors_have_all_shapes():
    rng = np.random.default_rng(0)
    gaussian = rng.standard_normal((3, 4))
    vectors = tables.varied_vectors(gaussian, rng)
    assert len(vectors) == 4 * 7 + 10 + 3 + 3 and all(a.shape == (4,) for a in vectors)
    assert any(a.tolist() == [1, 0, 0, 0] for a in vectors)
    assert any(a.tolist() == [1, 1 / 3, 1 / 3, 1 / 3] for a in vectors)  # the worst of TernGrad
    assert sum(any(np.array_equal(a, row) for row in gaussian) for a in vectors) == 3


def test_the_worst_is_taken():
    flat, single = np.ones(4), np.array([1.0, 0, 0, 0])
    cq = make("cq")
    assert tables.worst_of_equal_clients(cq, 2, [single, flat]) == pytest.approx(1)  # d / n^2
    assert tables.worst_of_equal_clients(cq, 2, [single]) == pytest.approx(0)  # ends and middle


def test_row_of_table_2():
    row = tables.row_of_table_2(make("iq"), 4, 16, [np.ones(16)])
    assert row == pytest.approx({"bits": 48, "stated": 1, "valid": 15 / 4, "worst found": 15 / 4})
    assert set(tables.compressors_of_table_2()) >= {"IQ", "CQ", "TernGrad"}


def test_row_of_table_4():
    row = tables.row_of_table_4("CQ", make("cq"), 4, 16, kind="homogeneous", measured="1 ± 0")
    assert row == ("CQ", "48", "0.25", "0", "1", "0", "1 ± 0")
    valid = tables.row_of_table_4("CQ", make("cq"), 4, 16, kind="valid", measured="")
    assert valid[4:6] == ("3.75", "0")
    none = tables.row_of_table_4("", make("drive"), 4, 16, kind="valid", measured="")
    assert none[4:6] == ("none", "")
