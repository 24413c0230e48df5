"""DRIVE: signs after a random rotation, and one scale."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.base import Compressor
from cqlib.compressors.checks import (
    TooLargeError,
    check_finite,
    check_norms,
    check_scales,
    one_of,
    without_codes_of_zero,
)
from cqlib.compressors.onebit import check_norm
from cqlib.compressors.types import AB, Array, Constants, Context, Message, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.api import StreamKey
from cqlib.kernels.derived import rotation
from cqlib.kernels.reference import hadamard
from cqlib.kernels.reference.norms import tree_sum
from cqlib.keys import Stream
from cqlib.theory.rotation import PAPER_OMEGA, drive_min_error, drive_omega, padded
from cqlib.theory.vectors import Vectors, mean_and_spread, squared_norms

_LARGEST_SQUARES = float(np.finfo(np.float32).max) ** 2
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
        bits, floats = self.split(rotate(unit_x, _rotation_keys(ctx)))
        with np.errstate(over="ignore", under="ignore"):
            scales = np.ldexp(floats, exponent)
            # What is decoded can be longer than a float by the root of D.
            check_scales((scales * np.sqrt(D)).astype(np.float32), ctx.clients)
            sent = scales.astype(np.float32)
            return Symbols(without_codes_of_zero(bits, np.abs(sent).max(-1, keepdims=True)), sent)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Rotate back, drop the padding."""
        _, rotate_back = _ROTATIONS[self.rotation]
        x = rotate_back(self.join(symbols), _rotation_keys(ctx))
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

    def write(self, x: Tensor, ctx: Context) -> Message | None:
        """Rotate, take the signs and pack them at once."""
        if self.rotation == "uniform":
            return super().write(x, ctx)
        kernels = dispatch.kernels_for(x)
        squares = float(kernels.sums_of_squares(x[None])[0])
        if not squares <= _LARGEST_SQUARES:
            check_finite(x.cpu().numpy()[None], ctx.clients)
            raise TooLargeError(int(ctx.clients[0]))
        codes, S = kernels.encode_drive(
            x,
            squares,
            unbiased=self.scale == "unbiased",
            key=ctx.key,
            client=int(ctx.clients[0]),
        )
        self._check_scales(np.full((1, 1), S), ctx)
        return Message(codes, torch.tensor([S], device=x.device))

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Spread the signs and rotate back at once."""
        if self.rotation == "uniform":
            return super().read(message, ctx)
        codes = message.codes
        check_norm(message.scales, codes, smallest=0.0)
        S = message.scales.cpu().numpy()
        with np.errstate(over="ignore"):
            if not np.isfinite(S * np.float32(math.sqrt(padded(ctx.d)))).all():
                raise ValueError("payload stands for values beyond the largest float32")
        return dispatch.kernels_for(codes).decode_drive(
            codes, float(S[0]), d=ctx.d, key=ctx.key, client=int(ctx.clients[0])
        )

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Rotate, take the signs, scale."""
        if self.rotation == "uniform":
            return super().quantize(x, ctx)
        D = hadamard.rotated_size(ctx.d)
        squares = dispatch.host().sums_of_squares(x)
        check_scales(np.sqrt(squares).astype(np.float32)[..., None], ctx.clients)
        signs = rotation.signs(_rotation_keys(ctx), D)
        y = hadamard.rotated(x, squares, signs, dispatch.host().transform)
        steps = dispatch.host().length_in_steps(y)
        S = hadamard.drive_scale(squares, steps, D, unbiased=self.scale == "unbiased")[..., None]
        self._check_scales(S, ctx)
        return Symbols((y >= 0) & (S > 0), S)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Spread the signs, rotate back, drop the padding."""
        if self.rotation == "uniform":
            return super().dequantize(symbols, ctx)
        check_norms(symbols)
        D = hadamard.rotated_size(ctx.d)
        signs = rotation.signs(_rotation_keys(ctx), D)
        x = dispatch.host().rotated_back(symbols.codes, symbols.scales, signs)
        return np.asarray(x[..., : ctx.d])

    def _check_scales(self, S: NDArray[np.float32], ctx: Context) -> None:
        """Refuse what is decoded to values beyond a float; they can exceed S by sqrt(D)."""
        with np.errstate(over="ignore"):
            check_scales(S * np.float32(math.sqrt(padded(ctx.d))), ctx.clients)

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


def _rotation_keys(ctx: Context) -> StreamKey:
    """Return the keys of the clients' own rotations."""
    return dispatch.host().private_keys(ctx.key, Stream.ROTATION, ctx.clients)
