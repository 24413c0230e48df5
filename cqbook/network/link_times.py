"""Times of means over emulated slow links, and the alpha-beta model fitted to them.

``python -m cqbook.network.link_times FOLDER`` writes ``means.csv`` and ``steps.csv`` there. It
takes minutes, and needs an idle machine and the right to make network namespaces.
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
from cqlib.distributed import costs
from cqlib.files import write_atomic
from cqlib.theory import Link

SCHEMES = (
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

NETWORKS = (  # networks that the profiles train
    ("digits", 64),
    ("digits", 256),
    ("breast_cancer", 256),
    ("digits", 1024),
    ("breast_cancer", 1024),
)
MEANS = ("scheme n d rate sent_bytes seconds least cpu_seconds cpu_low cpu_high cores").split()


def measure_means(
    clients: Iterable[int],
    rates: Iterable[float | None],
    dimensions: Iterable[int],
    *,
    schemes: Sequence[str] = SCHEMES,
    repeats: int = 7,
) -> pd.DataFrame:
    """Time means over links of these bandwidths.

    Args:
        clients: numbers of processes, each in its own namespace.
        rates: bits per second; None for links without a limit.
        dimensions: numbers of coordinates.
        schemes: see ``cqbook.network.timing``.
        repeats: number of timed rounds.

    Returns:
        Columns "scheme"; "n"; "d"; "rate", 0 without a limit; "sent_bytes"; "seconds", the
        median, and "least", the smallest; "cpu_seconds" of one process, the median, and "cpu_low",
        "cpu_high", the extremes; "cores" of this machine. The true median lies between the extremes
        with probability 1 - 2^(1 - repeats).

    Raises:
        RuntimeError: if namespaces cannot be made.
    """
    found = []
    for n in clients:
        for rate in rates:
            for d in dimensions:
                command = [sys.executable, "-m", "cqbook.network.timing", "--d", str(d)]
                command += ["--repeats", str(repeats)]
                command += [word for scheme in schemes for word in ("--scheme", scheme)]
                for row in _output(n, rate, command):
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
        rates: bits per second; None for links without a limit.
        networks: data sets and units of the hidden layer.
        n: number of processes.
        steps: number of steps; their median time is returned.

    Returns:
        Columns method, dataset, n, d, rate, sent_bytes, seconds.

    Raises:
        RuntimeError: if namespaces cannot be made.
    """
    found = []
    for (dataset, hidden), rate in itertools.product(networks, rates):
        command = [sys.executable, "-m", "cqbook.network.training", "--dataset", dataset]
        command += ["--hidden", str(hidden), "--steps", str(steps)]
        command += [word for method in METHODS for word in ("--method", method)]
        found += [row | {"rate": rate or 0.0} for row in _output(n, rate, command)]
    columns = ["method", "dataset", "n", "d", "rate", "sent_bytes", "seconds"]
    return pd.DataFrame(found)[columns]


def wire_seconds(scheme: str, n: int, d: int, link: Link) -> float:
    """Return the model's seconds on the wire for a scheme.

    >>> wire_seconds("float32", 4, 2**20, Link(0.0, 12.5e6))  # 100 Mbit/s
    0.50331648
    """
    if scheme in ("float32", "float16"):
        return theory.ring_all_reduce_seconds(n, d * (4 if scheme == "float32" else 2), link)
    compressor, strategy, second = timing.parse(scheme)
    n, d = int(n), int(d)  # tables have NumPy integers
    return costs.wire_seconds(compressor, strategy, d=d, n=n, link=link, second=second)


def step_wire_seconds(method: str, n: int, d: int, sent_bytes: float, link: Link) -> float:
    """Return the model's seconds on the wire for a training step.

    Args:
        method: one of ``cqbook.network.training.METHODS``.
        n: number of processes.
        d: number of weights.
        sent_bytes: bytes per process and step; used for PowerSGD only.
        link: latency and bandwidth.

    >>> step_wire_seconds("none", 4, 2**20, 0, Link(0.0, 12.5e6))
    0.50331648
    """
    if method in ("none", "fp16"):
        return wire_seconds({"none": "float32", "fp16": "float16"}[method], n, d, link)
    if method == "PowerSGD":  # three all-reduces: both factors, and uncompressed gradients
        return link.seconds(3 * 2 * (n - 1), sent_bytes)
    compressor, n, d = COMPRESSORS[method], int(n), int(d)
    strategy = costs.fastest(compressor, d=d, n=n)
    return costs.wire_seconds(compressor, strategy, d=d, n=n, link=link)


def fit_link(measured: pd.DataFrame, rate: float) -> Link:
    """Fit latency and bandwidth to the means without compression over links of one bandwidth.

    The time of a mean is its time over links without a limit plus its time on the wire. The fit
    minimises the relative errors of the shortest times, since these are least affected by other
    programs. The latency is at least 0, the bandwidth at most ``rate``.

    Args:
        measured: the result of :func:`measure_means`.
        rate: the bandwidth, bits per second.
    """
    rows = _with_free(measured[measured.scheme.isin(["float32", "float16"])])
    rows = rows[rows.rate == rate]
    units = Link(1.0, np.inf), Link(0.0, 1.0)
    cases = rows[["scheme", "n", "d"]].to_numpy()
    unit = np.array(
        [[wire_seconds(scheme, n, d, link) for link in units] for scheme, n, d in cases]
    )
    size = rows.least.to_numpy()
    rest = (size - rows.free.to_numpy()).clip(min=0)
    bounds = [0.0, 8 / rate], [np.inf, np.inf]
    latency, inverse = lsq_linear(unit / size[:, None], rest / size, bounds).x
    return Link(float(latency), float(1 / inverse))


def predict(measured: pd.DataFrame, links: dict[float, Link]) -> pd.DataFrame:
    """Return the measured times over slow links, with the model's times as column ``predicted``.

    The column ``free`` is the time of the same mean over links without a limit. Predictions are of
    the shortest times, ``least``.
    """
    both = _with_free(measured)
    cases = both[["scheme", "n", "d", "rate"]].to_numpy()
    wire = [wire_seconds(scheme, n, d, links[rate]) for scheme, n, d, rate in cases]
    return both.assign(predicted=both.free + wire)


def _with_free(measured: pd.DataFrame) -> pd.DataFrame:
    """Return means over slow links, with their times over links without a limit."""
    free = measured[measured.rate == 0].rename(columns={"least": "free"})
    free = free[["scheme", "n", "d", "free"]]
    return measured[measured.rate > 0].merge(free, on=["scheme", "n", "d"])


def _output(n: int, rate: float | None, command: list[str]) -> list[dict[str, Any]]:
    """Run a command over links of this bandwidth; return the JSON lines of rank 0."""
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
