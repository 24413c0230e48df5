"""Signed levels: dithering, and Global-QSGD's integers."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import A, Array
from cqlib.keys import Key


class Levels(Protocol[A]):
    """Each coordinate over R becomes a signed multiple of 1/s."""

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
        """Round a vector over R to signed multiples of 1/s, and return the integers.

        Those of several clients with a common R add up: Global-QSGD's linear quantizer.

        Args:
            x: finite, shape (d,), float32 or float64.
            scale: R, a float32, at least |x_j|, or an array of it without axes; for 0 all levels
                are 0.
            levels: s, in [1, 2^16].
            key: the round's key.
            client: its id.
            out: int8, int16 or int32, shape (d,), to fill, wide enough for s.

        Returns:
            Integers in [-s, s]; by default the narrowest that hold them.

        Raises:
            ValueError: for another x, other levels, or if ``out`` does not fit.
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
            scale: R, a float32, at least |x_j|, or an array of it without axes; for 0 all symbols
                are 0.
            levels: s, in [1, 2^16].
            key: the round's key.
            client: its id.
            out: uint8, of ``packing.code_bytes(d, 2 s + 1)`` bytes, to fill.

        Raises:
            ValueError: as ``quantize_levels``.
        """
        ...

    def decode_levels(
        self, codes: A, scale: A | float, *, d: int, levels: int, out: A | None = None
    ) -> A:
        """Return R l / s for each signed level l.

        Args:
            codes: uint8, as ``encode_levels`` gives.
            scale: R, a float32, or an array of it without axes.
            d: number of coordinates.
            levels: s, in [1, 2^16].
            out: float32 or float64, shape (d,), to fill; by default a new array of float32.

        Raises:
            ValueError: for the wrong number of bytes, padding that is not zero, or a symbol above
                2 s.
        """
        ...


class HostLevels(Protocol):
    """Levels that are added up in main memory."""

    def unpack_levels(self, codes: Array, *, d: int, levels: int) -> Array:
        """Return the signed levels of codes themselves, int32 in [-s, s]; see ``decode_levels``."""
        ...
