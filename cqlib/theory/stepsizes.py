"""Stepsizes for which the theory guarantees convergence."""

from __future__ import annotations

import math


def gd_stepsize(L_minus: float) -> float:
    r"""Stepsize $1/L_-$ of gradient descent: $\min_t\|\nabla f(x^t)\|^2\le2\Delta^0/(\gamma T)$.

    Args:
        L_minus: smoothness constant of f (Assumption 3), positive.

    Raises:
        ValueError: if L_minus is not positive.

    Source: Nesterov, Introductory lectures on convex optimization, 2004, section 1.2.3.

    >>> gd_stepsize(4.0)
    0.25
    """
    if not L_minus > 0:
        raise ValueError(f"L_minus must be positive, got {L_minus}")
    return 1 / L_minus


def marina_stepsize(
    p: float, A: float, B: float, L_minus: float, L_plus: float, L_pm: float
) -> float:
    r"""Largest stepsize for which MARINA's guarantee is proved.

    $\gamma=\Big[L_-+\sqrt{\tfrac{1-p}p\big((A-B)L_+^2+BL_\pm^2\big)}\Big]^{-1}$ gives
    $\mathbb E\|\nabla f(\hat x)\|^2\le2\Delta^0/(\gamma T)$.

    Args:
        p: probability of a round of full gradients, in (0, 1].
        A: constant of the AB-inequality.
        B: the other one, at most A.
        L_minus: smoothness constant of f (Assumption 3).
        L_plus: mean smoothness constant of the clients (Assumption 2).
        L_pm: Hessian variance (Definition 4).

    Raises:
        ValueError: if a constant is outside its range.

    Source: Szlendak et al. 2021, as used in Appendix B.1.

    >>> marina_stepsize(1.0, 5.0, 0.0, 2.0, 3.0, 3.0)  # p = 1 is gradient descent
    0.5
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")
    if not math.inf > A >= B >= 0:
        raise ValueError(f"need finite A >= B >= 0, got {A=}, {B=}")
    if not (L_minus > 0 and L_plus >= 0 and L_pm >= 0):
        raise ValueError(f"need L_minus > 0, L_plus, L_pm >= 0; got {L_minus}, {L_plus}, {L_pm}")
    # Square roots first: no overflow for large constants.
    root = math.hypot(math.sqrt(A - B) * L_plus, math.sqrt(B) * L_pm)
    noise = math.sqrt((1 - p) / p) * root if root else 0.0
    return 1 / (L_minus + noise)
