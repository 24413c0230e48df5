"""Variances of a coordinate, and constants against bits."""

import numpy as np

from cqbook.evidence.figures import dithering


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
