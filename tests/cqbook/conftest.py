"""Every test draws in the style of the notebooks, and leaves no figure open for the next."""

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from cqbook.cells import plotting


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with mpl.rc_context():
        plotting.use_style()
        yield
    plt.close("all")
