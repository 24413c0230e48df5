"""Difference quotients of gradients: the left sides of Assumptions 2, 3, 7, 8 and Definition 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.problems import Problem
from cqlib.theory.smoothness import Smoothness, client_factors

Array = NDArray[np.float64]


class Quotients(NamedTuple):
    """Left sides over the squared distance of the points, shape (b,) or () each."""

    minus: Array  # Assumption 3
    plus: Array  # Assumption 2, or 7 with weights
    pm: Array  # Definition 4, or Assumption 8 with weights


def quotients(
    problem: Problem, x: Array, v: Array, weights: Sequence[float] | None = None
) -> Quotients:
    r"""Return three measures of the change of the clients' gradients between x and x + v.

    Let $\delta_i=\nabla f_i(x+v)-\nabla f_i(x)$. The measures are $\|\bar\delta\|^2$,
    $\frac1n\sum_i\frac1{nw_i}\|\delta_i\|^2$ and
    $\frac1n\sum_i\frac1{nw_i}\|\delta_i\|^2-\|\bar\delta\|^2$, each over $\|v\|^2$. The last one
    is summed as a variance, so that no difference of squares loses digits.

    Args:
        problem: the functions f_i.
        x: points, shape (d,) or (b, d).
        v: steps of the same shape.
        weights: $w_i$ of sum 1, shape (n,); 1/n by default.

    Source: Assumptions 2, 3, 7, 8, Definition 4.

    >>> from cqlib import problems
    >>> task = problems.quadratic_smoothness(n=4, d=3, noise=0.0, reg=0.0, seed=0)
    >>> found = quotients(task, np.zeros(3), np.array([1.0, 0.0, 0.0]))
    >>> float(found.minus), float(found.plus), float(found.pm)  # T/4 for every client
    (0.3125, 0.3125, 0.0)
    """
    ends = (problem.gradients(torch.from_numpy(z)).numpy() for z in (x + v, x))
    change = next(ends) - next(ends)
    mean = change.mean(axis=-2, keepdims=True)
    factors = client_factors(problem.n, weights)[:, None]
    length = (v**2).sum(axis=-1)
    square = (factors * change**2).sum(axis=(-2, -1)) / problem.n
    spread = ((factors * change - mean) ** 2 / factors).sum(axis=(-2, -1)) / problem.n
    return Quotients((mean**2).sum(axis=(-2, -1)) / length, square / length, spread / length)


def steepest(hessians: Array, weights: Sequence[float] | None = None) -> Array:
    r"""Return the directions along which quadratics attain $L_-$, $L_+$ and $L_\pm$.

    They are top eigenvectors of $\bar A^2$, of $\frac1n\sum_i\frac1{nw_i}A_i^2$, and of the
    difference of these matrices.

    Args:
        hessians: $A_i$, shape (n, d, d).
        weights: $w_i$, shape (n,).

    Returns:
        Unit vectors, shape (3, d).

    >>> steepest(np.array([np.diag([2.0, 1.0]), np.diag([2.0, -3.0])])).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    n = len(hessians)
    mean = hessians.mean(axis=0)
    factors = client_factors(n, weights)
    square = np.einsum("i,ijk,ikl->jl", factors, hessians, hessians) / n
    apart = factors[:, None, None] * hessians - mean
    spread = np.einsum("i,ijk,ikl->jl", 1 / factors, apart, apart) / n
    return np.stack([np.linalg.eigh(M)[1][:, -1] for M in (mean @ mean, square, spread)])


def shares(found: Quotients, constants: Smoothness) -> Quotients:
    """Return quotients over the squares of their constants; above 1 a constant is exceeded.

    >>> one = np.array(1.0)
    >>> [float(v) for v in shares(Quotients(one, one, one), Smoothness(1.0, 2.0, 0.5))]
    [1.0, 0.25, 4.0]
    """
    return Quotients(
        found.minus / constants.L_minus**2,
        found.plus / constants.L_plus**2,
        found.pm / constants.L_pm**2,
    )


def scattered_pairs(rng: np.random.Generator, d: int, count: int) -> Iterator[tuple[Array, Array]]:
    """Yield points x and steps v at several distances from the origin and from each other.

    They are normal vectors times powers of ten, with exponents uniform in [-2, 1] and [-3, 1].

    >>> [x.shape for x, _ in scattered_pairs(np.random.default_rng(0), 3, 2)]
    [(3,), (3,)]
    """
    for _ in range(count):
        x, v = rng.standard_normal(d), rng.standard_normal(d)
        yield x * 10.0 ** rng.uniform(-2, 1), v * 10.0 ** rng.uniform(-3, 1)


def gradient_error(problem: Problem, x: Array) -> float:
    """Return the relative difference of the mean gradient from automatic differentiation of f.

    >>> from cqlib import problems
    >>> task = problems.quadratic_smoothness(n=4, d=3, noise=0.0, reg=0.0, seed=0)
    >>> gradient_error(task, np.ones(3)) < 1e-12
    True
    """
    point = torch.from_numpy(x).requires_grad_()
    automatic: Tensor
    (automatic,) = torch.autograd.grad(problem.value(point), point)
    with torch.no_grad():
        mean = problem.gradients(point).mean(dim=0)
    return float((mean - automatic).norm() / automatic.norm())
