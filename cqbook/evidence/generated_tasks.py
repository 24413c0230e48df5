"""Algorithms 5 and 6: formulas of the constants of their tasks, checked on the tasks themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence.quotients import Quotients, quotients, steepest
from cqlib import problems
from cqlib.problems.quadratic import Quadratic
from cqlib.theory import Smoothness, smoothness_of_hessians

MAKERS = {5: problems.quadratic_hessian_variance, 6: problems.quadratic_smoothness}


def formula(task: Quadratic, least: float | None = None) -> Quotients:
    r"""Return $L_-$, $L_+$, $L_\pm$ of a generated task by their formulas.

    $L_\pm=\mathrm{std}(\nu)\cos^2\theta$ with $\theta=\frac\pi{2(d+1)}$ and
    $\nu_i=4\kappa_i$; $L_-=\sigma+\bar\nu\cos^2\theta$, with the $\sigma$ of Algorithm 5
    $\lambda+|\bar\nu|\cos2\theta$; $L_+=\sqrt{L_-^2+L_\pm^2}$, for Algorithm 5 if $\bar\nu\ge0$.

    Args:
        task: a task of Algorithm 5 or 6.
        least: $\lambda$ of Algorithm 5; None for Algorithm 6.

    Source: the proposition on the generated tasks, ours.

    >>> task = problems.quadratic_smoothness(n=4, d=3, noise=0.0, reg=0.0, seed=0)
    >>> [round(float(value), 4) for value in formula(task)]  # cos^2(pi / 8)
    [0.8536, 0.8536, 0.0]
    """
    nu, half = 4 * task.scale.numpy(), np.pi / (2 * (task.d + 1))
    pm = nu.std() * np.cos(half) ** 2
    if least is None:
        minus = task.shift + nu.mean() * np.cos(half) ** 2
    else:
        minus = least + abs(nu.mean()) * np.cos(2 * half)
    return Quotients(minus, np.hypot(minus, pm), pm)


def agree(found: object, expected: object) -> bool:
    """Return True if numbers are equal within 1e-12, relative or absolute.

    >>> agree((1.0, 0.0), (1.0 + 1e-13, 1e-13)), agree(1.0, 1.0 + 1e-11)
    (True, False)
    """
    one, two = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    return bool(np.allclose(one, two, rtol=1e-12, atol=1e-12))


@dataclass(frozen=True)
class TaskCheck:
    """The checks of one generated task.

    Args:
        as_matrices: the constants agree with those of the dense Hessians.
        formulas: the formulas of L_- and L_pm are right.
        formula_of_plus: the formula of L_+ is right; None if it does not apply.
        least: the least eigenvalue of the mean Hessian is lambda, to 1e-12; None for Algorithm 6.
        exceeded: number of quotients at random points above their constants.
        attained: every constant is attained along an eigenvector.
    """

    as_matrices: bool
    formulas: bool
    formula_of_plus: bool | None
    least: bool | None
    exceeded: int
    attained: bool


def check_task(
    algorithm: int,
    *,
    n: int,
    d: int,
    noise: float,
    reg: float,
    seed: int,
    rng: np.random.Generator,
    pairs: int = 20,
) -> TaskCheck:
    """Make a task and check its constants against matrices, formulas and difference quotients.

    Args:
        algorithm: 5 or 6.
        n: number of clients.
        d: dimension.
        noise: s of the algorithm.
        reg: lambda.
        seed: seed of the task.
        rng: generator of the points; ``2 * pairs`` vectors are drawn.
        pairs: number of pairs of points, at least 3; the first three differ by the steepest steps.

    >>> rng = np.random.default_rng(0)
    >>> found = check_task(6, n=2, d=3, noise=1.0, reg=0.0, seed=0, rng=rng)
    >>> found.formulas, found.exceeded, found.attained
    (True, 0, True)
    """
    task = MAKERS[algorithm](n=n, d=d, noise=noise, reg=reg, seed=seed)
    found, hessians = _constants(task.smoothness()), task.hessians().numpy()
    expected = formula(task, reg if algorithm == 5 else None)
    applies = algorithm == 6 or bool(task.scale.mean() >= 0)
    exceeded, attained = _tried(task, found, steepest(hessians), rng, pairs)
    return TaskCheck(
        as_matrices=bool(
            np.allclose(found, _constants(smoothness_of_hessians(hessians)), rtol=1e-12, atol=1e-7)
        ),
        formulas=agree(found[[0, 2]], (expected.minus, expected.pm)),
        formula_of_plus=agree(found[1], expected.plus) if applies else None,
        least=_least_is(reg, hessians) if algorithm == 5 else None,
        exceeded=exceeded,
        attained=attained,
    )


def _constants(smoothness: Smoothness) -> NDArray[np.float64]:
    return np.array([smoothness.L_minus, smoothness.L_plus, smoothness.L_pm])


def _least_is(least: float, hessians: NDArray[np.float64]) -> bool:
    spectrum = np.linalg.eigvalsh(hessians.mean(axis=0))
    return bool(abs(spectrum[0] - least) <= 1e-12 * max(1.0, spectrum[-1]))


def _tried(
    task: Quadratic,
    constants: NDArray[np.float64],
    steep: NDArray[np.float64],
    rng: np.random.Generator,
    pairs: int,
) -> tuple[int, bool]:
    """Return the number of quotients above their constants, and True if all three are attained."""
    exceeded, attained = 0, True
    for number in range(pairs):
        x, v = rng.standard_normal(task.d), rng.standard_normal(task.d)
        steep_one = number < len(steep)
        found = np.array(quotients(task, x, steep[number] if steep_one else v))
        exceeded += int((found > constants**2 * (1 + 1e-9) + 1e-12).sum())
        if steep_one:
            limit = constants[number] ** 2
            attained &= bool(np.isclose(found[number], limit, rtol=1e-9, atol=1e-12))
    return exceeded, attained


def minimum_holds(task: Quadratic, rng: np.random.Generator, points: int = 1000) -> bool:
    r"""Return True if $f^{\inf}$ is the value at the solution of $\bar Ax=\bar b$, the minimum.

    Args:
        task: a quadratic whose mean is convex.
        rng: generator of points around the solution, where the value must be above the minimum.
        points: number of these points.

    Source: Assumption 1.

    >>> task = problems.quadratic_hessian_variance(4, 3, 0.5, 0.1, seed=0)
    >>> minimum_holds(task, np.random.default_rng(0))
    True
    """
    pull = torch.zeros(task.d, dtype=torch.float64)
    pull[0] = task.pull.mean()
    lowest = torch.linalg.solve(task.hessians().mean(dim=0), pull)
    around = torch.from_numpy(rng.standard_normal((points, task.d))) + lowest
    same = abs(float(task.value(lowest)) / task.minimum() - 1) < 1e-9
    return same and bool((task.value(around) > task.minimum()).all())
