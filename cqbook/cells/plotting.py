"""The style of figures, and figures that are saved with their data."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler
from matplotlib.figure import Figure

from cqbook.cells import results
from cqlib.files import write_atomic

# Readable in grey: colours differ in lightness, lines in dashes.
COLORS = ("#1f1f1f", "#d95f02", "#08519c", "#3f9b57", "#a05fb5", "#8a8a8a")
DASHES = ("--", "-.", "-", (0, (5, 1, 1, 1, 1, 1)), ":", (0, (8, 2)))

_PATH = re.compile(r' d="[^"]*"')
_LONG = re.compile(r"(\d\.\d\d)\d+")  # two decimals of a point are enough for any screen


def use_style() -> None:
    """Set the style of all figures; equal figures give equal bytes of SVG."""
    mpl.rcParams.update(
        {
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=DASHES),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.dpi": 110,
            "figure.figsize": (6.4, 4.0),
            "font.size": 10.5,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            # An opaque background is readable in the book's dark mode, too.
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "svg.hashsalt": "cqlib",
        }
    )


class Shown:
    """A figure in a notebook, with its caption."""

    def __init__(self, name: str, svg: str, caption: str) -> None:
        self.name, self.svg, self.caption = name, svg, caption

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        bundle = {"image/svg+xml": self.svg, "text/plain": f"Figure {self.name}: {self.caption}"}
        return bundle, {"cqlib": {"figure": self.name, "caption": self.caption}}


def show(fig: Figure, name: str, *, data: pd.DataFrame, caption: str) -> Shown:
    """Show a figure, and save it with its data in the results of the run.

    Args:
        fig: the figure; it is closed afterwards.
        name: file name without ending, unique in the notebook.
        data: the numbers of the figure, saved as CSV with six significant digits.
        caption: description of the figure, and the finding.

    Returns:
        An object to display, as the last expression of the cell. The variable ``CQLIB_RESULTS``
        of ``cqlib run`` names the folder of results; without it nothing is saved.
    """
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(fig)
    svg = _PATH.sub(lambda path: _LONG.sub(r"\1", path[0]), buffer.getvalue())
    if folder := os.environ.get("CQLIB_RESULTS"):
        write_atomic(Path(folder) / f"{name}.svg", svg)
    results.save(name, data)
    return Shown(name, svg, caption)
