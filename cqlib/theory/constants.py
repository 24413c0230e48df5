r"""Calculus of the constants A and B of the AB-inequality (Assumption 5), and of its weighted form.

$\mathbb E\|\frac1n\sum_iC_i(a_i)-\bar a\|^2\le A\frac1n\sum_i\|a_i\|^2-B\|\bar a\|^2$.
Every function returns the pair (A, B); smaller A and larger B are better.
"""

from __future__ import annotations

import math


def independent_constants(omega: float, n: int) -> tuple[float, float]:
    r"""Constants of independent compressors: $A=\frac1n\max_i\omega_i$, $B=0$.

    Args:
        omega: largest $\omega_i\ge0$ of the clients' unbiased compressors (Definition 1).
        n: number of clients.

    Raises:
        ValueError: if a number is outside its range.

    Source: Proposition 1; errors of independent clients are orthogonal in expectation.

    >>> independent_constants(15.0, 16)  # IQ with n = d = 16
    (0.9375, 0.0)
    """
    if not (omega >= 0 and n >= 1):
        raise ValueError(f"need omega >= 0 and n >= 1, got {omega}, {n}")
    return omega / n, 0.0


def dependent_constants(omega: float) -> tuple[float, float]:
    r"""Constants of unbiased compressors of any dependence: $A=\max_i\omega_i$, $B=0$.

    Args:
        omega: largest $\omega_i\ge0$ of the clients' unbiased compressors (Definition 1).

    Raises:
        ValueError: if omega is negative.

    Source: sharpens Proposition 1, whose pair $(\max_i\omega_i+1,1)$ follows; the proof only needs
        $\|\frac1n\sum_ie_i\|^2\le\frac1n\sum_i\|e_i\|^2$ for the clients' errors.

    >>> dependent_constants(15.0)  # correlated clients of 16 coordinates: (d - 1, 0)
    (15.0, 0.0)
    """
    if not omega >= 0:
        raise ValueError(f"omega must be at least 0, got {omega}")
    return omega, 0.0


def quantize_first_constants(A: float, B: float, omega: float, n: int) -> tuple[float, float]:
    r"""Constants of $C_i\circ Q_i$: first independent quantizers, then compressors in U(A, B).

    $A'=(1+\omega)A+(1-B)\frac\omega n$, $B'=B$.

    Args:
        A: constant A of the compressors $C_i$.
        B: constant B of the compressors $C_i$, in [0, 1].
        omega: of the quantizers $Q_i$, independent of each other and of the $C_i$.
        n: number of clients.

    Raises:
        ValueError: if a constant is outside its range.

    Source: Szlendak et al. 2022, Section 2.4, for PermK; derived by the law of total variance.

    >>> quantize_first_constants(1.0, 1.0, 0.125, 8)  # PermK of natural compression: (1 + omega, 1)
    (1.125, 1.0)
    """
    if not (0 <= A < math.inf and 0 <= B <= 1 and 0 <= omega < math.inf and n >= 1):
        raise ValueError(
            f"need finite A, omega >= 0, B in [0, 1], n >= 1; got {A}, {omega}, {B}, {n}"
        )
    return (1 + omega) * A + (1 - B) * omega / n, B


def sparsify_first_constants(
    A: float, B: float, omega_sparsifier: float, omega_quantizer: float, n: int
) -> tuple[float, float]:
    r"""Constants of $Q_i\circ C_i$: first compressors in U(A, B), then independent quantizers.

    $A'=A+\frac{\omega_Q(1+\omega_C)}n$, $B'=B$.

    Args:
        A: constant A of the compressors $C_i$.
        B: constant B of the compressors $C_i$.
        omega_sparsifier: $\omega_C$ of each $C_i$.
        omega_quantizer: $\omega_Q$ of the quantizers, in the dimension of their inputs.
        n: number of clients.

    Raises:
        ValueError: if a constant is outside its range.

    Source: derived: given the $C_i$, the quantizers add independent errors.

    >>> sparsify_first_constants(1.0, 1.0, 7.0, 0.125, 8)  # PermK, then natural compression
    (1.125, 1.0)
    """
    if not (A >= 0 and B >= 0 and omega_sparsifier >= 0 and omega_quantizer >= 0 and n >= 1):
        raise ValueError(
            "need A, B, omegas >= 0 and n >= 1; got "
            f"{A}, {B}, {omega_sparsifier}, {omega_quantizer}, {n}"
        )
    return A + omega_quantizer * (1 + omega_sparsifier) / n, B


def sampling_constants(tau: int = 1, omega: float = 0.0) -> tuple[float, float]:
    r"""Weighted constants of importance sampling: $A=\frac{1+\omega}\tau$, $B=\frac1\tau$.

    For weights $w_i=q_i$, the probabilities of the tau independent draws; each drawn client sends
    $\frac1{nq_i}C_i(a_i)$, compressed afresh.

    Args:
        tau: number of draws, at least 1; Lemma 4 has one.
        omega: of the clients' independent compressors; 0 for no compression (Appendix C.2).

    Raises:
        ValueError: if a number is outside its range.

    Source: Lemma 4 (Assumption 6); equality if the error is omega |x|^2 for all x.

    >>> sampling_constants(), sampling_constants(omega=15.0)
    ((1.0, 1.0), (16.0, 1.0))
    """
    if not (tau >= 1 and tau % 1 == 0 and 0 <= omega < math.inf):
        raise ValueError(f"need an integer tau >= 1 and finite omega >= 0, got {tau}, {omega}")
    return (1 + omega) / tau, 1 / tau
