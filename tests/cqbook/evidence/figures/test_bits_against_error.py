"""All compressors in one figure."""

import numpy as np
import pandas as pd
import pytest

from cqbook.evidence.figures import bits_against_error


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
