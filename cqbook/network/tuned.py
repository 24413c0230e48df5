"""Training with a stepsize tuned for each method, and times of a step over a slow link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cqbook.network import link_times
from cqbook.network.processes import on_ranks
from cqbook.network.training import METHODS, Task, Trial, train_all
from cqlib.theory import Link

COLUMNS = "dataset method stepsize seed d step sent_bytes loss accuracy".split()


class Trained(NamedTuple):
    """Trials with new seeds and the chosen stepsizes.

    Args:
        rows: a row per evaluation, with the columns ``COLUMNS``.
        seconds: seconds of a step on this machine for each seed, by method.
    """

    rows: pd.DataFrame
    seconds: dict[str, list[float]]


def choose(tried: Sequence[Trial], losses: Sequence[float]) -> list[Trial]:
    """Return for each method the trial with the smallest loss; NaN counts as infinite.

    >>> tried = [Trial("CQ", 0.1, 0), Trial("CQ", 0.3, 0), Trial("IQ", 0.1, 0)]
    >>> [trial.stepsize for trial in choose(tried, [2.0, 1.0, float("nan")])]
    [0.3, 0.1]
    """
    found: dict[str, tuple[float, Trial]] = {}
    for trial, loss in zip(tried, losses, strict=True):
        known = float("inf") if np.isnan(loss) else loss
        if trial.method not in found or known < found[trial.method][0]:
            found[trial.method] = known, trial
    return [trial for _, trial in found.values()]


def train_tuned(
    task: Task, n: int, *, stepsizes: Sequence[float], seeds: int, methods: Sequence[str] = METHODS
) -> Trained:
    """Train every method with the stepsize of the smallest final training loss.

    Args:
        task: the network and its data.
        n: number of processes.
        stepsizes: candidates, tried with seed 0.
        seeds: number of trials with the chosen stepsize, seeds 1, 2, ...
        methods: some of ``cqbook.network.training.METHODS``.
    """
    tried = [Trial(method, stepsize, 0) for method in methods for stepsize in stepsizes]
    found = on_ranks(n, train_all, task, tried)[0]
    chosen = choose(tried, [each["rows"][-1][2] for each in found])
    fresh = [Trial(t.method, t.stepsize, seed + 1) for t in chosen for seed in range(seeds)]
    rows: list[tuple[Any, ...]] = []
    seconds: dict[str, list[float]] = {}
    for t, each in zip(fresh, on_ranks(n, train_all, task, fresh)[0], strict=True):
        about = (task.dataset, t.method, t.stepsize, t.seed, each["d"])
        rows += [(*about, *row) for row in each["rows"]]
        seconds.setdefault(t.method, []).append(each["seconds"])
    return Trained(pd.DataFrame(rows, columns=COLUMNS), seconds)


def step_seconds(
    sent: pd.DataFrame,
    measured: pd.Series[float],
    computing: Mapping[tuple[str, str], Sequence[float]],
    *,
    n: int,
    steps: int,
    link: Link,
) -> pd.DataFrame:
    """Return the time of a step over a slow link: measured for the same network, else predicted.

    The prediction is the time of a step without a slow link plus the model's time on the wire.

    Args:
        sent: columns dataset, method, d, sent_bytes (of all steps).
        measured: seconds of a step over this link, by n, dataset, d, method.
        computing: seconds of steps without a slow link, by dataset and method.
        n: number of processes.
        steps: number of steps.
        link: latency and bandwidth of the model.

    Returns:
        ``sent`` with the new columns "step_seconds", and "how": "measured" or "predicted".
    """
    seconds, how = [], []
    for row in sent.to_dict("records"):
        dataset, method, d = row["dataset"], row["method"], row["d"]
        place = n, dataset, d, method
        if place in measured.index:
            seconds.append(float(measured[place]))
            how.append("measured")
            continue
        free = float(np.median(computing[dataset, method]))
        each = row["sent_bytes"] / steps
        seconds.append(free + link_times.step_wire_seconds(method, n, d, each, link))
        how.append("predicted")
    return sent.assign(step_seconds=seconds, how=how)
