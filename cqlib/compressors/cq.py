"""Correlated quantization (CQ): the clients' rounding errors cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import AB, Array, Constants
from cqlib.compressors.onebit import OneBit
from cqlib.kernels import reference
from cqlib.keys import Key

_RANKS = {"shift": reference.shift_ranks, "permutation": reference.permutation_ranks}


@dataclass(frozen=True)
class CQ(OneBit):
    r"""Correlated quantization, Definition 7 and Algorithm 2 of Panferov et al. 2025.

    At each coordinate the clients' ranks $\pi_i$ are a shared random permutation of $0..n-1$, and
    client $i$ rounds up if its threshold $U_i=(\pi_i+u_i)/n$, $u_i\in[0,1)$ private, lies below
    $y_{ij}=\frac12(1+a_{ij}/\|a_i\|)$. Each $U_i$ is uniform, so CQ is unbiased; together they
    hit each of the n cells of [0, 1) once, so at most one of several equal clients is undecided.

    Args:
        ranks: "shift" draws a shared cyclic shift per coordinate of a shared permutation of the
            clients per 1024 coordinates, at constant cost; "permutation" draws a permutation per
            coordinate, literally, at cost O(n). Bias, MSE and covariance are the same.

    Source: Suresh, Sun, Ro, Yu, "Correlated quantization for distributed mean estimation and
    optimization", ICML 2022, Algorithm 1; the paper's Algorithm 2.

    >>> CQ().ab(n=16, d=16, constants="homogeneous")
    AB(A=0.0625, B=0.0, homogeneous_only=True)
    """

    name: ClassVar[str] = "cq"
    joint: ClassVar[bool] = True
    ranks: Literal["shift", "permutation"] = "shift"

    def __post_init__(self) -> None:
        if self.ranks not in _RANKS:
            raise ValueError(f"ranks must be one of {', '.join(_RANKS)}, got {self.ranks!r}")

    def decide(
        self, g: NDArray[np.int64], words: NDArray[np.int64], clients: Array, n: int, key: Key
    ) -> NDArray[np.bool_]:
        """Round up where the stratified threshold falls below the coordinate (Algorithm 2)."""
        ranks = _RANKS[self.ranks](key, d=g.shape[-1], clients=clients, n_clients=n)
        return reference.round_correlated(g, words, ranks, n)

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A and B = 0.

        Valid: $A=(d-1)/n$ for all inputs, since no two clients' errors are positively correlated.
        Homogeneous: $A=\min(d/n^2,(d-1)/n)$.
        Paper: $A=d/(4n^2)$, homogeneous (after Corollary 2), too small for the range $\pm\|a\|$.
        """
        if kind == "paper":
            return AB(d / (4 * n**2), 0.0, homogeneous_only=True)
        if kind == "homogeneous":
            return AB(min(d / n**2, (d - 1) / n), 0.0, homogeneous_only=True)
        return AB((d - 1) / n, 0.0, homogeneous_only=False)
