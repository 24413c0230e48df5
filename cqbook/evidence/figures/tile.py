"""A tile of one-bit codes as a table of bits by bytes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cqbook.cells.plotting import COLORS


def layout(sizes: Mapping[str, int]) -> pd.DataFrame:
    """Return the coordinates of each bit in tiles of these sizes.

    Args:
        sizes: numbers of coordinates m, 1 to 1024, by the tile's title.

    Returns:
        A row for each bit with a coordinate: tile, bit, half (of the bits), word (of the
        block), bytes, first and last coordinate.

    >>> layout({"nine": 9})[["bit", "bytes", "first", "last"]].values.tolist()[-1]
    [4, 2, 8, 8]
    """
    rows = []
    for title, m in sizes.items():
        width = -(-m // 8)
        for bit in range(-(-m // width)):
            first, last = bit * width, min((bit + 1) * width, m) - 1
            rows.append((title, bit, bit // 4, bit % 4, width, first, last))
    return pd.DataFrame(rows, columns=["tile", "bit", "half", "word", "bytes", "first", "last"])


def tiles(sizes: Mapping[str, int]) -> Figure:
    """Draw tiles of these sizes, one panel each, coloured by the word of the block.

    Args:
        sizes: numbers of coordinates, 1 to 1024, by the tile's title.
    """
    table = layout(sizes)
    fig, axes = plt.subplots(
        len(sizes), figsize=(6.4, 2.5 * len(sizes)), squeeze=False, layout="constrained"
    )
    for ax, (title, m) in zip(axes[:, 0], sizes.items(), strict=True):
        _tile(ax, table[table.tile == title], m)
        ax.set_title(f"{title}: $m$ = {m}, $L$ = {-(-m // 8)}", fontsize=10, loc="left")
    axes[-1, 0].set_xlabel("byte $l$ of the tile; at the right, the coordinates of each row")
    return fig


def _tile(ax: Axes, table: pd.DataFrame, m: int) -> None:
    width = -(-m // 8)
    filled = dict(zip(table.bit, table["last"] - table["first"] + 1, strict=True))
    for bit in range(8):
        _row(ax, bit, int(filled.get(bit, 0)), width)
        if bit in filled:
            first, last = bit * width, bit * width + int(filled[bit]) - 1
            span = f"{first} .. {last}" if last > first else f"{last}"
            ax.text(width, bit, f" {span}", va="center", fontsize=8.5)
    if width == 128:
        ax.text(85, 1, "block $256t+l$", va="center", ha="center", fontsize=9)
        ax.text(85, 5, "block $256t+128+l$", va="center", ha="center", fontsize=9)
    shown = width // 3
    ax.add_patch(Rectangle((shown - 0.5, -0.5), 1, 8, fill=False, lw=1.2, ec="black"))
    ax.set(xlim=(-0.5, 128), ylim=(7.5, -0.5), ylabel="bit $k$")
    ax.set_yticks(range(8), [f"{bit}   word {bit % 4}" for bit in range(8)], fontsize=8.5)
    ax.set_xticks(sorted({0, shown, width - 1}))
    ax.grid(False)
    ax.tick_params(length=0)


def _row(ax: Axes, bit: int, filled: int, width: int) -> None:
    """Draw one bit of all bytes; bits without a coordinate are hatched."""
    color, alpha = COLORS[2 if bit < 4 else 1], 0.22 + 0.2 * (bit % 4)
    ax.barh(bit, filled, left=-0.5, height=0.9, color=color, alpha=alpha)
    if filled < width:
        ax.barh(
            bit,
            width - filled,
            left=filled - 0.5,
            height=0.9,
            facecolor="none",
            edgecolor=COLORS[5],
            hatch="////",
            linewidth=0.6,
        )
