r"""Orders of communication, and when MARINA saves bits: Proposition 4, Appendix B, Figure 4.

Unit, unless said otherwise: floats per client times $\frac{2\Delta^0L}{\varepsilon^2}$, for
$L_\pm=0$, so that gradient descent costs d.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqlib.theory.complexity import FLOAT_BITS


class Interval(NamedTuple):
    """A lower and an upper bound."""

    low: float
    high: float


def cost_interval(D: float, zeta: float, a: float) -> Interval:
    r"""Bounds of $\inf_{p\in(0,1]}(pD+(1-p)\zeta)\big(1+a\sqrt{\tfrac{1-p}p}\big)$.

    They are at most a factor of 2 apart:
    $\min\{D,\zeta+2a\sqrt{\zeta D}\}$ and $\min\{D,2\zeta+2a\sqrt{\zeta D}\}$. The lower bound
    holds since, by the inequality of arithmetic and geometric means, the cost is at least
    $pD+(1-p)(\zeta+2a\sqrt{\zeta D})$. The upper one is the cost at p = 1 or
    $p=\frac\zeta{\zeta+D}$.

    Args:
        D: cost of a full round.
        zeta: cost of a compressed round, in (0, D].
        a: $\sqrt A\ge0$, or $\sqrt{(A-B)L_+^2+BL_\pm^2}/L_-$.

    Raises:
        ValueError: if a number is outside its range.

    Source: sharpens Lemma 12 of Szlendak et al. 2022, which the proof of Proposition 4 uses.

    >>> cost_interval(D=100.0, zeta=4.0, a=0.5)
    Interval(low=24.0, high=28.0)
    """
    if not (D >= zeta > 0 and a >= 0):
        raise ValueError(f"need D >= zeta > 0 and a >= 0, got {D}, {zeta}, {a}")
    mixed = 2 * a * float(np.sqrt(zeta * D))
    return Interval(min(D, zeta + mixed), min(D, 2 * zeta + mixed))


def stated_rate(n: ArrayLike, d: ArrayLike, *, correlated: bool) -> NDArray[np.float64]:
    r"""Rates of Proposition 4 as quoted.

    $\min\{d,1+\frac dn\}$ for CQ, $\min\{d,1+\frac d{\sqrt n}\}$ for IQ. A compressed round counts
    one float here, not the (d + 32) / 32 that it takes on the wire.

    Args:
        n: numbers of clients.
        d: dimensions, of a shape that broadcasts.
        correlated: True for CQ, False for IQ.

    Raises:
        ValueError: if a number is below 1.

    Source: Proposition 4, read from a summary; the printed formula was not read.

    >>> float(stated_rate(10**6, 10**6, correlated=True))
    2.0
    """
    n, d = _at_least_one("n", n), _at_least_one("d", d)
    return np.asarray(np.minimum(d, 1 + d / (n if correlated else np.sqrt(n))))


def message_share(d: ArrayLike) -> NDArray[np.float64]:
    r"""Cost of a one-bit message over that of a whole gradient: $c=\frac{d+32}{32d}$.

    Args:
        d: dimensions, at least 1.

    Raises:
        ValueError: if a dimension is below 1.

    Source: Appendix B.1, with the norm as a float of 32 bits.

    >>> float(message_share(32))
    0.0625
    """
    d = _at_least_one("d", d)
    return np.asarray((d + FLOAT_BITS) / (FLOAT_BITS * d))


def improvement_factors(A: ArrayLike, d: ArrayLike) -> NDArray[np.float64]:
    r"""Bits of MARINA at its best p over bits of gradient descent, for arrays of A and d.

    With $u=\sqrt{\frac{1-p}p}$ the factor is $\frac{(1+cu^2)(1+u\sqrt A)}{1+u^2}$. Its stationary
    points are the positive roots of
    $c\sqrt A\,u^4-(1-3c)\sqrt A\,u^2-2(1-c)u+\sqrt A$, at most two; the minimum is at the larger,
    or at u = 0, which is p = 1.

    Args:
        A: constants of the AB-inequality, at least 0, with B = 0.
        d: dimensions, of a shape that broadcasts.

    Returns:
        Factors in (0, 1]; for A = 0 it is c, the limit of p to 0.

    Raises:
        ValueError: if A is negative or d is below 1.

    Source: Appendix B.2 and Figure 4; the same as :func:`improvement_factor`, by algebra.

    >>> improvement_factors([0.0, 1 / (4 * 123), 1e9], 123).round(4).tolist()
    [0.0394, 0.0707, 1.0]
    """
    return best_factors(A, np.minimum(message_share(d), 1.0))  # d = 1: p = 1 is best


def best_factors(A: ArrayLike, c: ArrayLike) -> NDArray[np.float64]:
    r"""Minimum over p of $\big(p+(1-p)c\big)\big(1+\sqrt{\tfrac{1-p}pA}\big)$, for arrays.

    Args:
        A: constants of the AB-inequality with B = 0, or $((A-B)L_+^2+BL_\pm^2)/L_-^2$.
        c: cost of a compressed round over that of a full one, in (0, 1].

    Raises:
        ValueError: if a number is outside its range.

    Source: the quartic of :func:`improvement_factors`.

    >>> float(best_factors(0.25, 1 / 32).round(7))  # IQ with n = d, d to infinity
    0.2277298
    """
    A, c = np.broadcast_arrays(np.asarray(A, dtype=np.float64), np.asarray(c, dtype=np.float64))
    if not ((A >= 0) & (A < np.inf) & (c > 0) & (c <= 1)).all():
        raise ValueError(f"need finite A >= 0 and c in (0, 1], got {A!r}, {c!r}")
    s = np.sqrt(np.maximum(A, 1e-300))
    companion = np.zeros((*s.shape, 4, 4))
    companion[..., 1, 0] = companion[..., 2, 1] = companion[..., 3, 2] = 1.0
    companion[..., 0, 1] = (1 - 3 * c) / c
    companion[..., 0, 2] = 2 * (1 - c) / (c * s)
    companion[..., 0, 3] = -1 / c
    roots = np.linalg.eigvals(companion)
    # A double root is computed as a pair with small imaginary parts, so that real parts are tried.
    # The real part of another root does no harm: the factor there is above the minimum.
    u = np.maximum(roots.real, 0.0)
    s, c = s[..., None], c[..., None]
    factors = (1 + c * u**2) * (1 + s * u) / (1 + u**2)
    best = np.minimum(np.min(np.where(np.isfinite(factors), factors, 1.0), axis=-1), 1.0)
    return np.asarray(np.where(A == 0, c[..., 0], best))


def largest_useful_constant(d: ArrayLike) -> NDArray[np.float64]:
    r"""Largest A for which MARINA with a one-bit quantizer beats gradient descent at some p.

    $A^*=\frac{(1-c)^2}{4c}$: then the cost at $p=\frac c{1+c}$ is gradient descent's. It is 0
    for d = 1, where a message is larger than the gradient.

    Args:
        d: dimensions, at least 1.

    Raises:
        ValueError: if a dimension is below 1.

    Source: derived; the boundaries of the regimes in Figure 4.

    >>> float(largest_useful_constant(10**12))  # c = 1/32: 961/128
    7.5078...
    """
    c = np.minimum(message_share(d), 1.0)
    return np.asarray((1 - c) ** 2 / (4 * c))


def fewest_useful_clients(
    d: ArrayLike, *, correlated: bool, kappa: float = 1.0
) -> NDArray[np.float64]:
    r"""Number of clients above which MARINA with IQ or CQ beats gradient descent ($L_\pm=0$).

    IQ: $n>\frac{\kappa d}{A^*}$; CQ: $n>\sqrt{\kappa d/A^*}$, from $A=\frac{\kappa d}n$ and
    $A=\frac{\kappa d}{n^2}$.

    Args:
        d: dimensions.
        correlated: True for CQ, False for IQ.
        kappa: 1 for the valid constants, 1/4 for those read from the paper's sources.

    Raises:
        ValueError: if a number is outside its range.

    Source: derived; the boundaries of the regimes in Figure 4.

    >>> round(float(fewest_useful_clients(10**6, correlated=False, kappa=0.25)))
    33300
    """
    if not kappa > 0:
        raise ValueError(f"kappa must be positive, got {kappa}")
    with np.errstate(divide="ignore"):  # d = 1: infinity
        ratio = kappa * _at_least_one("d", d) / largest_useful_constant(d)
    return np.asarray(np.sqrt(ratio) if correlated else ratio)


def _at_least_one(name: str, value: ArrayLike) -> NDArray[np.float64]:
    number = np.asarray(value, dtype=np.float64)
    if not (number >= 1).all():
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return number
