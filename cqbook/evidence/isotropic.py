r"""MARINA on isotropic quadratics, where the share of the guarantee has a limit in closed form.

$f_i(x)=\frac{\kappa_i}2\|x\|^2-\langle b_i,x\rangle$, $\frac1n\sum_i\kappa_i=L$, and a compressor
whose error is $\varrho$ times the right side of the AB-inequality, $K^2\|\delta\|^2$. The moments
$\mathbb E\|u^t\|^2$, $\mathbb E\langle u^t,e^t\rangle$, $\mathbb E\|e^t\|^2$ of $u^t=\nabla f(x^t)$
and $e^t=g^t-u^t$ follow a linear recursion. Source: the proposition on isotropic quadratics, ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from cqbook.evidence import marina_outcomes
from cqbook.evidence.exact_smoothness import symmetric


def limit(s: Any, p: Any, rho: Any) -> Any:
    r"""Return $\lim_T\mathrm{share}(T)$ with the stated stepsize, by $s=1-\gamma L$.

    $\frac{1+(2r-1)\varrho s^2}{1+s-2(1-r)\varrho s^2}$, $r=\frac{(1-p)(1-s)}{p+(1-p)(1-s)}$.

    Args:
        s: in [0, 1); a number, a fraction or a symbol, like the other arguments.
        p: probability of a round of whole gradients.
        rho: error over the right side of the AB-inequality of the stepsize.

    >>> limit(Fraction(3, 4), Fraction(1, 5), 1)
    Fraction(16, 19)
    """
    r = (1 - p) * (1 - s) / (p + (1 - p) * (1 - s))
    return (1 + (2 * r - 1) * rho * s**2) / (1 + s - 2 * (1 - r) * rho * s**2)


def limit_solves_recursion() -> bool:
    r"""Return True if the limit solves the equations for the sums of the moments, symbolically.

    For $\varrho=1$ it is also compared with $1-\frac{s(1-s)}{1+s-2(1-r)s^2}$.

    >>> limit_solves_recursion()
    True
    """
    s, p, rho = sympy.symbols("s p rho", positive=True)
    X, C, E = sympy.symbols("X C E")
    ell = 1 - s
    noise = rho * s**2 * p / (1 - p)  # rho K^2 gamma^2
    system = [
        X - 1 - ((1 - ell) ** 2 * X - 2 * ell * (1 - ell) * C + ell**2 * E),
        C - (1 - p) * ((1 - ell) * C - ell * E),
        E - (1 - p) * (E + noise * (X + 2 * C + E)),
    ]
    solved = sympy.solve(system, [X, C, E], dict=True)[0]
    r = (1 - p) * (1 - s) / (p + (1 - p) * (1 - s))
    short = 1 - s * (1 - s) / (1 + s - 2 * (1 - r) * s**2)
    differences = ell * solved[X] - limit(s, p, rho), limit(s, p, 1) - short
    return all(sympy.simplify(each) == 0 for each in differences)


def recursion(ell: Any, p: Any, noise: Any, T: int) -> tuple[list[Any], list[Any]]:
    r"""Return shares after 1 to T rounds with L = 1, and the left sides of the identity.

    Args:
        ell: $\gamma L$, a fraction or a float, like the other arguments.
        p: probability of a round of whole gradients.
        noise: $\varrho K^2\gamma^2$.
        T: number of rounds.

    Returns:
        The shares, and after each round the left side of the identity, which should be 1.

    >>> recursion(Fraction(1, 2), Fraction(1, 2), Fraction(0), 2)[0]  # no error: as GD
    [Fraction(1, 2), Fraction(5, 8)]
    """
    u, c, e = ell**0, 0 * ell, 0 * ell
    total, moved, shares, sides = 0 * ell, 0 * ell, [], []
    for _ in range(T):
        total += ell * u
        moved += ell * (u + 2 * c + e)  # |x^{t+1} - x^t|^2 over gamma
        shares.append(total)
        u, c, e = (
            (1 - ell) ** 2 * u - 2 * ell * (1 - ell) * c + ell**2 * e,
            (1 - p) * ((1 - ell) * c - ell * e),
            (1 - p) * (e + noise * (u + 2 * c + e)),
        )
        rest = (1 - ell - (1 - p) / p * noise) * moved
        sides.append(total + rest + u + ell / p * e)
    return shares, sides


def stepsize_kind(K: Fraction, p: Fraction, gamma: Fraction) -> str:
    r"""Return "theorem", "largest" or "too large", for L = 1.

    The theorem's stepsize is $\big(1+K\sqrt{\frac{1-p}p}\big)^{-1}$; the largest one satisfies
    $\gamma+\gamma^2\frac{1-p}pK^2=1$.

    Raises:
        ValueError: if the stepsize is valid, but has no name.

    >>> stepsize_kind(Fraction(3, 2), Fraction(1, 5), Fraction(1, 4))
    'theorem'
    """
    odds = (1 - p) / p
    used = gamma + gamma**2 * odds * K**2
    if (1 / gamma - 1) ** 2 == K**2 * odds:
        return "theorem"
    if used < 1:
        raise ValueError(f"{gamma} is a valid stepsize without a name")
    return "largest" if used == 1 else "too large"


def branches_agree(K: Fraction, p: Fraction, gamma: Fraction, shares: Sequence[Any]) -> bool:
    """Return True if PermK with curvatures 1 + K and 1 - K has these shares, over all branches.

    Args:
        K: half the difference of the two clients' curvatures; this is L_pm.
        p: probability of a round of whole gradients.
        gamma: stepsize.
        shares: the shares after 1 to T rounds, in fractions.

    >>> K, p, gamma = Fraction(1), Fraction(1, 2), Fraction(1, 4)
    >>> shares, _ = recursion(gamma, p, K**2 * gamma**2, 3)
    >>> branches_agree(K, p, gamma, shares)
    True
    """
    one, start = symmetric(1, 0, 1), np.array([Fraction(1), Fraction(1)])
    squares = marina_outcomes.perm_k([(1 + K) * one, (1 - K) * one], start, p, gamma, len(shares))
    totals = [gamma * sum(squares[: t + 1]) / 2 for t in range(len(squares))]
    return totals == list(shares)


def limit_curve(multiples: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    r"""Return limits of the share by stepsize, for L = K = 1 and an attained AB-inequality.

    Args:
        multiples: stepsizes over the largest one, $\gamma_*=\frac2{1+\sqrt{1+4(1-p)/p}}$.
        p: probability of a round of whole gradients.

    >>> limit_curve(np.array([1.0]), 0.1).round(12).tolist()
    [1.0]
    """
    odds = (1 - p) / p
    step = multiples * 2 / (1 + np.sqrt(1 + 4 * odds))
    square = odds * step**2
    back = (1 - p) * step / (p + (1 - p) * step)
    loss = (2 * (1 - step) * back + step) * square / (1 + (2 * back - 1) * square)
    return np.asarray(1 / (2 - step - loss))


def stated_multiple(p: float) -> float:
    """Return the stated stepsize over the largest one, for L = K = 1.

    >>> round(stated_multiple(0.5), 4)  # (1 + sqrt 5)/4
    0.809
    """
    odds = (1 - p) / p
    return float((1 + np.sqrt(1 + 4 * odds)) / 2 / (1 + np.sqrt(odds)))
