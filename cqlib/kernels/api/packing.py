"""Symbols as bytes; ``reference.packing`` has the layout."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import Array, StreamKey


class HostPacking(Protocol):
    """Packed symbols in main memory."""

    def pack(self, symbols: Array, alphabet: int) -> Array:
        """Pack symbols of shape (count,), in [0, alphabet), by the code of that alphabet.

        Args:
            symbols: booleans or integers.
            alphabet: number of symbols, at least 1.

        Returns:
            uint8, of ``packing.code_bytes(count, alphabet)`` bytes.
        """
        ...

    def unpack(self, data: Array, count: int, alphabet: int) -> Array:
        """Undo ``pack``: booleans for two symbols, else int64; shape (count,).

        Raises:
            ValueError: for the wrong number of bytes, padding that is not zero, or a symbol that
                the alphabet does not have. Nothing is allocated before the number of bytes is
                checked.
        """
        ...

    def dither(self, y: Array, stream_key: StreamKey, *, levels: int) -> Array:
        """Round y in [-1, 1] to a multiple of 1/s without bias, and return the symbols of these.

        The level is that of ``round_linear`` for |y|; level l > 0 of a positive coordinate is
        symbol 2 l - 1, of a negative one 2 l; zero is 0.

        Args:
            y: float32 or float64, shape (..., c, d), finite.
            stream_key: two arrays of shape (c,), one stream a client; batches share them.
            levels: s, in [1, 2^16].

        Returns:
            Symbols in [0, 2 s], shape (..., c, d): uint8 where they fit, else uint32.

        Raises:
            ValueError: for another y, or other levels.
        """
        ...

    def pack_integers(self, values: Array, width: int) -> Array:
        """Pack integers of shape (d,), in [0, 2^width), at width bits each.

        >>> import numpy as np
        >>> from cqlib.kernels import reference
        >>> reference.pack_integers(np.array([5, 1, 6]), 3)  # planes 110, 001, 101 in 2 bytes
        array([25,  5], dtype=uint8)
        """
        ...

    def unpack_integers(self, codes: Array, d: int, width: int) -> Array:
        """Undo ``pack_integers``: return int64, shape (d,).

        Raises:
            ValueError: for the wrong number of bytes, or if a padding bit of the last tile is set.
        """
        ...
