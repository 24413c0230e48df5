"""Figures are drawn in the style of the notebooks, and closed."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest

from cqbook.cells import plotting


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    plotting.use_style()
    yield
    plt.close("all")
