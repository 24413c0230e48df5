r"""The share of MARINA's guarantee that is used, sampled.

The value of a run is $\frac\gamma{2\Delta^0}\sum_{t<T}\|\nabla f(x^t)\|^2$. Its expectation is the
share. The guarantee says that the share is at most 1; the value of a single run may exceed 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from cqlib import methods, theory
from cqlib.compressors import Compressor, make, names
from cqlib.methods import Trace
from cqlib.problems.quadratic import Quadratic
from cqlib.theory import Smoothness

Array = NDArray[np.float64]


class Choice(NamedTuple):
    """Constants of a compressor, and p and stepsize for them."""

    A: float
    B: float
    bits: float
    p: float
    stepsize: float


def choose(
    c: Compressor, n: int, d: int, L: Smoothness, *, p: float | None = None, **ab: Any
) -> Choice:
    """Return the p with the fewest expected bits, and the theoretical stepsize.

    Args:
        c: the compressor.
        n: number of clients.
        d: dimension.
        L: smoothness constants of the problem.
        p: if given, it replaces the best p.
        ab: options of ``Compressor.ab``: the kind of constants.

    >>> choose(make("identity"), 2, 4, Smoothness(2.0, 2.0, 0.0), p=0.5)
    Choice(A=0.0, B=0.0, bits=128.0, p=0.5, stepsize=0.5)
    """
    A, B, _ = c.ab(n, d, **ab)
    bits = c.bits(d, n)
    if p is None:
        p = theory.optimal_p(A=A, B=B, d=d, bits=bits, smoothness=L).p
    stepsize = theory.marina_stepsize(p, A, B, L.L_minus, L.L_plus, L.L_pm)
    return Choice(A, B, bits, p, stepsize)


def isotropic(n: int, d: int) -> Quadratic:
    r"""Return equal clients $f_i(x)=\frac12\|x\|^2$.

    >>> isotropic(2, 3).smoothness().L_plus
    1.0
    """
    zeros = torch.zeros(n, dtype=torch.float64)
    return Quadratic(zeros, 1.0, zeros, d)


def sampled(
    task: Quadratic, c: Compressor, p: float, stepsize: float, *, rounds: int, runs: int
) -> tuple[list[Trace], Array]:
    r"""Return the traces of MARINA with seeds 0, 1, ..., and the value of each.

    Args:
        task: the problem to minimise.
        c: the compressor.
        p: probability of a round of whole gradients.
        stepsize: the stepsize gamma.
        rounds: number of rounds T.
        runs: number of seeds.

    >>> _, values = sampled(isotropic(2, 4), make("identity"), 0.5, 0.25, rounds=2, runs=3)
    >>> values.tolist()
    [0.390625, 0.390625, 0.390625]
    """
    gap = float(task.value(task.x0)) - task.minimum()
    how: dict[str, Any] = {"p": p, "stepsize": stepsize, "rounds": rounds}
    traces = [methods.marina(task, c, seed=run, **how) for run in range(runs)]
    sums = np.array([each.grad_norm_sq[:rounds, 0].sum() for each in traces])
    return traces, stepsize * sums / (2 * gap)


def mean_and_width(values: Array, level: float, tests: int) -> tuple[float, float]:
    """Return the mean, and its distance to a one-sided confidence limit of the expectation.

    The distance is Student's quantile times the standard error; it is exact for normal values.

    Args:
        values: shape (k,), k >= 2.
        level: probability that any of the limits is wrong.
        tests: number of limits (Bonferroni).

    >>> mean, width = mean_and_width(np.array([1.0, 3.0]), 0.25, 1)
    >>> mean, round(width, 12)
    (2.0, 1.0)
    """
    quantile = student.isf(level / tests, len(values) - 1)
    return float(values.mean()), float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def biased_names(tried: Sequence[Compressor], d: int) -> list[str]:
    """Return the names of the library's compressors that are not in ``tried``; they are biased.

    Args:
        tried: compressors of a page that must include all unbiased ones.
        d: dimension; TopK is checked for every k up to d.

    Raises:
        ValueError: if an unbiased compressor is missing.

    >>> biased_names([make(name) for name in names() if name != "top_k"], d=4)
    ['top_k']
    """
    missing = sorted(set(names()) - {c.name for c in tried})
    for name in missing:
        options = [{"k": k} for k in range(1, d + 1)] if name == "top_k" else [{}]
        if any(make(name, **each).unbiased for each in options):
            raise ValueError(f"{name} is unbiased and left out")
    return missing


class Outputs(NamedTuple):
    """The squared gradient norm of the output, averaged over draws of it, given the runs."""

    drawn: float
    expected: float
    error: float  # its standard error


def output_draws(traces: Sequence[Trace], rounds: int, draws: int) -> Outputs:
    r"""Draw the output of each run with many seeds.

    Args:
        traces: traces of single runs.
        rounds: T: the output is uniform over $x^0,\dots,x^{T-1}$.
        draws: number of seeds per run; those of run k start at 1000 (k + 1).

    Source: Algorithm 1, line 11.

    >>> traces, _ = sampled(isotropic(2, 4), make("identity"), 0.5, 0.25, rounds=2, runs=3)
    >>> output_draws(traces, 2, 50).expected  # of 4 and 9/4
    3.125
    """
    drawn = expected = variance = 0.0
    for k, trace in enumerate(traces):
        squares = trace.grad_norm_sq[:rounds, 0]
        seeds = range(1000 * (k + 1), 1000 * (k + 1) + draws)
        drawn += np.mean([squares[trace.output_round(s)] for s in seeds]) / len(traces)
        expected += squares.mean() / len(traces)
        variance += squares.var() / draws / len(traces) ** 2
    return Outputs(float(drawn), float(expected), float(np.sqrt(variance)))
