"""Stepsizes for which the theory guarantees convergence."""

from __future__ import annotations

import math
from collections.abc import Sequence


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
    r"""Theoretical stepsize of MARINA.

    $\gamma=\Big[L_-+\sqrt{\tfrac{1-p}p\big((A-B)L_+^2+BL_\pm^2\big)}\Big]^{-1}$ gives
    $\mathbb E\|\nabla f(\hat x)\|^2\le2\Delta^0/(\gamma T)$. The book proves the same for stepsizes
    up to 5/4 times as large, with the root of a quadratic equation in place of the simple sum.

    Args:
        p: probability of a round of full gradients, in (0, 1].
        A: constant A of the AB-inequality (Assumption 5), or of its weighted form (Assumption 6).
        B: constant B of the same inequality, at most A.
        L_minus: smoothness constant of f (Assumption 3).
        L_plus: mean smoothness constant of the clients (Assumption 2), or weighted (Assumption 7).
        L_pm: root of the Hessian variance (Definition 4), or weighted (Assumption 8).

    Raises:
        ValueError: if a constant is outside its range.

    Source: Szlendak et al. 2022, as used in Appendix B.1; weighted: Theorem 2.

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


def iscc_stepsize(p: float, omega: float, L_minus: float, L_i: Sequence[float]) -> float:
    r"""Theoretical stepsize of MARINA with importance sampling of compressors (Theorem 3).

    $\gamma=\Big[L_-+\bar L\sqrt{\tfrac{1-p}p(\omega+1)}\Big]^{-1}$ with $\bar L=\frac1n\sum_iL_i$,
    where one client sends, drawn with probability $q_i=L_i/\sum_jL_j$. If $L_{\pm,w}$ is known,
    ``marina_stepsize`` with A = omega + 1, B = 1 and the weighted constants gives a larger one.

    Args:
        p: probability of a round of full gradients, in (0, 1].
        omega: of a client's compressor, at least 0.
        L_minus: smoothness constant of f (Assumption 3).
        L_i: smoothness constants of the clients.

    Raises:
        ValueError: if a constant is outside its range.

    Source: Theorem 3: both weighted constants are at most $\bar L$.

    >>> iscc_stepsize(0.5, omega=3.0, L_minus=1.0, L_i=[1.0, 3.0])  # 1 / (1 + 2 * 2)
    0.2
    """
    if len(L_i) == 0 or not all(L >= 0 for L in L_i):
        raise ValueError(f"L_i must be one or more numbers of at least 0, got {L_i!r}")
    if not omega >= 0:
        raise ValueError(f"omega must be at least 0, got {omega}")
    average = math.fsum(L_i) / len(L_i)
    return marina_stepsize(p, omega + 1, 1.0, L_minus, average, average)


def rounds_needed(stepsize: float, *, gap: float, accuracy: float) -> float:
    r"""Rounds after which the guarantee reaches $\mathbb E\|\nabla f(\hat x)\|^2\le\varepsilon^2$.

    $T=\frac{2\Delta^0}{\gamma\varepsilon^2}$.

    Args:
        stepsize: $\gamma>0$, at most the largest that the theory allows.
        gap: $\Delta^0=f(x^0)-f^{\inf}\ge0$.
        accuracy: $\varepsilon>0$.

    Raises:
        ValueError: if a number is outside its range.

    Source: Appendix B.1, from $\mathbb E\|\nabla f(\hat x)\|^2\le2\Delta^0/(\gamma T)$.

    >>> rounds_needed(0.5, gap=1.0, accuracy=0.5)
    16.0
    """
    if not (stepsize > 0 and gap >= 0 and accuracy > 0):
        raise ValueError(
            f"need stepsize > 0, gap >= 0, accuracy > 0; got {stepsize}, {gap}, {accuracy}"
        )
    return 2 * gap / (stepsize * accuracy**2)
