"""Labels of points in a crowded panel, placed with the least overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

FONT_SIZE = 8
_REACHES = (1, 1.4, 2, 2.8)  # distances to try, in sizes of the label
_LINE_FROM = 1.5  # from this distance on, a label gets a line to its point

Box = tuple[float, float, float, float]  # centre, half the width and half the height, in pixels


@dataclass(frozen=True)
class Label:
    """The label of a point.

    Args:
        x: x of the point, in data coordinates.
        y: y of the point.
        text: a short text.
        color: colour of text and line.
        bar_to: if given, a vertical bar from the point to this height is kept free, too.
    """

    x: float
    y: float
    text: str
    color: str
    bar_to: float | None = None


def place(ax: Axes, labels: Sequence[Label], *, floor: float) -> None:
    """Write labels near their points, but not on points, bars, the floor or other labels.

    Args:
        ax: panel with final limits and position.
        labels: the labels, in the order in which they are placed.
        floor: a horizontal line that is kept free.
    """
    unit, frame = ax.figure.dpi / 72, ax.get_window_extent()
    to_pixels, to_data = ax.transData.transform, ax.transData.inverted().transform
    bottom = to_pixels((1, floor))[1]
    taken: list[Box] = [((frame.x0 + frame.x1) / 2, bottom, frame.width / 2, 0.5 * unit)]
    for label in labels:
        px, py = to_pixels((label.x, label.y))
        taken.append((px, py, 5 * unit, 5 * unit))
        if label.bar_to is not None:
            end = to_pixels((label.x, label.bar_to))[1]
            taken.append((px, (py + end) / 2, 1.5 * unit, abs(end - py) / 2))
    inside = (frame.x0, frame.x1, frame.y0, frame.y1)
    for label in labels:
        px, py = to_pixels((label.x, label.y))
        wide, high = (2.6 * len(label.text) + 1) * unit, 4 * unit
        reach, cx, cy = _best_place((px, py), (wide, high), taken, inside, unit)
        taken.append((cx, cy, wide, high))
        tx, ty = to_data((cx, cy))
        centred: dict[str, Any] = {"ha": "center", "va": "center"}
        ax.text(tx, ty, label.text, fontsize=FONT_SIZE, color=label.color, **centred)
        if reach > _LINE_FROM:
            share = 1 - min(wide / (abs(cx - px) + 1), high / (abs(cy - py) + 1), 0.9)
            ex, ey = to_data((px + share * (cx - px), py + share * (cy - py)))
            ax.plot([label.x, ex], [label.y, ey], "-", color=label.color, lw=0.5, zorder=1)


def _best_place(
    point: tuple[float, float],
    half: tuple[float, float],
    taken: Sequence[Box],
    inside: tuple[float, float, float, float],
    unit: float,
) -> tuple[float, float, float]:
    """Return distance and centre of the box near a point, in the panel, with the least overlap."""
    (px, py), (wide, high), (left, right, low, top) = point, half, inside
    options = []
    for reach in _REACHES:
        for angle in np.arange(0, 2 * np.pi, np.pi / 6):
            cx = px + (wide + 5 * unit) * np.cos(angle) * reach
            cy = py + (high + 6 * unit) * np.sin(angle) * reach
            cover = sum(
                max(0, wide + w - abs(cx - ox)) * max(0, high + h - abs(cy - oy))
                for ox, oy, w, h in taken
            )
            fits = left + wide < cx < right - wide and low + high < cy < top - high
            options.append((cover + 1e6 * (not fits) + 8 * reach, reach, cx, cy))
    _, reach, cx, cy = min(options)
    return reach, cx, cy
