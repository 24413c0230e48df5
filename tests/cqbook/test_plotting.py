"""Equal inputs give figures of equal bytes, saved with their data."""

from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from cqbook.cells import plotting


def draw() -> plotting.Shown:
    fig, ax = plt.subplots()
    ax.plot([1, 2], [3, 4])
    return plotting.show(fig, "line", data=pd.DataFrame({"x": [1, 2]}), caption="A line.")


def test_same_figure_same_bytes_and_closed() -> None:
    assert draw().svg == draw().svg
    assert not plt.get_fignums()


def test_saved_with_its_data_where_the_run_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQLIB_RESULTS", str(tmp_path))
    shown = draw()
    assert (tmp_path / "line.svg").read_text() == shown.svg
    assert (tmp_path / "line.csv").read_text() == "x\n1\n2\n"


def test_nothing_saved_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQLIB_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    draw()
    assert not list(tmp_path.iterdir())


def test_what_a_notebook_shows() -> None:
    bundle, metadata = draw()._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<?xml") and "date" not in bundle["image/svg+xml"]
    assert metadata == {"cqlib": {"figure": "line", "caption": "A line."}}


def test_colours_differ_in_grey() -> None:
    """Neighbouring colours differ in lightness, and all dashes differ."""
    rgb = [mpl.colors.to_rgb(color) for color in plotting.COLORS[:4]]
    grey = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in rgb)
    assert min(b - a for a, b in pairwise(grey)) > 0.03
    assert len(set(map(str, plotting.DASHES))) == len(plotting.DASHES) == len(plotting.COLORS)
