"""Times of means of many clients, extrapolated from two clients by the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from cqbook.network import link_times
from cqlib.distributed import costs
from cqlib.theory import Link


@dataclass(frozen=True)
class Scheme:
    """A scheme whose options may depend on the number of clients.

    Args:
        text: the scheme for ``link_times``, where {levels} stands for the most levels in 8 bits.
        measured: the scheme whose measured computing time is used.
    """

    text: str
    measured: str

    def at(self, n: int) -> str:
        """Return the scheme for n clients.

        >>> SCHEMES["Global-QSGD, integers"].at(40)
        'global_qsgd:s=3/all_reduce'
        """
        return self.text.format(levels=max(1, 127 // n))


SCHEMES = {
    name: Scheme(text, measured or text)
    for name, text, measured in (
        ("float32", "float32", None),
        ("float16", "float16", None),
        ("CQ, all-gather", "cq/all_gather", None),
        ("CQ, two-shot", "cq/two_shot", None),
        ("CQ, compressed twice", "cq/two_shot/iq", None),
        (
            "Global-QSGD, integers",
            "global_qsgd:s={levels}/all_reduce",
            "global_qsgd:s=15/all_reduce",
        ),
        (
            "Global-QSGD, tree",
            "global_qsgd:levels=exponential:s=100/tree",
            "global_qsgd:levels=exponential:s=124/tree",
        ),
    )
}


def seconds(scheme: Scheme, n: int, d: int, *, computing: float, link: Link) -> float:
    """Return the seconds of a mean of n clients, each on its own machine.

    It is the model's time on the wire, plus the computing time measured for two clients, plus, if
    messages are gathered, the time to decode those of the other clients.

    Args:
        scheme: the scheme.
        n: number of clients, at least 2.
        d: number of coordinates.
        computing: seconds of computing for two clients.
        link: latency and bandwidth.
    """
    text = scheme.at(n)
    further = (n - 2) * d / costs.DECODED if "all_gather" in text else 0.0
    return link_times.wire_seconds(text, n, d, link) + computing + further


def extrapolate(
    computing: Mapping[str, float], links: Mapping[float, Link], clients: Iterable[int], d: int
) -> pd.DataFrame:
    """Return the seconds of all ``SCHEMES``: columns rate, n, scheme, seconds.

    Args:
        computing: seconds of computing for two clients, by measured scheme.
        links: latency and bandwidth by rate.
        clients: numbers of clients.
        d: number of coordinates.
    """
    rows = [
        (rate, n, name, seconds(scheme, n, d, computing=computing[scheme.measured], link=link))
        for rate, link in links.items()
        for n in clients
        for name, scheme in SCHEMES.items()
    ]
    return pd.DataFrame(rows, columns=["rate", "n", "scheme", "seconds"])


def first_faster(wide: pd.DataFrame, whole: str = "float32") -> pd.DataFrame:
    """Return the smallest n at which whole floats are faster: rows by scheme, columns by rate.

    Args:
        wide: seconds, rows by rate and scheme, a column for each n, ascending.
        whole: the scheme with which the others are compared.

    >>> index = pd.MultiIndex.from_product([[1e8], ["float32", "cq"]])
    >>> first_faster(pd.DataFrame({2: [2.0, 1.0], 8: [3.0, 4.0]}, index=index)).values.tolist()
    [['8']]
    """
    found: dict[tuple[float, str], str] = {}
    for rate, name in wide.index:
        slower = wide.loc[(rate, name)] > wide.loc[(rate, whole)]
        found[rate, name] = ", ".join(map(str, wide.columns[slower][:1])) or "none"
    table = pd.Series(found).unstack(0)
    others = [name for name in dict.fromkeys(wide.index.get_level_values(1)) if name != whole]
    return table.loc[others]


def break_even(measured: pd.DataFrame, d: int, schemes: Iterable[str]) -> pd.DataFrame:
    """Return the bandwidth at which a scheme takes as long as whole floats.

    Args:
        measured: means over links without a limit, from ``link_times.measure_means``.
        d: number of coordinates.
        schemes: the schemes to compare with float32.

    Returns:
        Columns scheme, n, MB saved, ms spent, Gbit/s, and its range "from", "to" by the
        extremes of the measured computing times; infinite if no time is spent.
    """
    rows = []
    for n in sorted(set(measured.n.tolist())):
        cost = measured[measured.n == n].set_index("scheme")
        for scheme in schemes:
            spent = [
                cost[own][scheme] - cost[of_floats]["float32"]
                for own, of_floats in (
                    ("cpu_seconds", "cpu_seconds"),
                    ("cpu_high", "cpu_low"),
                    ("cpu_low", "cpu_high"),
                )
            ]
            byte = Link(0.0, 1.0)  # one second per byte
            saved = link_times.wire_seconds("float32", n, d, byte)
            saved -= link_times.wire_seconds(scheme, n, d, byte)
            even = [8e-9 * max(saved, 0) / s if s > 0 else float("inf") for s in spent]
            rows.append((scheme, n, saved / 1e6, 1e3 * spent[0], *even))
    columns = ["scheme", "n", "MB saved", "ms spent", "Gbit/s", "from", "to"]
    return pd.DataFrame(rows, columns=columns)
