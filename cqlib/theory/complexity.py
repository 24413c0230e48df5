"""Communication complexity of MARINA: bits, and the probability p that minimises them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from cqlib.theory.smoothness import Smoothness
from cqlib.theory.stepsizes import marina_stepsize, rounds_needed

FLOAT_BITS = 32


class ImprovementFactor(NamedTuple):
    """Bits of MARINA divided by those of gradient descent, and the p of MARINA."""

    factor: float
    p: float


class OptimalP(NamedTuple):
    """The p that minimises the expected bits, and these divided by those of gradient descent."""

    p: float
    factor: float


def expected_bits(p: float, *, d: int, bits: float) -> float:
    r"""Expected bits per client per round of MARINA: $32dp+b(1-p)$.

    Args:
        p: probability of a round of full gradients, in (0, 1].
        d: dimension.
        bits: b, bits per client in a compressed round.

    Raises:
        ValueError: if a number is outside its range.

    Source: Appendix B.1.

    >>> expected_bits(1.0, d=10, bits=42)
    320.0
    """
    if not (0 < p <= 1 and d >= 1 and 0 <= bits < np.inf):
        raise ValueError(f"need p in (0, 1], d >= 1 and finite bits >= 0; got {p}, {d}, {bits}")
    return FLOAT_BITS * d * p + bits * (1 - p)


def communication(
    p: float,
    *,
    d: int,
    bits: float,
    A: float,
    B: float = 0.0,
    smoothness: Smoothness,
    gap: float,
    accuracy: float,
) -> float:
    r"""Bits that each client sends until MARINA's guarantee reaches an accuracy.

    $C(p)=\big(32dp+b(1-p)\big)\frac{2\Delta^0}{\varepsilon^2}
    \Big(L_-+\sqrt{\tfrac{1-p}p((A-B)L_+^2+BL_\pm^2)}\Big)$; gradient descent is p = 1. With
    importance sampling of one in n clients, ``bits`` is b / n, A = omega + 1, B = 1 and the
    smoothness constants are the weighted ones (Corollary 4).

    Args:
        p: probability of a round of full gradients, in (0, 1].
        d: dimension.
        bits: b, bits per client in a compressed round.
        A: constant A of the AB-inequality.
        B: constant B of the AB-inequality.
        smoothness: constants of the problem.
        gap: $\Delta^0=f(x^0)-f^{\inf}\ge0$.
        accuracy: $\varepsilon>0$, for $\mathbb E\|\nabla f(\hat x)\|^2\le\varepsilon^2$.

    Raises:
        ValueError: if a number is outside its range.

    Source: Appendix B.1.

    >>> unit = Smoothness(L_minus=1.0, L_plus=1.0, L_pm=0.0)
    >>> communication(1.0, d=10, bits=42, A=9.0, smoothness=unit, gap=1.0, accuracy=0.5)
    2560.0
    """
    stepsize = marina_stepsize(p, A, B, smoothness.L_minus, smoothness.L_plus, smoothness.L_pm)
    rounds = rounds_needed(stepsize, gap=gap, accuracy=accuracy)
    return expected_bits(p, d=d, bits=bits) * rounds


def improvement_factor(A: float, d: int, *, p: float | None = None) -> ImprovementFactor:
    r"""Bits of MARINA with a (d + 32)-bit quantizer over bits of gradient descent.

    $\mathrm{IF}(p)=\big(p+(1-p)c\big)\big(1+\sqrt{\tfrac{1-p}pA}\big)$, $c=\frac{d+32}{32d}$,
    where $L_\pm=0$ and $B=0$.

    Args:
        A: constant of the AB-inequality.
        d: dimension.
        p: probability of a full round, in (0, 1]; None for the best one.

    Raises:
        ValueError: if A, d or p is outside its range.

    Source: Appendix B.2, Section 4.4.

    >>> round(improvement_factor(A=123 / (4 * 123**2), d=123).factor, 4)  # CQ on a9a, n = d
    0.0707
    """
    if p is None:
        best = optimal_p(A=A, d=d, bits=d + FLOAT_BITS)
        return ImprovementFactor(best.factor, best.p)
    unit = Smoothness(L_minus=1.0, L_plus=1.0, L_pm=0.0)
    return ImprovementFactor(_factor(p, A=A, B=0.0, d=d, bits=d + FLOAT_BITS, smoothness=unit), p)


def optimal_p(
    *, A: float, B: float = 0.0, d: int, bits: float, smoothness: Smoothness | None = None
) -> OptimalP:
    r"""Minimise the expected bits over p by a global scan.

    $\min_{p\in(0,1]}\big(32dp+b(1-p)\big)\Big(L_-+\sqrt{\tfrac{1-p}p((A-B)L_+^2+BL_\pm^2)}\Big)$.
    The objective is not convex, and p = 1 (gradient descent) is a local minimum wherever A > 0, so
    the interior minimum found on a logarithmic grid and then refined is compared with p = 1. The
    grid starts at $10^{-12}$; for A = 0 or bits = 0 the infimum is the limit of p to 0.

    Args:
        A: constant A of the AB-inequality.
        B: constant B of the AB-inequality.
        d: dimension.
        bits: b, bits per client in a compressed round.
        smoothness: constants of the problem; None for $L_-=L_+=1$ and $L_\pm=0$.

    Returns:
        The best p, and the minimum divided by $32dL_-$, the value of gradient descent; at most 1.

    Raises:
        ValueError: if a constant is outside its range.

    Source: Appendix D.2.1.

    >>> p, factor = optimal_p(A=0.25, d=10**9, bits=10**9)  # IQ with n = d, d to infinity
    >>> round(p, 7), round(factor, 7)
    (0.0210541, 0.2277298)
    """
    if not (np.inf > A >= B >= 0 and d >= 1 and np.inf > bits >= 0):
        raise ValueError(f"need finite A >= B >= 0, d >= 1, bits >= 0; got {A}, {B}, {d}, {bits}")
    constants = smoothness or Smoothness(L_minus=1.0, L_plus=1.0, L_pm=0.0)

    def objective(log_p: float) -> float:
        p = float(np.exp(log_p))
        return _factor(p, A=A, B=B, d=d, bits=bits, smoothness=constants)

    grid = np.linspace(np.log(1e-12), 0.0, 2001)
    best = int(np.argmin([objective(u) for u in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(
        objective, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    if refined.fun > 1 - 1e-12:  # no gain beyond rounding: gradient descent
        return OptimalP(1.0, 1.0)
    return OptimalP(float(np.exp(refined.x)), float(refined.fun))


def _factor(p: float, *, A: float, B: float, d: int, bits: float, smoothness: Smoothness) -> float:
    stepsize = marina_stepsize(p, A, B, smoothness.L_minus, smoothness.L_plus, smoothness.L_pm)
    rounds = 1 / (stepsize * smoothness.L_minus)  # relative to gradient descent
    return rounds * expected_bits(p, d=d, bits=bits) / (FLOAT_BITS * d)
