"""The steps of Algorithm 2, and errors by number of clients."""

import numpy as np
import pytest

from cqbook.evidence import exact
from cqbook.evidence.figures import correlated
from cqbook.evidence.vectors import vector


def test_the_example_is_a_draw_of_algorithm_2():
    example = correlated.example_of_steps()
    assert sorted(example.cell) == list(range(6))
    inside = 6 * example.correlated_threshold - example.cell
    assert ((inside > 0) & (inside < 1)).all()
    assert len(set(example.position)) == 1


def test_the_steps_are_drawn():
    example = correlated.example_of_steps()
    *_, cells, compare, coins = correlated.draw_steps(example).axes
    assert [bar.get_x() for bar in cells.patches] == pytest.approx(list(example.cell / 6))
    for ax, column in ((compare, "correlated_threshold"), (coins, "independent_threshold")):
        ups = int((example[column] < example.position).sum())
        assert ax.texts[0].get_text() == f"{ups} of 6 up"
        drawn = [line.get_xdata()[0] for line in ax.lines[1:]]
        assert drawn == pytest.approx(list(example[column]))


def test_shares_of_the_bound():
    table = correlated.shares_of_bound(np.array([1.0, -1.0, 1.0, 1.0]), 8)
    share = table.set_index("n").share_of_bound
    assert share.index.min() == 2 and share.index.max() == 9
    assert share[2] == pytest.approx(1)  # d = 4: attained by signs for n = 2
    a = vector(1, -1, 1, 1)
    error = exact.quantization_error([a] * 3, exact.cq_bits)
    assert share[3] == pytest.approx(float(error * 9 / 16))
    with pytest.raises(ValueError, match="d_curve must be at least 2, got 1"):
        correlated.shares_of_bound(np.ones(1), 8)


def test_shares_are_drawn():
    table = correlated.shares_of_bound(np.random.default_rng(0).standard_normal(16), 20)
    ax = correlated.draw_shares(table, 16).axes[0]
    even = table[table.n % 2 == 0]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), even.n)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), even.share_of_bound)
    np.testing.assert_allclose([line.get_ydata()[0] for line in ax.lines[2:5]], [1, 2 / 3, 1 / 4])
