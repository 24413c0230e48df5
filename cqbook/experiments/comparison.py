"""Contenders on one problem with the same bits, and the tables for the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cqbook.experiments.tuning import Tuned, runs, tune
from cqlib.compressors import average
from cqlib.methods import Trace
from cqlib.methods.contenders import Contender
from cqlib.problems import Problem

# Below this share of the squared gradient norm at the start, rounding errors decide.
FLOOR = 1e-24
# Above this share a run has diverged.
CEILING = 1e16

_APART = 10**6  # difference between the seeds of two contenders
_LEVELS = ("median", "lower_quartile", "upper_quartile", "lowest", "highest")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Tuned contenders on one problem.

    The stepsizes were chosen with other seeds, since results with the same seeds would be biased.

    Args:
        setting: values that identify the problem, by column name: first columns of every table.
        bit_budget: bits that each client may send.
        start: squared gradient norm at x^0.
        tuned: all candidates, by the contenders' names.
        runs: traces with the chosen stepsize and new seeds, different ones for each contender.
    """

    setting: dict[str, Any]
    bit_budget: float
    start: float
    tuned: dict[str, Tuned]
    runs: dict[str, tuple[Trace, ...]]

    def curves(self, points: int = 61) -> pd.DataFrame:
        """Return median and spread over the seeds against bits, at the chosen stepsizes.

        There is a row per contender and number of bits: ``median``, quartiles and extremes of the
        squared gradient norm.
        """
        bits = np.linspace(0, self.bit_budget, points)
        tables = []
        for name, tuned in self.tuned.items():
            values = self._values(name, bits)
            levels = np.quantile(values, [0.5, 0.25, 0.75, 0, 1], axis=1)
            columns = dict(zip(_LEVELS, levels, strict=True))
            known = {"method": name, "multiple": tuned.multiple, "bits_per_client": bits}
            tables.append(pd.DataFrame({**self.setting, **known, **columns}))
        return pd.concat(tables, ignore_index=True)

    def candidates(self, points: int = 36) -> pd.DataFrame:
        """Return the median over the tuning seeds against bits, for every candidate stepsize.

        The median is infinite if half of the seeds have diverged; ``chosen`` marks the choice.
        """
        bits = np.linspace(0, self.bit_budget, points)
        tables = []
        for name, tuned in self.tuned.items():
            medians = np.median(tuned.curves(bits), axis=2)
            for k, multiple in enumerate(tuned.multiples):
                known = {"method": name, "multiple": multiple, "chosen": k == tuned.chosen}
                values = {"bits_per_client": bits, "median": medians[:, k]}
                tables.append(pd.DataFrame({**self.setting, **known, **values}))
        return pd.concat(tables, ignore_index=True)

    def finals(self) -> pd.DataFrame:
        """Return the result of each seed at the budget, with the chosen stepsize.

        ``log10`` is the decimal logarithm of the squared gradient norm relative to that at the
        start, cut off at ``FLOOR`` and ``CEILING``.
        """
        rows = []
        for name, tuned in self.tuned.items():
            finals = self._values(name, np.array([self.bit_budget]))[0]
            for trace, final in zip(self.runs[name], finals, strict=True):
                known = {"method": name, "multiple": tuned.multiple, "seed": int(trace.seed[0])}
                rows.append({**self.setting, **known, "log10": np.log10(final / self.start)})
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """Return a row per contender: p and predicted bits, the chosen stepsize, the median result.

        ``bits_of_gd`` is the share of the budget after which the median curve reaches the final
        value of tuned gradient descent; NaN if it does not.
        """
        curves, finals = self.curves(points=481), self.finals()
        goal = self._values("GD", np.array([self.bit_budget])).item()
        rows = []
        for name, tuned in self.tuned.items():
            there = curves[(curves.method == name) & (curves["median"] <= goal)]
            reached = there.bits_per_client.min() if len(there) else np.nan
            rows.append(
                {
                    **self.setting,
                    "method": name,
                    "p": tuned.contender.p,
                    "predicted": tuned.contender.factor,
                    "multiple": tuned.multiple,
                    "log10_median": finals[finals.method == name].log10.median(),
                    "bits_of_gd": reached / self.bit_budget,
                }
            )
        return pd.DataFrame(rows)

    def _values(self, name: str, bits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return squared gradient norms of the new runs, within ``FLOOR`` and ``CEILING``."""
        values = np.hstack([trace.at(bits) for trace in self.runs[name]])
        return np.asarray(np.clip(values, FLOOR * self.start, CEILING * self.start))


def compare(
    setting: Mapping[str, Any],
    problem: Problem,
    contenders: Sequence[Contender],
    *,
    powers: Sequence[int],
    bit_budget: float,
    seeds: int,
    fresh_seeds: int,
) -> Comparison:
    """Tune all contenders on a problem in the same way, then run each with its choice.

    Args:
        setting: values that identify the problem, by column name.
        problem: the problem to minimise.
        contenders: gradient descent must be among them.
        powers: exponents of two; the first candidates are 2^power times theory's stepsize.
        bit_budget: bits that each client may send.
        seeds: number of seeds of the tuning.
        fresh_seeds: number of new seeds, for the runs with the chosen stepsize.

    Raises:
        ValueError: if two contenders have the same name, none is "GD", or there are no seeds.

    >>> from cqlib import compressors, problems
    >>> from cqbook.experiments import contenders
    >>> task = problems.quadratic_hessian_variance(n=16, d=16, noise=0.0, reg=1e-3, seed=0)
    >>> two = [contenders.gd(task), contenders.marina(task, compressors.make("cq"))]
    >>> result = compare(
    ...     {"n": 16}, task, two, powers=[0, 1, 2], bit_budget=18000, seeds=2, fresh_seeds=5
    ... )
    >>> result.summary().method[result.summary().log10_median.idxmin()]
    'MARINA + CQ'
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names) or "GD" not in names:
        raise ValueError(f"need different names with 'GD' among them, got {names}")
    if not (1 <= seeds <= _APART and 1 <= fresh_seeds <= _APART):
        raise ValueError(f"need 1 to {_APART} seeds of each kind, got {seeds=}, {fresh_seeds=}")
    size, tuned, chosen = problem.n * problem.d, {}, {}
    for k, contender in enumerate(contenders, start=1):
        found = tune(
            contender,
            powers=powers,
            bit_budget=bit_budget,
            seeds=range(seeds),
            coordinates=size,
        )
        own = range(k * _APART, k * _APART + (fresh_seeds if contender.random else 1))
        power = found.powers[found.chosen]
        tuned[contender.name] = found
        chosen[contender.name] = runs(contender, [power], bit_budget, list(own), size)[power]
    gradient = average(problem.gradients(problem.x0))
    return Comparison(dict(setting), bit_budget, float((gradient**2).sum()), tuned, chosen)
