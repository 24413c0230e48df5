"""Gains of IQ and CQ in predicted bits: Proposition 4 and Figure 4.

``kappa`` is 1 for the valid constants of IQ and CQ, and 1/4 for those as read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from cqlib import theory

Array = NDArray[np.float64]


class Speedups(NamedTuple):
    """Bits of gradient descent over those of MARINA."""

    iq: Array  # gain with IQ
    cq: Array  # gain with CQ
    cq_over_iq: Array


def speedups(d: Any, n: Any, kappa: float = 0.25) -> Speedups:
    r"""Return the gains at the best p.

    $A=\frac{\kappa d}n$ for IQ and $A=\frac{\kappa d}{n^2}$ for CQ.

    Args:
        d: dimensions.
        n: numbers of clients, of a shape that broadcasts.
        kappa: factor of the constants.

    Source: Figure 4.

    >>> [round(float(v), 2) for v in speedups(10**6, 10**4)]
    [1.0, 16.48, 16.48]
    """
    iq, cq = (1 / theory.improvement_factors(kappa * d / n**k, d) for k in (1, 2))
    return Speedups(iq, cq, cq / iq)


class Interval(NamedTuple):
    """Ends of an interval."""

    low: float
    high: float


def constants_of_ratio(low: float, high: float) -> Interval:
    r"""Return the constants A of IQ whose limit of bits over those of CQ is in an interval.

    The limit is that of n = d to infinity, where CQ needs 1/32 of the bits of gradient descent.

    Args:
        low: smallest ratio, above 1.
        high: largest ratio, below 32.

    >>> found = constants_of_ratio(7.285, 7.295)
    >>> round(found.low, 4), round(found.high, 4)
    (0.2498, 0.2507)
    """

    def constant(ratio: float) -> float:
        def gap(A: float) -> float:
            return 32 * float(theory.rates.best_factors(A, 1 / 32)) - ratio

        return float(brentq(gap, 0.0, 7.0, xtol=1e-12))

    return Interval(constant(low), constant(high))


def largest_gain(d: int, kappa: float) -> tuple[float, float]:
    """Return the largest gain of CQ over IQ over n up to 10 d, and the n where it is.

    The gain has a kink where IQ starts to pay off, so that the integers around it are tried, too.

    Args:
        d: dimension.
        kappa: factor of the constants.

    >>> gain, n = largest_gain(1000, 0.25)
    >>> round(gain, 2), n
    (6.01, 213.0)
    """
    n = np.unique(np.round(np.geomspace(1, 10 * d, 4001)))
    threshold = kappa * d / float(theory.largest_useful_constant(d))
    n = np.append(n, [np.floor(threshold), np.ceil(threshold)])
    gains = speedups(d, n, kappa).cq_over_iq
    best = int(np.argmax(gains))
    return float(gains[best]), float(n[best])


def threshold_ratio(*, correlated: bool, kappa: float, d: float = 1e12) -> float:
    """Return r: CQ pays off from n = sqrt(d) / r on, IQ from n = d / r on.

    Args:
        correlated: CQ rather than IQ.
        kappa: factor of the constants.
        d: a large dimension.

    >>> round(threshold_ratio(correlated=False, kappa=0.25), 2)
    30.03
    """
    at = theory.fewest_useful_clients(d, correlated=correlated, kappa=kappa)
    return d ** (0.5 if correlated else 1.0) / float(at)


def falls_back(d: int, ratio: float, *, correlated: bool, kappa: float) -> bool:
    """Return True if there is no gain 5 % below a threshold, and a gain 5 % above it.

    Args:
        d: dimension.
        ratio: r of :func:`threshold_ratio`.
        correlated: CQ rather than IQ.
        kappa: factor of the constants.

    >>> falls_back(10**6, 30.03, correlated=False, kappa=0.25)
    True
    """
    threshold = d ** (0.5 if correlated else 1.0) / ratio
    both = (speedups(d, threshold * change, kappa) for change in (0.95, 1.05))
    below, above = (found.cq if correlated else found.iq for found in both)
    return bool(below == 1 and above > 1)


def local_search(A: float, d: int) -> float:
    """Return the factor that a local search over p from 1/2 ends at.

    Args:
        A: constant of the AB-inequality.
        d: dimension.

    Source: Appendix D.2.1 of the paper minimises so.

    >>> round(local_search(25.0, 1000), 2)  # p = 1 would give 1
    1.8
    """

    def of(p: Array) -> float:
        return theory.improvement_factor(A, d, p=float(p[0])).factor

    return float(minimize(of, [0.5], bounds=[(1e-5, 1 - 1e-5)], method="SLSQP").fun)


class Costs(NamedTuple):
    """Floats per client at the best p.

    Args:
        cost: in units of 2 Delta L / eps^2; gradient descent costs d.
        within: the corrected bounds of Proposition 4 hold everywhere.
        above_floor: it is nowhere below min(d, (d + 32) / 32).
    """

    cost: Array
    within: bool
    above_floor: bool


def costs(D: Array, N: Array, kappa: float, *, correlated: bool) -> Costs:
    r"""Return the cost of IQ or CQ, and whether its bounds hold.

    $\min\{d,\zeta+2\sqrt{A\zeta d}\}$ and $\min\{d,2\zeta+2\sqrt{A\zeta d}\}$ with
    $\zeta=\frac{d+32}{32}$. The valid constant is also at most $\frac{d-1}n$.

    Args:
        D: dimensions.
        N: numbers of clients.
        kappa: factor of the constants.
        correlated: CQ rather than IQ.

    Source: Proposition 4, corrected.

    >>> found = costs(np.full(1, 1e4), np.full(1, 1e4), 1.0, correlated=True)
    >>> found.within, found.above_floor
    (True, True)
    """
    A = kappa * D / (N**2 if correlated else N)
    if kappa == 1:
        A = np.minimum(A, (D - 1) / N)
    cost = theory.improvement_factors(A, D) * D
    zeta = (D + 32) / 32
    mixed = 2 * np.sqrt(A * zeta * D)
    low, high = np.minimum(D, zeta + mixed), np.minimum(D, 2 * zeta + mixed)
    within = (cost >= low * (1 - 1e-9)) & (cost <= high * (1 + 1e-9))
    floor = cost >= np.minimum(zeta, D) * (1 - 1e-9)
    return Costs(cost, bool(within.all()), bool(floor.all()))
