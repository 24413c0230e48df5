"""Logistic regression: lower and upper bounds of the smoothness constants, and sharp examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cqbook.evidence.generated_tasks import agree
from cqbook.evidence.quotients import quotients
from cqlib import data, problems
from cqlib.problems import Logistic
from cqlib.theory import Smoothness


class Sides(NamedTuple):
    """A number between its bounds."""

    low: float
    found: float
    high: float


def _problem(rows: Any, reg: float) -> Logistic:
    return Logistic(torch.tensor(rows, dtype=torch.float64), reg)


def squares_are_no_bound(direction: NDArray[np.float64], eps: float = 0.1) -> Sides:
    """Return L_+^2 from the H_i, a larger difference quotient, and the bound of the proposition.

    Two clients have two samples each in three dimensions, and no regulariser. At a point far out
    along the third axis the curvature of one sample vanishes; the quotient along ``direction``
    then exceeds the value from the Hessians at zero.

    Args:
        direction: direction of the step, in the first two coordinates.
        eps: third coordinate of this sample.

    Source: the proposition on logistic regression, ours; A <= B does not imply A^2 <= B^2 for
        matrices.

    >>> low, found, high = squares_are_no_bound(np.array([1.0, -1.0]) / 2**0.5)
    >>> low < found < high
    True
    """
    rows = [[[3.0, 0.0, 0.0], [1.0, 2.0, eps]], [[1.0, -3.0, 0.0], [0.0, 0.0, 0.0]]]
    tiny = _problem(rows, reg=0.0)
    far, step = np.array([0.0, 0.0, 40 / eps]), 1e-3 * np.array([*direction, 0.0])
    found = float(quotients(tiny, far - step / 2, step).plus)
    low, high = tiny.smoothness_at_zero().L_plus, tiny.smoothness().L_plus
    return Sides(low**2, found, high**2)


def sharp_variance(reg: float) -> Sides:
    """Return L_pm and its bounds for two clients with a sharp upper bound.

    Their samples differ by a turn of 45 degrees. The Hessians at zero are equal, so that the lower
    bound is 0. Far out along an axis the root of the difference quotient is the upper bound 1/16.

    >>> [round(16 * side, 4) for side in sharp_variance(0.1)]
    [0.0, 1.0, 1.0]
    """
    root = 0.5**0.5
    turned = _problem([[[1.0, 0.0], [0.0, 1.0]], [[root, root], [root, -root]]], reg)
    found = quotients(turned, np.array([-5e-4, 40.0]), np.array([1e-3, 0.0])).pm
    low, high = turned.smoothness_at_zero().L_pm, turned.smoothness().L_pm
    return Sides(low, float(found) ** 0.5, high)


def resolved(low: Smoothness) -> float:
    """Return the lower bound of L_pm, or 0 if it is only a rounding error, as for one client.

    >>> resolved(Smoothness(1.0, 1.0, 1e-9)), resolved(Smoothness(1.0, 1.0, 0.5))
    (0.0, 0.5)
    """
    return low.L_pm if low.L_pm > 1e-6 * low.L_plus else 0.0


def bounds_in_order(low: Smoothness, high: Smoothness) -> bool:
    r"""Return True if $L_-$ and $L_i$ are exact and the bounds are in order.

    $L_-\le L_+^{low}\le L_+^{high}$ and $L_\pm^{low}\le L_\pm^{high}\le L_+^{high}$.

    >>> one = Smoothness(1.0, 1.2, 0.5, (1.0,))
    >>> bounds_in_order(one, Smoothness(1.0, 1.3, 0.6, (1.0,))), bounds_in_order(
    ...     one, Smoothness(1.0, 1.1, 0.6, (1.0,))
    ... )
    (True, False)
    """
    margin = 1 + 1e-12
    return (
        agree((low.L_minus, *low.L_i), (high.L_minus, *high.L_i))
        and high.L_minus <= low.L_plus * margin
        and low.L_plus <= high.L_plus * margin
        and low.L_pm <= high.L_pm * margin
        and high.L_pm <= high.L_plus
    )


def bounds_row(samples: data.Dataset, n: int, reg: float) -> dict[str, Any]:
    """Return a table row for a data set divided among n clients; its last items are the bounds."""
    problem = problems.logistic(samples, n, reg)
    low, high = problem.smoothness_at_zero(), problem.smoothness()
    least = resolved(low)
    return {
        "data": samples.label,
        "n": n,
        "m": problem.m,
        "L_-": high.L_minus,
        "L_+ from": low.L_plus,
        "to": high.L_plus,
        "ratio": high.L_plus / low.L_plus,
        "L_pm from": least,
        " to": high.L_pm,
        " ratio": high.L_pm / least if least else np.nan,
        "lower": low,
        "upper": high,
    }


def by_order(
    samples: data.Dataset,
    orders: Mapping[str, NDArray[np.int64]],
    counts: Sequence[int],
    reg: float,
) -> pd.DataFrame:
    """Return lower and upper bounds of L_pm / L_- by order of the samples and number of clients.

    Args:
        samples: the data set.
        orders: permutations of the samples, by name; clients take consecutive samples.
        counts: numbers of clients.
        reg: weight of the regulariser.

    Returns:
        Columns samples (the order's name), n, lower, upper.
    """
    rows = []
    for name, order in orders.items():
        dealt = replace(samples, X=samples.X[order], y=samples.y[order])
        for n in counts:
            problem = problems.logistic(dealt, n, reg)
            low, high = problem.smoothness_at_zero(), problem.smoothness()
            rows.append((name, n, resolved(low) / low.L_minus, high.L_pm / high.L_minus))
    return pd.DataFrame(rows, columns=["samples", "n", "lower", "upper"])
