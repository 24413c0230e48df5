"""Guarantees of compressed gradient descent with one constant theta, against runs.

Each function returns the share of a guarantee that runs use: the largest mean over seeds, less some
standard errors, over its bound. A share above 1 contradicts the guarantee.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib import Key, methods, theory
from cqlib.compressors import average
from cqlib.compressors.contract import Compressor
from cqlib.problems import Problem, Quadratic


class Share(NamedTuple):
    """How much of a guarantee the runs use."""

    lower: float  # from the mean over seeds less the standard errors
    mean: float  # from the mean over seeds


def one_solution(scale: Tensor, pull: float, d: int) -> Quadratic:
    """Return quadratics that all have their minimum at the same point, so that no noise is left.

    Args:
        scale: the clients' factors, positive, shape (n,).
        pull: common factor of the linear terms.
        d: dimension.
    """
    return Quadratic(scale, 0.0, pull * scale, d)


def distance_share(
    task: Quadratic,
    compressor: Compressor,
    theta: float,
    *,
    rounds: int,
    seeds: int,
    errors: float,
    factor: float = 1.0,
) -> Share:
    r"""Compare $\mathbb E\|x^k-x^*\|^2$ with the guarantee for strongly convex functions.

    $(1-\gamma\mu)^k\|x^0-x^*\|^2+\frac{2\gamma\theta\sigma_*^2}\mu$ at
    $\gamma=\frac1{L+2\theta L_{\max}}$, in every round after the start up to the last, from the
    usual start and from the solution itself, where only the noise acts.

    Args:
        task: quadratics, all convex.
        compressor: the compressor.
        theta: its constant.
        rounds: number of rounds.
        seeds: number of runs.
        errors: number of standard errors by which a mean must exceed the bound.
        factor: factor on the stepsize; the guarantee is for 1, and a large one must violate it.

    Raises:
        ValueError: if a client's function is not convex.
    """
    A = task.hessians()
    if float(torch.linalg.eigvalsh(A).min()) < -1e-9:
        raise ValueError("the clients' functions must be convex")
    mean = A.mean(dim=0)
    L, mu = (float(torch.linalg.eigvalsh(mean)[k]) for k in (-1, 0))
    slope = average(task.gradients(torch.zeros_like(task.x0)))
    solution = torch.linalg.solve(mean, -slope)
    noise = float((task.gradients(solution) ** 2).sum(dim=-1).mean())
    gamma = factor / (L + 2 * theta * max(task.smoothness().L_i))
    shares = []
    for start in (task.x0, solution):
        path = [_path(task, compressor, gamma, start, rounds, seed) for seed in range(seeds)]
        found = np.array([((points - solution) ** 2).sum(dim=-1).numpy() for points in path])
        shrinking = (1 - gamma * mu) ** np.arange(1, rounds + 1) * found[0, 0]
        bound = shrinking + 2 * gamma * theta * noise / mu
        if bound[-1] > 1e-20:  # else rounding errors decide
            shares.append(_share(found[:, 1:], bound, errors))
    return Share(*np.max(shares, axis=0).tolist())


def gradient_share(
    problem: Problem,
    compressor: Compressor,
    theta: float,
    *,
    rounds: int,
    seeds: int,
    errors: float,
) -> Share:
    r"""Compare $\min_k\mathbb E\|\nabla f(x^k)\|^2$ with the guarantee for nonnegative $f_i$.

    $\frac{2(1+L\gamma^2\theta L_{\max})^K}{\gamma K}f(x^0)$ for $\gamma\le\frac1L$; here it is the
    smaller of $\frac1L$ and $(LKL_{\max}\theta)^{-1/2}$, which makes the power at most e.

    Args:
        problem: the problem; its functions must not be negative.
        compressor: the compressor.
        theta: its constant.
        rounds: K, the number of rounds.
        seeds: number of runs.
        errors: number of standard errors by which a mean must exceed the bound.
    """
    of = problem.smoothness()
    L, growth = of.L_minus, of.L_minus * theta * max(of.L_i)
    gamma = min(1 / L, (rounds * growth) ** -0.5)
    trace = methods.dcgd(
        problem, compressor, stepsize=gamma, rounds=rounds, seed=list(range(seeds))
    )
    found = trace.grad_norm_sq[:rounds].T
    least = int(found.mean(axis=0).argmin())
    start = float(problem.value(problem.x0))
    bound = 2 * (1 + growth * gamma**2) ** rounds / (gamma * rounds) * start
    return _share(found[:, [least]], np.array([bound]), errors)


def marina_share(
    task: Quadratic,
    compressor: Compressor,
    theta: float,
    *,
    p: float,
    rounds: int,
    seeds: int,
    errors: float,
) -> Share:
    r"""Compare MARINA's mean squared gradient over the rounds with $\frac{2\Delta^0}{\gamma K}$.

    $\gamma$ is the theoretical stepsize with A = theta and B = 0.

    Args:
        task: quadratics with a minimum.
        compressor: the compressor.
        theta: its constant.
        p: probability of a round of whole gradients.
        rounds: K, the number of rounds.
        seeds: number of runs.
        errors: number of standard errors by which a mean must exceed the bound.
    """
    of = task.smoothness()
    gamma = theory.marina_stepsize(p, theta, 0.0, of.L_minus, of.L_plus, of.L_pm)
    trace = methods.marina(
        task, compressor, p=p, stepsize=gamma, rounds=rounds, seed=list(range(seeds))
    )
    found = trace.grad_norm_sq[:rounds].mean(axis=0)[:, None]
    gap = float(task.value(task.x0)) - task.minimum()
    return _share(found, np.array([2 * gap / (gamma * rounds)]), errors)


def _path(
    task: Quadratic, compressor: Compressor, gamma: float, start: Tensor, rounds: int, seed: int
) -> Tensor:
    """Return all iterates, shape (rounds + 1, d)."""
    found = [start]
    for k in range(rounds):
        mean = compressor.mean(task.gradients(found[-1]), key=Key(seed, k))
        found.append(found[-1] - gamma * mean)
    return torch.stack(found)


def _share(found: NDArray[np.float64], bound: NDArray[np.float64], errors: float) -> Share:
    """Compare means of shape (seeds, rounds) over the seeds with bounds of shape (rounds,)."""
    mean = found.mean(axis=0)
    spread = found.std(axis=0, ddof=1) / len(found) ** 0.5
    return Share(float(((mean - errors * spread) / bound).max()), float((mean / bound).max()))
