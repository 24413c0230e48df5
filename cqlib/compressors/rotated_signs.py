"""The common part of DRIVE and DRIVE+: one bit per coordinate of the client's rotated vector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.checks import check_decodable, one_of
from cqlib.compressors.contract import Compressor
from cqlib.compressors.steps import without_symbols_of_zero
from cqlib.compressors.types import Array, Context, Facts, Layout, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.api import StreamKey
from cqlib.kernels.derived import rotation
from cqlib.keys import Stream
from cqlib.theory.rotation import drive_omega, padded

_SCALES = ("unbiased", "min_error")
_ROTATIONS = {
    "hadamard": (rotation.hadamard_rotate, rotation.hadamard_rotate_back),
    "uniform": (rotation.uniform_rotate, rotation.uniform_rotate_back),
}


class Rounding(Protocol):
    """The methods of :class:`Codec` that map vectors to symbols and back."""

    def quantize(self, x: Array, ctx: Context) -> Symbols: ...
    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class RotatedSigns(Compressor, abstract=True):
    r"""A compressor that rotates each client's vector and rounds coordinates to one of two values.

    Args:
        scale: "unbiased" or "min_error".
        rotation: "hadamard" or "uniform".
    """

    scale: Literal["unbiased", "min_error"] = "unbiased"
    rotation: Literal["hadamard", "uniform"] = "hadamard"
    n_scales: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", one_of("scale", self.scale, _SCALES))
        object.__setattr__(self, "rotation", one_of("rotation", self.rotation, _ROTATIONS))

    @property
    @abstractmethod
    def rounding(self) -> Rounding:
        """The implementation for these options."""

    @property
    def facts(self) -> Facts:
        """It is unbiased only with the unbiased scale and a uniform rotation."""
        return Facts(unbiased=self.scale == "unbiased" and self.rotation == "uniform")

    def layout(self, ctx: Context) -> Layout:
        """Return a bit for each of the 2^ceil(log2 d) rotated coordinates, and the scales."""
        return Layout(alphabet=2, symbols=padded(ctx.d), scales=self.n_scales)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Rotate, split into two values, scale."""
        return self.rounding.quantize(x, ctx)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Replace bits by the two values, rotate back, drop the padding."""
        return self.rounding.dequantize(symbols, ctx)

    def bits(self, d: int, n: int) -> float:
        """Return a bit for each of the 2^ceil(log2 d) rotated coordinates, and the scales."""
        return padded(d) + 32.0 * self.n_scales

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return DRIVE's exact error, below pi/2 - 1, for the unbiased scale and uniform rotation.

        Raises:
            ValueError: for other options. With a Hadamard rotation some vectors of every length
                are biased: $(1,t,0,\dots,0)$ is decoded to $(1+t^2,0,\dots,0)$ in every round.
        """
        if not self.unbiased:
            raise ValueError(
                f"{self!r} is biased: only the unbiased scale with a uniform rotation is not"
            )
        return drive_omega(d)


@dataclass(frozen=True)
class InFloat64:
    """Rotation and two-value rounding in float64, for either rotation.

    Args:
        rotation: "hadamard" or "uniform".
        split: maps rotated vectors, shape (..., c, D), to their bits and scales.
        join: maps bits and scales to decoded rotated vectors.
    """

    rotation: str
    split: Callable[[NDArray[np.float64]], tuple[NDArray[np.bool_], NDArray[np.float64]]]
    join: Callable[[Symbols], NDArray[np.float64]]

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Rotate, split into two values, scale."""
        largest = np.abs(x).max(axis=-1, keepdims=True).astype(np.float64)
        exponent = np.frexp(largest)[1]  # a power of two as unit: no rounding, no overflow
        D = padded(ctx.d)
        unit_x = np.pad(
            np.ldexp(x.astype(np.float64), -exponent),
            [(0, 0)] * (x.ndim - 1) + [(0, D - ctx.d)],
        )
        rotate, _ = _ROTATIONS[self.rotation]
        bits, floats = self.split(rotate(unit_x, rotation_keys(ctx)))
        with np.errstate(over="ignore", under="ignore"):
            scales = np.ldexp(floats, exponent)
            # A decoded value can be sqrt(D) times as large as the scale.
            check_decodable(scales * np.sqrt(D), ctx.clients)
            sent = scales.astype(np.float32)
            return Symbols(without_symbols_of_zero(bits, np.abs(sent).max(-1, keepdims=True)), sent)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Rotate back, drop the padding."""
        _, rotate_back = _ROTATIONS[self.rotation]
        x = rotate_back(self.join(symbols), rotation_keys(ctx))
        with np.errstate(under="ignore"):
            return x[..., : ctx.d].astype(np.float32) + np.float32(0.0)


def rotation_keys(ctx: Context) -> StreamKey:
    """Return the keys of the clients' own rotations."""
    return dispatch.host().private_keys(ctx.key, Stream.ROTATION, ctx.clients)
