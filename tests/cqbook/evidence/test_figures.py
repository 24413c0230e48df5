"""Figures of the theory pages: their tables by hand, and that every number is drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cqbook.cells import plotting
from cqbook.evidence import dependence, exact, small_cases
from cqbook.evidence.figures import (
    bits_against_error,
    correlated,
    dithering,
    error_parts,
    permk_bits,
)
from cqbook.evidence.vectors import as_floats, vector
from tests.helpers import Z


@pytest.fixture(autouse=True)
def _closed():
    plotting.use_style()
    yield
    plt.close("all")


def test_variances_of_a_coordinate():
    table = dithering.coordinate_variances(4).set_index("y")
    assert table.standard_dithering[0.125] == 1 / 64  # half way between 0 and 1/4
    assert table.natural_dithering[0.75] == 1 / 16  # half way between 1/2 and 1
    assert (table.loc[[0.0, 0.25, 0.5, 1.0]] == 0).all(axis=None)


def test_constants_and_bits():
    table = dithering.constants_and_bits(64)
    one_bit = table[table.compressor == "one-bit rounding"].iloc[0]
    assert one_bit.omega == 63 and one_bit.bits_per_coordinate == 1.5
    assert set(table[table.compressor == "RandK"].option) == {"K = 16"}  # below d only
    natural = table[table.compressor == "natural dithering"].iloc[0]
    assert natural.omega == 7  # one level: the smaller of the two constants
    assert set(table.compressor) == set(dithering.MARKERS)


def test_ditherings_are_drawn():
    variances, costs = dithering.coordinate_variances(4), dithering.constants_and_bits(256)
    left, right = dithering.draw(variances, costs).axes
    np.testing.assert_array_equal(left.lines[1].get_ydata(), variances.natural_dithering)
    drawn = np.concatenate([line.get_ydata() for line in right.lines])
    np.testing.assert_array_equal(drawn, costs.omega)
    assert {text.get_text() for text in right.texts} == set(dithering.MARKERS)


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
    assert equal["one threshold for all"] == pytest.approx(1)  # as one client alone
    assert [equal["IQ"], opposite["IQ"]] == pytest.approx([1 / 4] * 2)  # whatever the inputs
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


def test_errors_given_permutations():
    X = np.random.default_rng(0).standard_normal((4, 4))
    errors = permk_bits.errors_given_permutations(X, 2, draws=3000, rng=np.random.default_rng(1))
    expected = float(small_cases.permk_cq_mse(X[None], 2)[0])
    assert abs(errors.mean() - expected) < Z * errors.std(ddof=1) / 3000**0.5
    one = permk_bits.errors_given_permutations(X, 1, draws=9, rng=np.random.default_rng(1))
    assert one == pytest.approx([small_cases.cq_mse(X[None])[0]])


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


@pytest.fixture(scope="module")
def points():
    rows = []
    for n, kind in ((1, "homogeneous"), (4, "homogeneous"), (4, "heterogeneous")):
        for k, family in enumerate(bits_against_error.FAMILIES):
            rows.append(
                {
                    "n": n,
                    "inputs": kind,
                    "compressor": f"C{k}",
                    "family": family,
                    "what": f"compressor {k}",
                    "bits_per_coordinate": 1.0 + k,
                    "sampled": 0.0 if k == 0 else 10.0**-k,
                    "standard_error": 0.0 if k == 0 else 10.0 ** -(k + 1),
                    "exact": 10.0**-k if k in (2, 3) else np.nan,
                    "bound": 0.5 if k == 1 else np.nan,
                }
            )
    return pd.DataFrame(rows)


def test_all_compressors_are_drawn(points):
    fig = bits_against_error.draw(points, n_clients=[1, 4], title="title")
    (alone, equal), (legend, unequal) = np.reshape(fig.axes, (2, 2))
    for ax, title in ((alone, "$n$ = 1"), (equal, "$n$ = 4, homogeneous")):
        assert ax.get_title() == title
        assert {text.get_text() for text in ax.texts} == {f"C{k}" for k in range(6)}
    assert unequal.get_title() == "$n$ = 4, heterogeneous"
    texts = [text.get_text() for text in legend.get_legend().get_texts()]
    assert "C0: compressor 0" in texts and texts[-1] == "short line: valid bound"
    floor = 1e-5 / 3
    filled = [y for line in equal.lines for y in line.get_ydata() if line.get_markersize() == 4]
    assert filled == pytest.approx([floor, *(10.0**-k for k in range(1, 6))])
    open_marks = [line for line in equal.lines if line.get_markerfacecolor() == "none"]
    assert [y for line in open_marks for y in line.get_ydata()] == pytest.approx([1e-2, 1e-3])
    bars = [line.get_ydata().tolist() for line in equal.lines if line.get_marker() == "_"]
    assert bars == [[0.5]]


def test_a_legend_beside_the_panels(points):
    fig = bits_against_error.draw(points, n_clients=[4], title="title")
    assert len(fig.axes) == 4 and fig.axes[3].get_legend() is not None
