"""Times of means over emulated slow links, and the alpha-beta model fitted to them.

``python -m cqbook.network.link_times FOLDER`` writes ``means.csv`` and ``steps.csv`` there. It
takes minutes, a quiet machine, and the right to make network namespaces.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from scipy.optimize import lsq_linear

from cqbook.network import timing
from cqbook.network.links import star, why_not
from cqbook.network.training import COMPRESSORS, METHODS
from cqlib import theory
from cqlib.distributed import plan
from cqlib.files import write_atomic
from cqlib.theory import Link

WAYS = (
    "float32",
    "float16",
    "cq/all_gather",
    "cq/two_shot",
    "cq/two_shot/iq",
    "drive/all_gather",
    "global_qsgd:s=15/two_shot",
    "global_qsgd:s=15/all_reduce",
    "global_qsgd:levels=exponential:s=124/tree",
)


NETWORKS = (  # those that the profiles train
    ("digits", 64),
    ("digits", 256),
    ("breast_cancer", 256),
    ("digits", 1024),
    ("breast_cancer", 1024),
)
MEANS = ("way n d rate sent_bytes seconds least cpu_seconds cpu_low cpu_high cores").split()


def measure_means(
    clients: Iterable[int],
    rates: Iterable[float | None],
    dimensions: Iterable[int],
    *,
    ways: Sequence[str] = WAYS,
    repeats: int = 7,
) -> pd.DataFrame:
    """Time means over links of these bandwidths.

    Args:
        clients: numbers of processes, a namespace each.
        rates: bits a second; None for links without a limit.
        dimensions: numbers of coordinates.
        ways: see ``cqbook.network.timing``.
        repeats: how often.

    Returns:
        Columns way, n, d, rate (0 without a limit), sent_bytes; seconds, the median, and least, the
        smallest; cpu_seconds of one process, the median, and cpu_low, cpu_high, the ends, between
        which the true median lies with probability 1 - 2^(1 - repeats); cores of this machine.

    Raises:
        RuntimeError: if there can be no namespaces here.
    """
    found = []
    for n in clients:
        for rate in rates:
            for d in dimensions:
                command = [sys.executable, "-m", "cqbook.network.timing", "--d", str(d)]
                command += ["--repeats", str(repeats)]
                command += [word for way in ways for word in ("--way", way)]
                for row in _said(n, rate, command):
                    wall, busy = row["seconds"], row["cpu_seconds"]
                    row |= {"seconds": float(np.median(wall)), "least": min(wall)}
                    row |= {"cpu_seconds": float(np.median(busy))}
                    row |= {"cpu_low": min(busy), "cpu_high": max(busy)}
                    found.append(row | {"rate": rate or 0.0, "cores": os.cpu_count()})
    return pd.DataFrame(found)[list(MEANS)]


def measure_steps(
    rates: Iterable[float | None],
    *,
    networks: Iterable[tuple[str, int]] = (("digits", 1024),),
    n: int = 4,
    steps: int = 30,
) -> pd.DataFrame:
    """Time steps of training over links of these bandwidths.

    Args:
        rates: bits a second; None for links without a limit.
        networks: data sets and units of the hidden layer.
        n: number of processes.
        steps: how many; the median counts.

    Returns:
        Columns method, dataset, n, d, rate, sent_bytes, seconds.

    Raises:
        RuntimeError: if there can be no namespaces here.
    """
    found = []
    for (dataset, hidden), rate in itertools.product(networks, rates):
        command = [sys.executable, "-m", "cqbook.network.training", "--dataset", dataset]
        command += ["--hidden", str(hidden), "--steps", str(steps)]
        command += [word for method in METHODS for word in ("--method", method)]
        found += [row | {"rate": rate or 0.0} for row in _said(n, rate, command)]
    columns = ["method", "dataset", "n", "d", "rate", "sent_bytes", "seconds"]
    return pd.DataFrame(found)[columns]


def wire_seconds(way: str, n: int, d: int, link: Link) -> float:
    """Return what a way's messages take on the wire, by the model.

    >>> wire_seconds("float32", 4, 2**20, Link(0.0, 12.5e6))  # 100 Mbit/s
    0.50331648
    """
    if way in ("float32", "float16"):
        return theory.ring_all_reduce_seconds(n, d * (4 if way == "float32" else 2), link)
    compressor, strategy, second = timing.parse(way)
    n, d = int(n), int(d)  # a table has NumPy's
    return plan.wire_seconds(compressor, strategy, d=d, n=n, link=link, second=second)


def step_wire_seconds(method: str, n: int, d: int, sent_bytes: float, link: Link) -> float:
    """Return what the messages of a step of training take on the wire, by the model.

    Args:
        method: one of ``cqbook.network.training.METHODS``.
        n: number of processes.
        d: number of weights.
        sent_bytes: what a process sends in a step; for PowerSGD, whose numbers the model lacks.
        link: latency and bandwidth.

    >>> step_wire_seconds("none", 4, 2**20, 0, Link(0.0, 12.5e6))
    0.50331648
    """
    if method in ("none", "fp16"):
        return wire_seconds({"none": "float32", "fp16": "float16"}[method], n, d, link)
    if method == "PowerSGD":  # all-reduces of both factors and of the rest
        return link.seconds(3 * 2 * (n - 1), sent_bytes)
    compressor, n, d = COMPRESSORS[method], int(n), int(d)
    strategy = plan.fastest(compressor, d=d, n=n)
    return plan.wire_seconds(compressor, strategy, d=d, n=n, link=link)


def fit_link(measured: pd.DataFrame, rate: float) -> Link:
    """Fit latency and bandwidth to the means of whole numbers over links of one bandwidth.

    A mean takes what it takes over links without a limit, and what it takes on the wire. Times are
    the quickest of the repeated ones, which other programs disturb least. Latency is at least 0,
    no link is faster than its bandwidth, and relative errors count.

    Args:
        measured: what :func:`measure_means` returns.
        rate: which bandwidth, bits a second.
    """
    rows = _beside_free(measured[measured.way.isin(["float32", "float16"])])
    rows = rows[rows.rate == rate]
    units = Link(1.0, np.inf), Link(0.0, 1.0)
    cases = rows[["way", "n", "d"]].to_numpy()
    unit = np.array([[wire_seconds(way, n, d, link) for link in units] for way, n, d in cases])
    size = rows.least.to_numpy()
    rest = (size - rows.free.to_numpy()).clip(min=0)
    bounds = [0.0, 8 / rate], [np.inf, np.inf]
    latency, inverse = lsq_linear(unit / size[:, None], rest / size, bounds).x
    return Link(float(latency), float(1 / inverse))


def predict(measured: pd.DataFrame, links: dict[float, Link]) -> pd.DataFrame:
    """Return measured times over slow links with the model's, ``predicted``, beside them.

    ``free`` is what the same mean takes over links without a limit. All times are the quickest of
    the repeated ones.
    """
    both = _beside_free(measured)
    cases = both[["way", "n", "d", "rate"]].to_numpy()
    wire = [wire_seconds(way, n, d, links[rate]) for way, n, d, rate in cases]
    return both.assign(predicted=both.free + wire)


def _beside_free(measured: pd.DataFrame) -> pd.DataFrame:
    """Means over slow links, with what they take over those without a limit."""
    free = measured[measured.rate == 0].rename(columns={"least": "free"})
    free = free[["way", "n", "d", "free"]]
    return measured[measured.rate > 0].merge(free, on=["way", "n", "d"])


def _said(n: int, rate: float | None, command: list[str]) -> list[dict[str, Any]]:
    """What rank 0 of a job over such links prints, from JSON."""
    with star(n, rate) as hosts:
        lines = hosts.run(command, seconds=1800, env={"OMP_NUM_THREADS": "1"})[0]
    return [json.loads(line) for line in lines.splitlines()]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Measure means and steps of training over emulated links."""
    if reason := why_not():
        raise click.ClickException(f"links cannot be emulated here: {reason}")
    rates = (None, 1e9, 1e8)
    means = measure_means((2, 4, 8), rates, (2**17, 2**20))
    write_atomic(folder / "means.csv", means.to_csv(index=False, float_format="%.6g"))
    steps = measure_steps((None, 1e8), networks=NETWORKS)
    write_atomic(folder / "steps.csv", steps.to_csv(index=False, float_format="%.6g"))


if __name__ == "__main__":
    main()
