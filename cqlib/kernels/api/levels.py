"""Signed levels: dithering, and the integers of Global-QSGD."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import A, Array
from cqlib.keys import Key


class Levels(Protocol[A]):
    """Rounding of x_j / R to signed multiples of 1/s."""

    def quantize_levels(
        self,
        x: A,
        scale: A | float,
        *,
        levels: int,
        key: Key,
        client: int,
        out: A | None = None,
    ) -> A:
        """Round x / R to signed multiples of 1/s, and return s times them: integers.

        This is Global-QSGD's linear quantizer: with a common R the clients' integers add up.

        Args:
            x: finite, shape (d,), float32 or float64.
            scale: R, a float32 or an array without axes, at least |x_j|; if it is 0, all levels are
                0.
            levels: s, in [1, 2^16].
            key: the round's key.
            client: the client's id.
            out: array to fill, int8, int16 or int32, wide enough for s, shape (d,).

        Returns:
            Integers in [-s, s]; without ``out``, of the smallest such dtype.

        Raises:
            ValueError: if x or levels is not as above, or ``out`` does not fit.
        """
        ...

    def encode_levels(
        self,
        x: A,
        scale: A | float,
        *,
        levels: int,
        key: Key,
        client: int,
        out: A | None = None,
    ) -> A:
        """Round as ``quantize_levels`` and pack the 2 s + 1 symbols: standard dithering.

        Args:
            x: finite, shape (d,), float32 or float64.
            scale: R, a float32 or an array without axes, at least |x_j|; if it is 0, all symbols
                are 0.
            levels: s, in [1, 2^16].
            key: the round's key.
            client: the client's id.
            out: array to fill, uint8, of ``packing.code_bytes(d, 2 s + 1)`` bytes.

        Raises:
            ValueError: as ``quantize_levels``.
        """
        ...

    def decode_levels(
        self, codes: A, scale: A | float, *, d: int, levels: int, out: A | None = None
    ) -> A:
        """Return R l / s for each signed level l.

        Args:
            codes: uint8, from ``encode_levels``.
            scale: R, a float32 or an array without axes.
            d: number of coordinates.
            levels: s, in [1, 2^16].
            out: array to fill, float32 or float64, shape (d,); by default a new array of float32.

        Raises:
            ValueError: if the number of bytes is wrong, padding is not zero, or a symbol exceeds
                2 s.
        """
        ...


class HostLevels(Protocol):
    """Operations on levels for NumPy arrays only."""

    def unpack_levels(self, codes: Array, *, d: int, levels: int) -> Array:
        """Return the signed levels of codes, int32 in [-s, s]; see ``decode_levels``."""
        ...
