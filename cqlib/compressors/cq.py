"""Correlated quantization (CQ): the clients' rounding errors cancel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.checks import (
    SMALLEST_RANGE,
    as_integer,
    check_decodable,
    check_norms,
    one_of,
)
from cqlib.compressors.contract import Compressor
from cqlib.compressors.frames import Plain, Rotated
from cqlib.compressors.lattice import Ends, Lattice
from cqlib.compressors.onebit import OneBitKernels
from cqlib.compressors.parts import Fused
from cqlib.compressors.steps import on_the_grid, ranks_of, rounding_words, without_symbols_of_zero
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Layout, Symbols
from cqlib.kernels.reference import packing, rounding
from cqlib.theory import mse
from cqlib.theory.vectors import Vectors, rows_and_unit, squared_norms

RANKS = ("shift", "permutation")
_NORMS = {"l2": 2.0, "linf": math.inf}
_MOST_LEVELS = 2**15 - 1
_PLAIN, _ROTATED, _ENDS = Plain(), Rotated(), Ends()


@dataclass(frozen=True)
class CQ(Compressor):
    r"""Correlated quantization, Definition 7 and Algorithm 2 of Panferov et al. 2025.

    At each coordinate the clients' ranks $\pi_i$ are a shared random permutation of $0..n-1$, and
    client $i$ rounds up if its threshold $U_i=(\pi_i+u_i)/n$, $u_i\in[0,1)$ private, lies below
    $y_{ij}=\frac12(1+a_{ij}/R_i)$, $R_i=\|a_i\|$. Each $U_i$ is uniform, so CQ is unbiased;
    together they hit each of the n cells of [0, 1) once. So if all clients are equal, the result of
    at most one of them is random. Missing clients: the mean of those received is unbiased, and its
    error is at most IQ's, since no two errors are positively correlated; but some cells have no
    threshold, and the homogeneous constants for n do not hold.

    Args:
        levels: 1 for the paper's one bit; k >= 3 for the k levels $c_1+m\beta$,
            $\beta=\frac{k+1}{k(k-1)}$, with a shared random $c_1\in[-\frac1k,0)$; the same
            thresholds round $y$ to a neighbouring level.
        ranks: "shift" draws a permutation of the clients per 1024 coordinates and a cyclic shift
            of it per coordinate, at constant cost; "permutation" draws a permutation per
            coordinate, as the paper says, at cost O(n). Bias, MSE and covariance are the same.
        range: "l2" for $R_i=\|a_i\|_2$, the paper's; "linf" for $R_i=\|a_i\|_\infty$.
        rotate: quantize after a randomised Hadamard rotation that the clients share, of dimension
            $D=2^{\lceil\log_2d\rceil}$.

    Source: Suresh, Sun, Ro, Yu, "Correlated quantization for distributed mean estimation and
    optimization", ICML 2022, Algorithms 1 to 3; the paper's Algorithm 2.

    >>> CQ().ab(n=16, d=16, constants="homogeneous")
    AB(A=0.0625, B=0.0, homogeneous_only=True)
    >>> CQ(levels=4).bits(d=100, n=16)  # two bits a coordinate
    232.0
    """

    name: ClassVar[str] = "cq"
    levels: int = 1
    ranks: Literal["shift", "permutation"] = "shift"
    range: Literal["l2", "linf"] = "l2"
    rotate: bool = False

    def __post_init__(self) -> None:
        levels = as_integer("levels", self.levels, 1, _MOST_LEVELS)
        if levels == 2:
            raise ValueError("levels must be 1 (one bit) or at least 3, got 2")
        if not isinstance(self.rotate, (bool, np.bool_)):
            raise ValueError(f"rotate must be False or True, got {self.rotate!r}")
        # Equal options have the same text, so that payloads get the same tag.
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "ranks", one_of("ranks", self.ranks, RANKS))
        object.__setattr__(self, "range", one_of("range", self.range, _NORMS))
        object.__setattr__(self, "rotate", bool(self.rotate))

    @property
    def facts(self) -> Facts:
        return Facts(unbiased=True, joint=True, can_be_cut=self._one_bit_a_coordinate)

    @property
    def fused(self) -> Fused | None:
        if not self._one_bit_a_coordinate or self.ranks == "permutation":
            return None
        return OneBitKernels(correlated=True, norm=_NORMS[self.range]).fused

    def layout(self, ctx: Context) -> Layout:
        """Return one symbol per coordinate, 2^ceil(log2 d) with a rotation, and the range."""
        return Layout(self._lattice.alphabet, symbols=self._frame.size(ctx.d), scales=1)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Round up if the stratified threshold lies below the coordinate (Algorithm 2)."""
        g, scales = on_the_grid(self._frame.into(x, ctx.key), ctx, _NORMS[self.range])
        D = g.shape[-1]
        if (growth := self._lattice.headroom * self._frame.stretch(D)) > 1:
            check_decodable(scales.astype(np.float64) * growth, ctx.clients)
        below, g = self._lattice.split(g, ctx.key)
        ranks = ranks_of(self.ranks, ctx.key, D, ctx.clients, ctx.n)
        up = rounding.round_correlated(g, rounding_words(ctx, D), ranks, ctx.n)
        symbols = up if self.levels == 1 else below + up
        return Symbols(without_symbols_of_zero(symbols, scales), scales)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the ends of the range, or the levels, rotated back."""
        check_norms(symbols, SMALLEST_RANGE)
        return self._frame.back(self._lattice.values(symbols, ctx.key), ctx.d, ctx.key)

    def bits(self, d: int, n: int) -> float:
        """Return d + 32 (Table 4); k levels take ceil(log2 k) bits each, three take log2 3."""
        return self._frame.size(d) * packing.symbol_bits(self._lattice.alphabet) + 32.0

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return omega, which is A for n = 1.

        One bit: D - 1, since $\mathbb E|C(x)-x|^2=DR^2-|x|^2$; after a rotation and with range
        "linf", where $\mathbb ER^2\le\frac{2\ln(2D)+2}D|x|^2$, also $2\ln(2D)+1$. With k
        levels the step $2R\beta$ bounds a coordinate's variance by $R^2\beta^2$.
        """
        return self.ab_constants(1, d, "valid").A

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return A and B = 0.

        Valid: $A=\omega/n$ for all inputs, since no two clients' errors are positively
        correlated. Homogeneous: also $A=\beta^2\frac{r}{n^2}$, where $\beta=1$ for one bit and
        $r$ bounds $D\,\mathbb ER^2/\|a\|^2$: $D$, or $2\ln(2D)+2$ with rotation and range
        "linf". Paper: $A=d/(4n^2)$, homogeneous (after Corollary 2); it is too small for the
        range $\pm\|a\|$. The paper has no constants for other options.
        """
        if kind == "paper" and self._one_bit_a_coordinate and self.range == "l2":
            return AB(d / (4 * n**2), 0.0, homogeneous_only=True)
        D = self._frame.size(d)
        r = float(D) if self.range == "l2" else self._frame.largest_square(D)
        valid = self._lattice.excess(r) / n
        if kind == "homogeneous":
            return AB(min(self._lattice.step**2 * r / n**2, valid), 0.0, homogeneous_only=True)
        return AB(valid, 0.0, homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return $dR_i^2-\|a_i\|^2$ for one bit without rotation."""
        if not self._one_bit_a_coordinate:
            return super().variance(X)
        rows, unit = rows_and_unit(X)
        R = np.linalg.norm(rows, ord=_NORMS[self.range], axis=1) * unit
        return np.asarray(rows.shape[1] * R**2 - squared_norms(X))

    def mse(self, X: Vectors) -> float:
        """Return the exact error for one bit without rotation, as the sum of all covariances."""
        if not self._one_bit_a_coordinate:
            return super().mse(X)
        return mse.cq_mse(X, norm=_NORMS[self.range])

    @property
    def _lattice(self) -> Ends | Lattice:
        return _ENDS if self.levels == 1 else Lattice(self.levels)

    @property
    def _frame(self) -> Plain:
        return _ROTATED if self.rotate else _PLAIN

    @property
    def _one_bit_a_coordinate(self) -> bool:
        return self.levels == 1 and not self.rotate
