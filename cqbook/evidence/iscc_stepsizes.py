"""Stepsizes of MARINA with ISCC: Theorem 3, sharper ones, and their weighted constants."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cqbook.evidence.marina_moments import largest_stepsize
from cqlib import methods, theory
from cqlib.compressors import Compressor, make
from cqlib.problems.quadratic import Quadratic
from cqlib.theory import Smoothness

Array = NDArray[np.float64]


class Setting(NamedTuple):
    """A task with importance sampling in proportion to the L_i.

    Args:
        iscc: ISCC of IQ.
        omega: omega of IQ, d - 1.
        plain: smoothness constants of the task.
        weighted: the constants with L_+ and L_pm weighted by the probabilities.
    """

    iscc: Compressor
    omega: float
    plain: Smoothness
    weighted: Smoothness


def setting(task: Quadratic) -> Setting:
    """Return ISCC of IQ with probabilities in proportion to the L_i, and the constants.

    >>> from cqlib import problems
    >>> task = problems.quadratic_smoothness(n=4, d=3, noise=1.0, reg=0.0, seed=0)
    >>> at = setting(task)
    >>> at.omega, bool(at.weighted.L_pm < 1e-6)
    (2.0, True)
    """
    plain = task.smoothness()
    L = np.array(plain.L_i)
    q = tuple(L / L.sum())
    iscc = make("iscc", inner=make("iq"), probabilities=q)
    return Setting(iscc, task.d - 1.0, plain, task.smoothness(q))


def stepsizes(at: Setting, p: float) -> dict[str, float]:
    r"""Return stepsizes by name, from Theorem 3's to one beyond all theorems.

    "Theorem 3" uses the mean of the $L_i$. "sharper" uses $L_{+,w}$ and $L_{\pm,w}$, by Theorem 2
    with A = omega + 1, B = 1. "largest" is the root of the proof's quadratic equation. The last one
    is eight times the sharper one.

    Args:
        at: task and constants.
        p: probability of a round of whole gradients.

    Source: Theorems 2 and 3.

    >>> from cqlib import problems
    >>> at = setting(problems.quadratic_smoothness(n=4, d=3, noise=1.0, reg=0.0, seed=0))
    >>> found = stepsizes(at, 0.1)
    >>> found["Theorem 3"] < found["sharper"] < found["largest"]
    True
    """
    plain, weighted = at.plain, at.weighted
    constants = (plain.L_minus, weighted.L_plus, weighted.L_pm)
    sharper = theory.marina_stepsize(p, at.omega + 1, 1.0, *constants)
    return {
        "Theorem 3": theory.iscc_stepsize(p, at.omega, plain.L_minus, plain.L_i),
        "sharper": sharper,
        "largest": largest_stepsize(p, at.omega + 1, 1.0, weighted),
        "8 x sharper": 8 * sharper,
    }


def shares(
    task: Quadratic, iscc: Compressor, p: float, gammas: Array, *, rounds: int, seeds: int
) -> Array:
    r"""Return $\frac\gamma{2\Delta^0}\sum_{t<T}\|\nabla f(x^t)\|^2$ of runs of weighted MARINA.

    Args:
        task: the problem to minimise.
        iscc: the compressor S.
        p: probability of a round of whole gradients.
        gammas: stepsizes, shape (k,).
        rounds: number of rounds T.
        seeds: number of runs, with seeds 0, 1, ...

    Returns:
        Shape (seeds, k); infinity for a run that has diverged.

    >>> from cqbook.evidence.guarantee_shares import isotropic
    >>> gammas = np.array([0.25])
    >>> shares(isotropic(2, 4), make("iq"), 1.0, gammas, rounds=2, seeds=1).tolist()  # p = 1: GD
    [[0.390625]]
    """
    gap = float(task.value(task.x0)) - task.minimum()
    traces = [
        methods.weighted_marina(task, iscc, p=p, stepsize=gammas, rounds=rounds, seed=s)
        for s in range(seeds)
    ]
    means = np.array([trace.grad_norm_sq[:rounds].mean(0) for trace in traces])
    return np.asarray(means / (2 * gap / (gammas * rounds)))


def upper_limit(values: Array, z: float) -> float:
    """Return the mean plus z standard errors; infinity if a value is infinite.

    >>> upper_limit(np.array([1.0, 3.0]), 2.0), upper_limit(np.array([1.0, np.inf]), 2.0)
    (4.0, inf)
    """
    if not np.isfinite(values).all():
        return float("inf")
    return float(values.mean() + z * np.std(values, ddof=1) / len(values) ** 0.5)


def proportional_have_no_variance(scales: Sequence[Fraction], size: int) -> bool:
    r"""Return True if $\sum_i\frac1{n^2q_i}A_i^2-\bar A^2$ is the zero matrix, in fractions.

    $A_i=s_iT$, where T has 2 on the diagonal and -1 next to it, and $q_i=s_i/\sum_js_j$.

    Args:
        scales: $s_i>0$; the $L_i$ are proportional to them.
        size: size of T.

    >>> proportional_have_no_variance([Fraction(1), Fraction(2)], 3)
    True
    """
    return not weighted_variance_matrix(scales, scales, size).any()


def weighted_variance_matrix(
    scales: Sequence[Fraction], weights: Sequence[Fraction], size: int
) -> NDArray[np.object_]:
    """Return this matrix with probabilities in proportion to other weights.

    >>> weighted_variance_matrix([Fraction(1), Fraction(3)], [Fraction(1), Fraction(1)], 1)
    array([[Fraction(4, 1)]], dtype=object)
    """
    n, total = len(scales), sum(weights, Fraction(0))
    T = np.array(
        [[Fraction({0: 2, 1: -1}.get(abs(i - j), 0)) for j in range(size)] for i in range(size)],
        dtype=object,
    )
    matrices = [Fraction(s) * T for s in scales]
    mean = np.sum(matrices, axis=0) / n
    squares = [A @ A / (n**2 * Fraction(w) / total) for A, w in zip(matrices, weights, strict=True)]
    return np.asarray(np.sum(squares, axis=0) - mean @ mean)


def shifted_formula(task: Quadratic) -> float:
    r"""Return $L_{\pm,w}$ of Algorithm 6 with a shift, by a formula.

    $\lambda\big(1-\frac{\tau_1}{\tau_d}\big)\sqrt{\frac{\bar L}H-1}$ with the mean $\bar L$ and
    the harmonic mean H of the $L_i$.

    Args:
        task: a task of Algorithm 6; the probabilities are proportional to the $L_i$.

    >>> from cqlib import problems
    >>> shifted_formula(problems.quadratic_smoothness(n=4, d=3, noise=1.0, reg=0.0, seed=0))
    0.0
    """
    L = np.array(task.smoothness().L_i)
    spectrum = 4 * np.sin(np.arange(1, task.d + 1) * np.pi / (2 * (task.d + 1))) ** 2
    spread = max(L.mean() * np.mean(1 / L) - 1, 0)
    return float(task.shift * (1 - spectrum[0] / spectrum[-1]) * np.sqrt(spread))


def largest_gain(omega: float, plus: float, pm: float) -> float:
    r"""Return the sharper stepsize over Theorem 3's, in the limit p to 0.

    It is $\sqrt{\frac{\omega+1}{\omega L_{+,w}^2+L_{\pm,w}^2}}$, in units of the mean of the $L_i$.

    >>> largest_gain(3.0, 1.0, 1.0), round(largest_gain(1.0, 1.0, 0.0), 4)
    (1.0, 1.4142)
    """
    return float(np.sqrt((omega + 1) / (omega * plus**2 + pm**2)))
