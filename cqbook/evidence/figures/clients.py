"""Error of the mean against the number of clients."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cqbook.cells.plotting import COLORS


def error_against_clients(curve: pd.DataFrame, title: str) -> Figure:
    """Draw exact and sampled errors of IQ and CQ, and CQ's for equal clients.

    Args:
        curve: columns compressor (iq, cq), clients, exact, sampled, two_standard_errors,
            equal_clients.
        title: of the figure.
    """
    fig, ax = plt.subplots()
    for name, color, dash in (("iq", COLORS[1], "-."), ("cq", COLORS[2], "-")):
        own = curve[curve.compressor == name]
        label = name.upper()
        ax.plot(own.clients, own.exact, color=color, linestyle=dash, label=f"{label}, exact")
        style: dict[str, Any] = {"fmt": "o", "color": color, "markersize": 4, "capsize": 2}
        bars = own.two_standard_errors
        ax.errorbar(own.clients, own.sampled, bars, label=f"{label}, sampled", **style)
    own = curve[curve.compressor == "cq"]
    ax.plot(own.clients, own.equal_clients, ":", color=COLORS[3], label="CQ, equal clients")
    ticks = [k for k in 2 ** np.arange(1, 11) if k <= curve.clients.max()]
    ax.set(xscale="log", yscale="log", xlabel="clients $n$")
    ax.set_ylabel(r"MSE of the mean / mean $\|a_i\|^2$")
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    ax.set_title(title)
    ax.legend(ncols=2, fontsize=9)
    return fig
