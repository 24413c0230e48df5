"""Bits of MARINA with ISCC against the original MARINA and gradient descent: Corollary 4."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib import problems, theory
from cqlib.compressors import Compressor, make
from cqlib.theory import Smoothness
from cqlib.theory.rates import best_factors

Array = NDArray[np.float64]


def rate(n: Any, omega: Any, mean: Any) -> Array:
    r"""Return the rate of Corollary 4 in units of $dL_-$.

    $\min\{1,\frac1n+\frac{\sqrt{1+\omega}}{\sqrt n}\bar L\}$, the mean $\bar L$ of the $L_i$ in
    units of $L_-$.

    >>> rate(4, 3.0, 0.25).tolist()
    0.5
    """
    return np.asarray(np.minimum(1, 1 / n + np.sqrt(1 + omega) * mean / np.sqrt(n)))


def cost_over_rate(n: Any, share: Any, omega: Any, mean: Any) -> Array:
    """Return the least cost over p of MARINA with ISCC over the rate of Corollary 4.

    Args:
        n: numbers of clients; one of them sends in a compressed round.
        share: size of a message over that of a whole gradient.
        omega: omega of the compressor.
        mean: mean of the L_i, in units of L_-.

    >>> float(cost_over_rate(1, 1.0, 0.0, 1.0))  # one client, whole gradients
    1.0
    """
    least = best_factors((1 + omega) * np.asarray(mean) ** 2, share / np.asarray(n))
    return np.asarray(least / rate(n, omega, mean))


def bounds(n: int, d: int, omega: float, message: float, L_minus: float, mean: float) -> Array:
    r"""Return the lower and the upper bound of the bits, times $\varepsilon^2/\Delta^0$.

    $\sqrt{32\zeta}R$ and $(32+\zeta)R$, $\zeta=message/d$, with R twice the rate of Corollary 4,
    $\min\{dL_-,\frac dnL_-+\frac d{\sqrt n}\sqrt{1+\omega}\bar L\}$.

    >>> bounds(1, 8, 0.0, 256.0, 1.0, 1.0).tolist()  # messages as large as gradients
    [512.0, 1024.0]
    """
    whole = 2 * d * L_minus * float(rate(n, omega, mean / L_minus))
    zeta = message / d
    return np.array([(32 * zeta) ** 0.5 * whole, (32 + zeta) * whole])


def family(n: int) -> Array:
    r"""Return the Hessians of one client that is not affine, and of n - 1 that are: (n, 2, 2).

    $L_-=\frac1n$, $L_+=L_\pm=\frac1{\sqrt n}$ and $\sum_iL_i=1$, so that
    $L_+^2=n\bar L^2$: the largest possible heterogeneity.

    >>> family(2).tolist()
    [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    """
    H = np.zeros((n, 2, 2))
    H[0] = np.eye(2)
    return H


def family_is_extreme(n: int) -> bool:
    r"""Return True if $L_+^2=n\bar L^2$ on :func:`family`, and the library finds its constants.

    The equation is checked in fractions, the constants in float64.

    >>> family_is_extreme(5)
    True
    """
    L = [Fraction(1)] + [Fraction(0)] * (n - 1)
    extreme = sum(v * v for v in L) / n == n * (sum(L) / n) ** 2
    of = theory.smoothness_of_hessians(family(n))
    found = [of.L_plus**2, of.L_minus, of.L_pm**2 + of.L_minus**2, sum(of.L_i)]
    return extreme and bool(np.allclose(found, [1 / n, 1 / n, 1 / n, 1]))


def gain(
    n: int, omega: float, share: float, *, one_constant: bool = False, sharper: bool = False
) -> float:
    r"""Return the cost of the original MARINA over that with ISCC on the family, at the best p.

    Args:
        n: number of clients.
        omega: omega of the compressor.
        share: size of a message over that of a whole gradient.
        one_constant: the original uses $\frac1{\sqrt n}$ in place of $L_-$, too.
        sharper: ISCC with $L_{\pm,w}=0$ in place of Theorem 3's bound.

    Source: Corollary 4.

    >>> round(gain(64, 3.5, 0.04), 2)  # below root n
    7.43
    """
    d, bits = 10_000, 320_000 * share
    pm = 0.0 if sharper else 1 / n
    iscc = theory.optimal_p(
        A=omega + 1, B=1.0, d=d, bits=bits / n, smoothness=Smoothness(1 / n, 1 / n, pm)
    )
    first = n**-0.5 if one_constant else 1 / n
    constants = Smoothness(first, n**-0.5, n**-0.5)
    original = theory.optimal_p(A=omega / n, d=d, bits=bits, smoothness=constants)
    return original.factor * first * n / iscc.factor


def inner_compressors() -> dict[str, Compressor]:
    """Return the compared inner compressors of ISCC.

    >>> list(inner_compressors())
    ['IQ', 'DRIVE']
    """
    return {"IQ": make("iq"), "DRIVE": make("drive", rotation="uniform")}


def relative_costs(noise: float, *, n: int = 32, d: int = 16) -> dict[str, float]:
    """Return bits relative to gradient descent on a task of Algorithm 6, at the best p each.

    Args:
        noise: s of Algorithm 6; there is no shift.
        n: number of clients.
        d: dimension.

    Returns:
        "noise"; "L_plus_over_mean", L_+ over the mean of the L_i; and for each compressor the
        original MARINA, ISCC by Theorem 3, and ISCC with the weighted constants.

    >>> round(relative_costs(1.0, n=8, d=4)["MARINA+DRIVE"], 3)
    0.609
    """
    task = problems.quadratic_smoothness(n=n, d=d, noise=noise, reg=0.0, seed=0)
    plain = task.smoothness()
    L = np.array(plain.L_i)
    mean = float(L.mean())
    by_theorem = Smoothness(plain.L_minus, mean, mean)
    weighted = task.smoothness(tuple(L / L.sum()))
    found = {"noise": noise, "L_plus_over_mean": plain.L_plus / mean}
    for name, inner in inner_compressors().items():
        omega, bits = inner.omega(d), inner.bits(d, n)
        iscc: dict[str, Any] = {"A": omega + 1, "B": 1.0, "d": d, "bits": bits / n}
        original = theory.optimal_p(A=omega / n, d=d, bits=bits, smoothness=plain)
        found |= {
            f"MARINA+{name}": original.factor,
            f"ISCC({name}), Theorem 3": theory.optimal_p(**iscc, smoothness=by_theorem).factor,
            f"ISCC({name}), sharper": theory.optimal_p(**iscc, smoothness=weighted).factor,
        }
    return found


def gain_curve(n: Array, omega: float, share: float) -> Array:
    """Return the gain on the family to leading order, by number of clients, with Theorem 3's bound.

    >>> gain_curve(np.array([1.0, 4.0]), 0.0, 1.0).tolist()
    [1.0, 1.0]
    """
    iscc = best_factors(np.full(len(n), 1 + omega), share / n)
    return np.asarray(best_factors(omega, share) / iscc)
