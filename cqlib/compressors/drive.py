"""DRIVE: signs after a random rotation, and one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import TooLargeError, check_finite, check_norms, check_scales
from cqlib.compressors.parts import Fused
from cqlib.compressors.rotated_signs import InFloat64, RotatedSigns, Rounding, rotation_keys
from cqlib.compressors.steps import check_norm
from cqlib.compressors.types import AB, Array, Constants, Context, Message, Symbols
from cqlib.compressors.wire import as_array
from cqlib.kernels import dispatch
from cqlib.kernels.derived import rotation
from cqlib.kernels.reference import hadamard
from cqlib.kernels.reference.norms import tree_sum
from cqlib.keys import Key
from cqlib.theory.rotation import PAPER_OMEGA, drive_min_error, drive_omega, padded
from cqlib.theory.vectors import Vectors, mean_and_spread, squared_norms

_LARGEST_SQUARES = float(np.finfo(np.float32).max) ** 2


@dataclass(frozen=True)
class Drive(RotatedSigns):
    r"""DRIVE: $C(x)=R^{-1}(S\,\mathrm{sign}(Rx))$ for a client's own random rotation R.

    The vector is padded with zeros to $D=2^{\lceil\log_2d\rceil}$ coordinates, and
    $\mathrm{sign}(0)=1$. Missing clients: as if only the others took part.

    Args:
        scale: "unbiased" for $S=\|x\|_2^2/\|Rx\|_1$, "min_error" for $S=\|Rx\|_1/D$, which is
            biased.
        rotation: "hadamard" for the fast randomised Hadamard rotation, which is biased for some
            inputs with either scale, so that no constants hold for every input. "uniform" for
            an exactly uniform rotation, at cost $O(d^2)$.

    Source: Vargaftik et al., "DRIVE: One-bit distributed mean estimation", NeurIPS 2021.

    >>> Drive().bits(d=100, n=4), Drive().unbiased
    (160.0, False)
    >>> round(Drive(rotation="uniform").omega(d=64), 4)
    0.5636
    """

    name: ClassVar[str] = "drive"

    @property
    def rounding(self) -> Rounding:
        if self.rotation == "hadamard":
            return self._in_float32
        return InFloat64(self.rotation, self._split, _join)

    @property
    def fused(self) -> Fused | None:
        return self._in_float32.fused if self.rotation == "hadamard" else None

    @property
    def _in_float32(self) -> InFloat32:
        return InFloat32(unbiased=self.scale == "unbiased")

    def _split(self, y: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return the signs, and S."""
        length = tree_sum(np.abs(y))
        if self.scale == "min_error":
            S = length / y.shape[-1]
        else:
            S = np.divide(tree_sum(y * y), length, out=np.zeros_like(length), where=length > 0)
        return y >= 0, S[..., None]

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return $A=\omega/n$, $B=0$, if DRIVE is unbiased.

        Paper: $A=(\frac\pi2-1)/n$ for the unbiased scale (Table 4) and either rotation; with the
        Hadamard rotation, which the experiments use, it is a heuristic.
        """
        if kind == "paper" and self.scale == "unbiased":
            return AB(PAPER_OMEGA / n, 0.0, homogeneous_only=False)
        return super().ab_constants(n, d, kind)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error for a uniform rotation: a fixed multiple of |a_i|^2."""
        if self.rotation == "hadamard":
            return super().variance(X)
        d = X.shape[1]
        error = drive_omega(d) if self.scale == "unbiased" else drive_min_error(d)[1]
        return error * squared_norms(X)

    def mse(self, X: Vectors) -> float:
        r"""Return the exact error of the mean for a uniform rotation.

        With the minimum-error scale, where E C(x) = c x and E|C(x) - x|^2 = v |x|^2, it is
        $\frac{v-(1-c)^2}{n^2}\sum_i\|a_i\|^2+(1-c)^2\|\bar a\|^2$.
        """
        if self.rotation == "uniform" and self.scale == "min_error":
            c, error = drive_min_error(X.shape[1])
            mean_square, spread = mean_and_spread(X)
            chance = (error - (1 - c) ** 2) * mean_square / len(X)
            return chance + (1 - c) ** 2 * (mean_square - spread)
        return super().mse(X)


