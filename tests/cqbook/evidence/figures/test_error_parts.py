"""Parts of the error: exact values and the figure."""

import numpy as np
import pytest

from cqbook.evidence import dependence, exact
from cqbook.evidence.figures import error_parts
from cqbook.evidence.vectors import as_floats, vector


def test_one_threshold_by_all_outcomes():
    X = [vector(2, 3, 6), vector(1, 2, -2), vector(0, 3, 4)]
    error = exact.quantization_error(X, dependence.one_threshold_bits)
    assert error_parts.one_threshold_mse(as_floats(X)) == pytest.approx(float(error), rel=1e-12)


def test_directions_are_normalised():
    common, apart = error_parts.directions(4, 6, seed=1)
    assert common @ common == pytest.approx(1) and (apart**2).sum() == pytest.approx(4)
    np.testing.assert_allclose([apart.mean(axis=0).max(), abs(apart @ common).max()], 0, atol=1e-12)
    with pytest.raises(ValueError, match="two clients and two coordinates at least: n=1, d=6"):
        error_parts.directions(1, 6, seed=1)


def test_curves_of_the_parts():
    table = error_parts.curves(4, 16, np.array([0.0, 1.0]), seed=0)
    equal, opposite = table.iloc[0], table.iloc[1]
    assert equal["one threshold for all"] == pytest.approx(1)  # as for a single client
    assert [equal["IQ"], opposite["IQ"]] == pytest.approx([1 / 4] * 2)  # for all inputs
    assert equal["PermK"] == pytest.approx(0, abs=1e-12)
    assert opposite["PermK"] == pytest.approx(1 / 3)  # A = B = 1, omega = n - 1, no mean
    assert equal["CQ"] < equal["IQ"]


def test_parts_are_drawn():
    table = error_parts.curves(4, 16, np.linspace(0, 1, 41) ** 2, seed=0)
    left, right = error_parts.draw(table, 4).axes
    heights = [bar.get_height() for bar in left.patches[:8]]
    totals = np.array(heights[0::2]) + heights[1::2]
    np.testing.assert_allclose(totals, table.iloc[0, 1:].to_numpy(dtype=float), atol=1e-15)
    for line, name in zip(right.lines, table.columns[1:], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), table[name])
