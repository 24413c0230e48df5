"""Figure of all compressors: bits per coordinate against the relative error of the mean."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from cqbook.cells import labels, plotting
from cqbook.evidence.zoo import FLOOR

FAMILIES = {
    "sparsifiers": ("s", plotting.COLORS[5]),
    "dithering": ("^", plotting.COLORS[3]),
    "IQ": ("v", plotting.COLORS[1]),
    "CQ": ("o", plotting.COLORS[2]),
    "DRIVE": ("D", plotting.COLORS[4]),
    "combinations": ("P", plotting.COLORS[0]),
}
_BITS = "bits_per_coordinate"


def draw(points: pd.DataFrame, *, n_clients: list[int], title: str) -> Figure:
    """Draw a column for each n, homogeneous inputs above heterogeneous ones.

    Args:
        points: a row per compressor, n and kind of inputs. Columns are those of
            :func:`cqbook.evidence.zoo.measure`, and ``n``, ``inputs``, ``compressor`` (the short
            name), ``family`` and ``what`` (the name).
        n_clients: numbers of clients; the legend is in the empty panel below n = 1, or else in an
            extra panel at the right.
        title: title of the figure.
    """
    columns = [*n_clients, *([] if 1 in n_clients else [None])]
    widths = [1.0 if n else 0.65 for n in columns]  # the last may hold a legend only
    fig, axes = plt.subplots(
        2,
        len(columns),
        figsize=(3.7 * sum(widths), 7.4),
        width_ratios=widths,
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    floor = _set_limits(axes[0, 0], points)
    panels: dict[Axes, pd.DataFrame] = {}
    for (row, column), ax in np.ndenumerate(axes):
        n, kind = columns[column], ("homogeneous", "heterogeneous")[row]
        panel = points[(points.n == n) & (points.inputs == kind)]
        if panel.empty:
            _draw_legend(ax, points) if row else ax.axis("off")
            continue
        panels[ax] = panel
        _draw_panel(ax, panel, floor)
        ax.set_title(f"$n$ = {n}" + (f", {kind}" if n != 1 else ""))
        if row or n == 1:
            ax.set_xlabel("bits per coordinate")
            ax.tick_params(labelbottom=True)
        if column == 0 or (row and columns[column - 1] == 1):
            ax.set_ylabel(r"error of the mean / mean $\|a_i\|^2$")
            ax.tick_params(labelleft=True)
    fig.suptitle(title, fontsize=11)
    fig.tight_layout()
    fig.canvas.draw()
    for ax, panel in panels.items():
        labels.place(ax, _labels(panel, floor), floor=floor)
    return fig


def _set_limits(ax: Axes, points: pd.DataFrame) -> float:
    """Set the common limits of all panels; return the height at which zero errors are drawn."""
    values = points[["sampled", "exact", "bound"]].to_numpy()
    values = values[values > FLOOR]
    floor, bits = float(values.min() / 3), points[_BITS]
    ax.set(xscale="log", yscale="log", xlim=(bits.min() / 2, bits.max() * 2))
    ax.set(ylim=(floor / 4, values.max() * 4))
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    return floor


def _draw_panel(ax: Axes, panel: pd.DataFrame, floor: float) -> None:
    """Draw sampled errors with two standard errors, and exact values, or else bounds."""
    strokes: list[tuple[Any, ...]] = []
    for family, (marker, color) in FAMILIES.items():
        own = panel[panel.family == family]
        style: dict[str, Any] = {"color": color, "linestyle": "none"}
        shown = own.assign(sampled=own.sampled.clip(lower=floor))
        ax.plot(shown[_BITS], shown.sampled, marker, ms=4, zorder=3, **style)
        exact = own[own.exact > floor]
        ax.plot(exact[_BITS], exact.exact, marker, ms=8, mfc="none", mew=0.8, **style)
        bounded = shown[shown.exact.isna() & (shown.bound > floor)]
        if len(bounded):
            ax.plot(bounded[_BITS], bounded.bound, "_", ms=9, **style)
        for p in own[own.sampled > floor].to_dict("records"):
            two = min(2 * p["standard_error"], 0.9 * p["sampled"])
            ends = p["sampled"] - two, p["sampled"] + two
            strokes.append((p[_BITS], *ends, color, "-", 1.0))
        for p in bounded.to_dict("records"):
            strokes.append((p[_BITS], p["sampled"], p["bound"], color, ":", 0.8))
    x, low, high, colors, styles, widths = zip(*strokes, strict=True)
    ax.vlines(x, low, high, colors=colors, linestyles=styles, linewidths=widths)
    ax.axhline(floor, color="black", lw=0.6)
    ax.minorticks_off()


def _labels(panel: pd.DataFrame, floor: float) -> list[labels.Label]:
    return [
        labels.Label(
            x=p[_BITS],
            y=max(p["sampled"], floor),
            text=p["compressor"],
            color=FAMILIES[p["family"]][1],
            bar_to=p["bound"] if np.isnan(p["exact"]) and p["bound"] > floor else None,
        )
        for p in panel.to_dict("records")
    ]


def _draw_legend(ax: Axes, points: pd.DataFrame) -> None:
    """Draw the families with their members, and the meaning of the marks."""
    handles = []
    for family, (marker, color) in FAMILIES.items():
        members = points[points.family == family].drop_duplicates("compressor")
        text = "\n".join(f"{m['compressor']}: {m['what']}" for m in members.to_dict("records"))
        style: dict[str, Any] = {"marker": marker, "color": color, "linestyle": "none"}
        handles.append(Line2D([], [], markersize=5, label=text, **style))
    ring: dict[str, Any] = {"marker": "o", "linestyle": "none", "mfc": "none", "color": "black"}
    handles.append(Line2D([], [], label="open mark: exact value", markersize=8, **ring))
    bar: dict[str, Any] = {"marker": "_", "linestyle": ":", "lw": 0.8, "color": "black"}
    handles.append(Line2D([], [], label="short line: valid bound", **bar))
    ax.axis("off")
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 1.07)}
    box = ax.legend(handles=handles, fontsize=7.6, labelspacing=0.4, **place)
    box.set_in_layout(False)