def _join(symbols: Symbols) -> NDArray[np.float64]:
    """Return S times the signs."""
    check_norms(symbols)
    S = symbols.scales.astype(np.float64)
    return np.where(symbols.values, S, -S)


@dataclass(frozen=True)
class InFloat32:
    """DRIVE with a Hadamard rotation, by float32 kernels.

    Args:
        unbiased: True for the unbiased scale, False for the scale of smallest error.
    """

    unbiased: bool

    @property
    def fused(self) -> Fused:
        """The kernels that rotate and pack in one pass."""
        return Fused(self.write, self.read, None, self.simulate, self.simulate_each)

    def write(self, x: Tensor, ctx: Context) -> Message:
        """Rotate, take the signs and pack them in one pass."""
        kernels = dispatch.kernels_for(x)
        squares = float(kernels.sums_of_squares(x[None])[0])
        if not squares <= _LARGEST_SQUARES:
            check_finite(x.cpu().numpy()[None], ctx.clients)
            raise TooLargeError(int(ctx.clients[0]))
        codes, S = kernels.encode_drive(
            x, squares, unbiased=self.unbiased, key=ctx.key, client=int(ctx.clients[0])
        )
        _check_decoded(np.full((1, 1), S), ctx)
        return Message(codes, torch.tensor([S], device=x.device))

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Unpack the signs and rotate back in one pass."""
        codes = message.codes
        check_norm(message.scales, codes, smallest=0.0)
        S = message.scales.cpu().numpy()
        with np.errstate(over="ignore"):
            if not np.isfinite(S * np.float32(math.sqrt(padded(ctx.d)))).all():
                raise ValueError("payload decodes to values beyond the largest float32")
        return dispatch.kernels_for(codes).decode_drive(
            codes, float(S[0]), d=ctx.d, key=ctx.key, client=int(ctx.clients[0])
        )

    def simulate(self, X: Tensor, ctx: Context) -> Tensor:
        """Rotate there and back, and add, in one pass."""
        rows = X.reshape(-1, *X.shape[-2:])
        return self._simulate(rows, ctx, ctx.key).reshape(*X.shape[:-2], X.shape[-1])

    def simulate_each(self, X: Tensor, ctx: Context, keys: Sequence[Key]) -> Tensor:
        """Do the same for a batch, with a key for each member."""
        return self._simulate(X, ctx, keys)

    def _simulate(self, X: Tensor, ctx: Context, key: Key | Sequence[Key]) -> Tensor:
        rows = as_array(X)
        squares = dispatch.host().sums_of_squares(rows)
        if not np.isfinite(squares).all():
            check_finite(rows, ctx.clients)
        _check_squares(squares, ctx)
        means, S = dispatch.host().simulate_drive(rows, squares, unbiased=self.unbiased, key=key)
        _check_decoded(S[..., None], ctx)
        return torch.from_numpy(means).to(X.device)

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Rotate, take the signs, scale."""
        D = hadamard.rotated_size(ctx.d)
        squares = dispatch.host().sums_of_squares(x)
        _check_squares(squares, ctx)
        signs = rotation.signs(rotation_keys(ctx), D)
        y = hadamard.rotated(x, squares, signs, dispatch.host().transform)
        steps = dispatch.host().norm1_in_steps(y)
        S = hadamard.drive_scale(squares, steps, D, unbiased=self.unbiased)[..., None]
        _check_decoded(S, ctx)
        return Symbols((y >= 0) & (S > 0), S)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Multiply the signs by S, rotate back, drop the padding."""
        check_norms(symbols)
        D = hadamard.rotated_size(ctx.d)
        signs = rotation.signs(rotation_keys(ctx), D)
        x = dispatch.host().rotated_back(symbols.values, symbols.scales, signs)
        return np.asarray(x[..., : ctx.d])


def _check_squares(squares: NDArray[np.float64], ctx: Context) -> None:
    """Raise if a vector holds NaN or infinity, or its norm exceeds float32."""
    refused = np.where(squares <= _LARGEST_SQUARES, 0, np.inf).astype(np.float32)
    check_scales(refused[..., None], ctx.clients)


def _check_decoded(S: NDArray[np.float32], ctx: Context) -> None:
    """Raise if a decoded value can exceed float32: it is at most sqrt(D) S."""
    with np.errstate(over="ignore"):
        check_scales(S * np.float32(math.sqrt(padded(ctx.d))), ctx.clients)
