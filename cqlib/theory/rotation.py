"""DRIVE's exact errors under a uniformly random rotation."""

from __future__ import annotations

import functools
import math

from scipy.integrate import quad
from scipy.special import erfcx

PAPER_OMEGA = math.pi / 2 - 1  # the limit of a uniform rotation as the dimension grows


def padded(d: int) -> int:
    """Return the smallest power of two that is at least d.

    >>> [padded(d) for d in (1, 2, 3, 64, 65)]
    [1, 2, 4, 64, 128]
    """
    return 1 << (d - 1).bit_length()


@functools.cache
def drive_omega(d: int) -> float:
    r"""Exact E|C(x) - x|^2 / |x|^2 of DRIVE with the unbiased scale and a uniform rotation.

    With padding to D coordinates it is $\frac{d-1}{D-1}\omega_D$,
    $\omega_D=\mathbb E[D\|y\|_2^2/\|y\|_1^2]-1$ for a uniform direction y in D dimensions, the same
    for every x. The error is orthogonal to x and uniform over those directions, so that cropping
    the padding removes its share. $\omega_D=D(D-2)\int_0^\infty
    t[e^{t^2/2}\mathrm{erfc}(t/\sqrt2)]^D\,dt-1$ for D > 2 grows to $\frac\pi2-1\approx0.5708$.

    Args:
        d: dimension, at least 1.

    Raises:
        ValueError: if d is below 1.

    Source: Vargaftik et al. 2021, DRIVE; the integral and the share are derived.

    >>> round(drive_omega(2), 5), round(drive_omega(64), 5)
    (0.27324, 0.56364)
    """
    if d < 1:
        raise ValueError(f"d must be at least 1, got {d}")
    if d == 1:
        return 0.0
    D = padded(d)
    if D == 2:
        return 4 / math.pi - 1

    def integrand(u: float) -> float:  # t = u / D keeps the mass of the integral near u = 1
        t = u / D
        if t < 1:  # log1p keeps the digits of a number near 1, to be raised to a high power
            return u * math.exp(D * (t * t / 2 + math.log1p(-math.erf(t / math.sqrt(2)))))
        return float(u * erfcx(t / math.sqrt(2)) ** D)

    value, _ = quad(integrand, 0, math.inf, epsabs=0, epsrel=1e-10, limit=200)
    return (float(value) * (D - 2) / D - 1) * (d - 1) / (D - 1)


def drive_min_error(d: int) -> tuple[float, float]:
    r"""Mean and error of DRIVE with the minimum-error scale and a uniform rotation.

    Then $C(x)=\rho x+e$ with $e\perp x$, $\|e\|^2=\rho(1-\rho)\|x\|^2$ before cropping,
    $\rho=\|y\|_1^2/(D\|y\|_2^2)$: $\mathbb EC(x)=cx$ with
    $c=\mathbb E\rho=\frac1D+\frac2\pi(1-\frac1D)$, and the error is
    $1-2c+\mathbb E\rho^2+\frac{d-1}{D-1}(c-\mathbb E\rho^2)$. Without padding that is
    $1-c=(1-\frac2\pi)(1-\frac1D)$.

    Args:
        d: dimension, at least 1.

    Returns:
        c, and $\mathbb E\|C(x)-x\|^2/\|x\|^2$.

    Raises:
        ValueError: if d is below 1.

    Source: Vargaftik et al. 2021, DRIVE, the biased version; padding and second moment are derived.

    >>> [round(value, 4) for value in drive_min_error(1024)]
    [0.637, 0.363]
    """
    if d < 1:
        raise ValueError(f"d must be at least 1, got {d}")
    D = padded(d)
    c = 1 / D + 2 / math.pi * (1 - 1 / D)
    if d == D:
        return c, 1 - c
    m = math.sqrt(2 / math.pi)  # E|g|; E|g|^3 is twice that, E g^2 = 1, E g^4 = 3
    pairs = D * (D - 1)
    fourth = 3 * D + 8 * m**2 * pairs + 3 * pairs + 6 * m**2 * pairs * (D - 2)
    fourth += m**4 * pairs * (D - 2) * (D - 3)  # E (|g_1| + ... + |g_D|)^4
    square = fourth / (D**3 * (D + 2))
    return c, 1 - 2 * c + square + (d - 1) / (D - 1) * (c - square)
