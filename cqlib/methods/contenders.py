"""Contenders of a comparison: methods with all options fixed but a stepsize factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from cqlib import methods, theory
from cqlib.compressors import Compressor
from cqlib.compressors.iscc import ISCC
from cqlib.compressors.types import Constants
from cqlib.methods import Trace
from cqlib.problems import Problem


@dataclass(frozen=True, eq=False)
class Contender:
    r"""A method on a problem, ready to run at any stepsize.

    Args:
        name: name in figures, unique in a comparison.
        run: takes ``stepsize``, ``bit_budget`` and ``seed`` and returns the trace.
        stepsize: the largest that the theory allows with the chosen constants; multiples of it are
            tried.
        p: probability of a round of whole gradients; NaN for a method that has none.
        factor: predicted bits over those of gradient descent; NaN without a prediction.
        random: whether the run depends on the seed.
    """

    name: str
    run: Callable[..., Trace]
    stepsize: float
    p: float = np.nan
    factor: float = np.nan
    random: bool = True


def gd(problem: Problem) -> Contender:
    """Gradient descent, from the stepsize 1 / L_-.

    >>> from cqlib import problems
    >>> task = problems.quadratic_hessian_variance(n=4, d=8, noise=0.5, reg=0.1, seed=0)
    >>> gd(task).factor
    1.0
    """

    def run(*, stepsize: ArrayLike, bit_budget: float, seed: int | Sequence[int] = 0) -> Trace:
        return methods.gd(problem, stepsize=stepsize, bit_budget=bit_budget)

    step = theory.gd_stepsize(problem.smoothness().L_minus)
    return Contender("GD", run, step, p=1.0, factor=1.0, random=False)


def dcgd(
    problem: Problem,
    compressor: Compressor,
    *,
    name: str = "",
    constants: Constants = "paper",
) -> Contender:
    r"""Distributed compressed gradient descent, from the stepsize $[L_-(1+A-B)]^{-1}$.

    With equal clients and constants valid for them, $\mathbb E\|g\|^2\le(1+A-B)\|\nabla f\|^2$, so
    that up to this stepsize every step decreases f in expectation.

    Args:
        problem: the problem to minimise.
        compressor: C.
        name: by default "DCGD + " and the compressor.
        constants: kind of A and B, as :meth:`Compressor.ab` takes it.
    """
    A, B, _ = compressor.ab(problem.n, problem.d, constants=constants)
    stepsize = theory.gd_stepsize(problem.smoothness().L_minus * (1 + A - B))
    run = partial(methods.dcgd, problem, compressor)
    return Contender(name or f"DCGD + {compressor.name.upper()}", run, stepsize)


def marina(
    problem: Problem,
    compressor: Compressor,
    *,
    name: str = "",
    constants: Constants = "paper",
    p_factor: float = 1.0,
    p: float | None = None,
) -> Contender:
    """MARINA with p by numerical minimisation (D.2.1) and the theoretical stepsize at this p.

    Args:
        problem: the problem to minimise.
        compressor: C.
        name: by default "MARINA + " and the compressor.
        constants: kind of A and B, as :meth:`Compressor.ab` takes it; "paper" takes those of
            Table 4. For CQ, this extrapolates them to clients that differ.
        p_factor: factor on p, to try another one with the stepsize that belongs to it; a product
            above 1 becomes 1.
        p: the probability itself, in (0, 1]; None for the minimisation.

    Raises:
        ValueError: if p or ``p_factor`` is outside its range, or both are given.

    >>> from cqlib import compressors, problems
    >>> task = problems.quadratic_hessian_variance(n=64, d=64, noise=0.5, reg=1e-3, seed=0)
    >>> cq = marina(task, compressors.make("cq"))
    >>> cq.name, round(cq.p, 4), round(cq.factor, 4)
    ('MARINA + CQ', 0.0119, 0.0945)
    """
    if not p_factor > 0:
        raise ValueError(f"p_factor must be positive, got {p_factor}")
    if p is not None and not (0 < p <= 1 and p_factor == 1):
        raise ValueError(f"p must be in (0, 1], without p_factor, got {p}, {p_factor=}")
    n, d, smoothness = problem.n, problem.d, problem.smoothness()
    A, B, _ = compressor.ab(n, d, constants=constants)
    bits = compressor.bits(d, n)
    best, factor = theory.optimal_p(A=A, B=B, d=d, bits=bits, smoothness=smoothness)
    if p is not None or p_factor != 1:
        factor = np.nan
    p = min(best * p_factor, 1.0) if p is None else p
    L = smoothness
    stepsize = theory.marina_stepsize(p, A, B, L.L_minus, L.L_plus, L.L_pm)
    run = partial(methods.marina, problem, compressor, p=p)
    return Contender(name or f"MARINA + {compressor.name.upper()}", run, stepsize, p, factor)


def iscc(
    problem: Problem,
    inner: Compressor,
    *,
    name: str = "",
    constants: Constants = "paper",
) -> Contender:
    r"""Weighted MARINA with importance sampling, one client per round, $q_i=L_i/\sum_jL_j$.

    p and the stepsize come from $A=\omega+1$, $B=1$ and the weighted constants (Lemma 4).

    Args:
        problem: the problem to minimise.
        inner: compressor of the client that sends.
        name: by default "MARINA + ISCC(inner)".
        constants: kind of omega, as :meth:`ISCC.weighted_ab` takes it.

    >>> from cqlib import compressors, problems
    >>> task = problems.quadratic_smoothness(n=32, d=16, noise=2.0, reg=1e-3, seed=0)
    >>> drive = compressors.make("drive")
    >>> iscc(task, drive).factor < marina(task, drive).factor
    True
    """
    n, d = problem.n, problem.d
    L = np.array(problem.smoothness().L_i)
    q = L / L.sum()
    compressor = ISCC(inner=inner, probabilities=tuple(q.tolist()))
    A, B, _ = compressor.weighted_ab(n, d, constants=constants)
    weighted = problem.smoothness(weights=compressor.probabilities)
    p, factor = theory.optimal_p(A=A, B=B, d=d, bits=compressor.bits(d, n), smoothness=weighted)
    stepsize = theory.marina_stepsize(p, A, B, weighted.L_minus, weighted.L_plus, weighted.L_pm)
    run = partial(methods.weighted_marina, problem, compressor, p=p)
    return Contender(name or f"MARINA + ISCC({inner.name.upper()})", run, stepsize, p, factor)
