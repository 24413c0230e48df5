"""Smoothness constants, and how they follow from Hessians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Smoothness:
    r"""Smoothness constants of $f=\frac1n\sum_if_i$, or upper bounds of them.

    Args:
        L_minus: of f (Assumption 3).
        L_plus: in the mean square over clients (Assumption 2), at least L_minus; or weighted
            (Assumption 7).
        L_pm: root of the Hessian variance (Definition 4), at most L_plus; or weighted
            (Assumption 8).
        L_i: of each client's function.
    """

    L_minus: float
    L_plus: float
    L_pm: float
    L_i: tuple[float, ...] = ()


def client_factors(n: int, weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    r"""Return $\frac1{nw_i}$, the factors of the weighted constants (Assumptions 6 to 8).

    Args:
        n: number of clients.
        weights: $w_i>0$ of sum 1, shape (n,); None for $w_i=\frac1n$ and factors of 1.

    Raises:
        ValueError: unless weights are n positive numbers of sum 1.

    Source: Assumptions 6 to 8.

    >>> client_factors(2, [0.25, 0.75]).round(4).tolist()
    [2.0, 0.6667]
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if weights is None:
        return np.ones(n)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,) or not (w > 0).all() or abs(w.sum() - 1) > 1e-9:
        raise ValueError(f"weights must be {n} positive numbers of sum 1, got {weights!r}")
    return 1 / (n * w)


def smoothness_of_hessians(
    hessians: ArrayLike, weights: Sequence[float] | None = None
) -> Smoothness:
    r"""Exact smoothness constants of quadratics $f_i(x)=\frac12x^\top A_ix-b_i^\top x$.

    $L_-=\lambda_{\max}(|\bar A|)$, $L_+^2=\lambda_{\max}(\frac1n\sum_i\frac1{nw_i}A_i^2)$,
    $L_\pm^2=\lambda_{\max}(\frac1n\sum_i\frac1{nw_i}A_i^2-\bar A^2)$,
    $L_i=\lambda_{\max}(|A_i|)$, since $\nabla f_i(x)-\nabla f_i(y)=A_i(x-y)$.

    Args:
        hessians: symmetric $A_i$, shape (n, d, d).
        weights: $w_i$, shape (n,), for $L_{+,w}$ and $L_{\pm,w}$ (Assumptions 7 and 8).

    Raises:
        ValueError: unless hessians are finite symmetric matrices, shape (n, d, d).

    Source: Assumptions 2 and 3, Definition 4; Tyurin et al. 2022 for quadratics.

    >>> A = [[[2.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]]
    >>> smoothness_of_hessians(A)  # mean is the identity; squares have the mean diag(2, 1)
    Smoothness(L_minus=1.0, L_plus=1.4142135623730951, L_pm=1.0, L_i=(2.0, 1.0))
    """
    A = np.asarray(hessians, dtype=np.float64)
    if A.ndim != 3 or A.shape[1] != A.shape[2] or 0 in A.shape:
        raise ValueError(f"hessians must have shape (n, d, d), got {A.shape}")
    if not np.isfinite(A).all():
        raise ValueError("hessians hold NaN or infinity")
    if not np.allclose(A, A.transpose(0, 2, 1), atol=1e-12 * np.abs(A).max()):
        raise ValueError("hessians must be symmetric")
    mean = A.mean(axis=0)
    factors = client_factors(len(A), weights)
    square = np.einsum("i,ijk,ikl->jl", factors / len(A), A, A)
    spectra = np.abs(np.linalg.eigvalsh(A)).max(axis=1)
    return Smoothness(
        L_minus=float(np.abs(np.linalg.eigvalsh(mean)).max()),
        L_plus=_largest_root(square),
        L_pm=_largest_root(square - mean @ mean),
        L_i=tuple(spectra.tolist()),
    )


def _largest_root(square: NDArray[np.float64]) -> float:
    return float(np.sqrt(max(np.linalg.eigvalsh(square)[-1], 0.0)))
