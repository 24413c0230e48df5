"""DRIVE: signs after a random rotation, and one scale."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import (
    AB,
    Array,
    Compressor,
    Constants,
    Context,
    Symbols,
    check_norms,
    check_scales,
    one_of,
    without_codes_of_zero,
)
from cqlib.kernels import rotation
from cqlib.kernels.norms import tree_sum
from cqlib.keys import Stream
from cqlib.theory.rotation import PAPER_OMEGA, drive_min_error, drive_omega, padded
from cqlib.theory.vectors import Vectors, mean_and_spread, squared_norms

_SCALES = ("unbiased", "min_error")
_ROTATIONS = {
    "hadamard": (rotation.hadamard_rotate, rotation.hadamard_rotate_back),
    "uniform": (rotation.uniform_rotate, rotation.uniform_rotate_back),
}


@dataclass(frozen=True)
class RotatedSigns(Compressor):
    r"""What DRIVE and DRIVE+ share: one bit a coordinate of the client's rotated vector.

    Args:
        scale: "unbiased" or "min_error".
        rotation: "hadamard" or "uniform".
    """

    scale: Literal["unbiased", "min_error"] = "unbiased"
    rotation: Literal["hadamard", "uniform"] = "hadamard"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", one_of("scale", self.scale, _SCALES))
        object.__setattr__(self, "rotation", one_of("rotation", self.rotation, _ROTATIONS))

    @abstractmethod
    def split(self, y: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return the bits of rotated vectors, shape (..., c, D), and the floats to send."""

    @abstractmethod
    def join(self, symbols: Symbols) -> NDArray[np.float64]:
        """Return what the bits and floats stand for, before the rotation is undone."""

    @property
    def unbiased(self) -> bool:
        """Whether E C(x) = x for every x: only with the unbiased scale and a uniform rotation."""
        return self.scale == "unbiased" and self.rotation == "uniform"

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Rotate, split into two values, scale."""
        largest = np.abs(x).max(axis=-1, keepdims=True).astype(np.float64)
        exponent = np.frexp(largest)[1]  # an exact unit keeps squares from over- and underflowing
        D = padded(ctx.d)
        unit_x = np.pad(
            np.ldexp(x.astype(np.float64), -exponent),
            [(0, 0)] * (x.ndim - 1) + [(0, D - ctx.d)],
        )
        rotate, _ = _ROTATIONS[self.rotation]
        bits, floats = self.split(rotate(unit_x, ctx.key.private(Stream.ROTATION, ctx.clients)))
        with np.errstate(over="ignore", under="ignore"):
            scales = np.ldexp(floats, exponent)
            # What is decoded can be longer than a float by the root of D.
            check_scales((scales * np.sqrt(D)).astype(np.float32), ctx.clients)
            sent = scales.astype(np.float32)
            return Symbols(without_codes_of_zero(bits, np.abs(sent).max(-1, keepdims=True)), sent)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Rotate back, drop the padding."""
        _, rotate_back = _ROTATIONS[self.rotation]
        x = rotate_back(self.join(symbols), ctx.key.private(Stream.ROTATION, ctx.clients))
        with np.errstate(under="ignore"):
            return x[..., : ctx.d].astype(np.float32) + np.float32(0.0)

    def n_codes(self, d: int) -> int:
        """Return the next power of two."""
        return padded(d)

    def bits(self, d: int, n: int) -> float:
        """Return a bit for each of the 2^ceil(log2 d) rotated coordinates, and the floats."""
        return padded(d) + 32.0 * self.n_scales(d)

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return DRIVE's exact error, below pi/2 - 1, for the unbiased scale and uniform rotation.

        Raises:
            ValueError: otherwise. With a Hadamard rotation some vectors, however long, are decoded
                with a bias in every single round: $(1,t,0,\dots,0)$ becomes $(1+t^2,0,\dots,0)$.
        """
        if not self.unbiased:
            raise ValueError(
                f"{self!r} is biased: only the unbiased scale with a uniform rotation is not"
            )
        return drive_omega(d)


@dataclass(frozen=True)
class Drive(RotatedSigns):
    r"""DRIVE: $C(x)=R^{-1}(S\,\mathrm{sign}(Rx))$ for a client's own random rotation R.

    The vector is padded with zeros to $D=2^{\lceil\log_2d\rceil}$ coordinates, and
    $\mathrm{sign}(0)=1$. Missing clients: the mean of those received is that of fewer clients.

    Args:
        scale: "unbiased" for $S=\|x\|_2^2/\|Rx\|_1$, "min_error" for $S=\|Rx\|_1/D$, which is
            biased.
        rotation: "hadamard" for the fast randomised Hadamard rotation; it is **not** unbiased in
            general, whatever the scale, and no constants hold for every input. "uniform" for an
            exactly uniform rotation, at cost $O(d^2)$.

    Source: Vargaftik et al., "DRIVE: One-bit distributed mean estimation", NeurIPS 2021.

    >>> Drive().bits(d=100, n=4), Drive().unbiased
    (160.0, False)
    >>> round(Drive(rotation="uniform").omega(d=64), 4)
    0.5636
    """

    name: ClassVar[str] = "drive"

    def split(self, y: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return the signs, and S."""
        length = tree_sum(np.abs(y))
        if self.scale == "min_error":
            S = length / y.shape[-1]
        else:
            S = np.divide(tree_sum(y * y), length, out=np.zeros_like(length), where=length > 0)
        return y >= 0, S[..., None]

    def join(self, symbols: Symbols) -> NDArray[np.float64]:
        """Return S times the signs."""
        check_norms(symbols)
        S = symbols.scales.astype(np.float64)
        return np.where(symbols.codes, S, -S)

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return $A=\omega/n$, $B=0$, where DRIVE is unbiased.

        Paper: $A=(\frac\pi2-1)/n$ for the unbiased scale (Table 4), whatever the rotation; with the
        Hadamard rotation, which the experiments use, it is a heuristic.
        """
        if kind == "paper" and self.scale == "unbiased":
            return AB(PAPER_OMEGA / n, 0.0, homogeneous_only=False)
        return super().ab_constants(n, d, kind)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the same multiple of |a_i|^2 for every vector, under a uniform rotation."""
        if self.rotation == "hadamard":
            return super().variance(X)
        d = X.shape[1]
        error = drive_omega(d) if self.scale == "unbiased" else drive_min_error(d)[1]
        return error * squared_norms(X)

    def mse(self, X: Vectors) -> float:
        r"""Return the exact error under a uniform rotation.

        With the minimum-error scale E C(x) = c x and E|C(x) - x|^2 = v |x|^2:
        $\frac{v-(1-c)^2}{n^2}\sum_i\|a_i\|^2+(1-c)^2\|\bar a\|^2$.
        """
        if self.rotation == "uniform" and self.scale == "min_error":
            c, error = drive_min_error(X.shape[1])
            mean_square, spread = mean_and_spread(X)
            chance = (error - (1 - c) ** 2) * mean_square / len(X)
            return chance + (1 - c) ** 2 * (mean_square - spread)
        return super().mse(X)
