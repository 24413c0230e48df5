"""The figure of a tile shows every coordinate once, at its place in the packing."""

import numpy as np
import pytest

from cqbook.evidence.figures import tile
from cqlib.kernels.reference import packing


@pytest.mark.parametrize("m", [1, 7, 9, 452, 1023, 1024])
def test_every_coordinate_has_its_bit(m):
    table = tile.layout({"one": m})
    width = -(-m // 8)
    for row in table.itertuples():
        for j in (row.first, row.last):
            bits = np.zeros(m, dtype=bool)
            bits[j] = True
            codes = packing.pack_bits(bits)
            assert len(codes) == row.bytes == width and codes[j - row.first] == 1 << row.bit
    counts = table["last"] - table["first"] + 1
    assert counts.sum() == m and (table.word == table.bit % 4).all()


def test_tiles_are_drawn():
    top, bottom = tile.tiles({"full": 1024, "rest": 9}).axes
    assert [len(ax.patches) for ax in (top, bottom)] == [8 + 1, 8 + 4 + 1]  # four are padded
    assert [text.get_text() for text in bottom.texts] == [
        " 0 .. 1",
        " 2 .. 3",
        " 4 .. 5",
        " 6 .. 7",
        " 8",
    ]
    assert "block $256t+l$" in [text.get_text() for text in top.texts]
    assert bottom.get_title(loc="left") == "rest: $m$ = 9, $L$ = 2"
