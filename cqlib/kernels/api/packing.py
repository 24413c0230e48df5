"""Packing of symbols into bytes; ``reference.packing`` defines the layout."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import Array, StreamKey


class HostPacking(Protocol):
    """Packing of NumPy arrays."""

    def pack(self, symbols: Array, alphabet: int) -> Array:
        """Pack symbols of shape (count,), in [0, alphabet), with the code of the alphabet.

        Args:
            symbols: booleans or integers.
            alphabet: number of symbols, at least 1.

        Returns:
            uint8, of ``packing.code_bytes(count, alphabet)`` bytes.
        """
        ...

    def unpack(self, data: Array, count: int, alphabet: int) -> Array:
        """Undo ``pack``: return booleans for an alphabet of two, else int64; shape (count,).

        Raises:
            ValueError: if the number of bytes is wrong, padding is not zero, or a symbol is not in
                the alphabet. The number of bytes is checked before memory is allocated.
        """
        ...

    def dither(self, y: Array, stream_key: StreamKey, *, levels: int) -> Array:
        """Round y in [-1, 1] to signed multiples l / s without bias, and return their symbols.

        |l| is ``round_linear`` of |y|. The symbol is 2 l - 1 for l > 0, and -2 l for l <= 0.

        Args:
            y: float32 or float64, shape (..., c, d), finite.
            stream_key: two arrays of shape (c,), one stream per client; a batch shares them.
            levels: s, in [1, 2^16].

        Returns:
            Symbols in [0, 2 s], shape (..., c, d): uint8 where they fit, else uint32.

        Raises:
            ValueError: if y is not of floats, or levels is out of range.
        """
        ...

    def pack_integers(self, values: Array, width: int) -> Array:
        """Pack integers of shape (d,), in [0, 2^width), at ``width`` bits each.

        >>> import numpy as np
        >>> from cqlib.kernels import reference
        >>> reference.pack_integers(np.array([5, 1, 6]), 3)  # planes 110, 001, 101 in 2 bytes
        array([25,  5], dtype=uint8)
        """
        ...

    def unpack_integers(self, codes: Array, d: int, width: int) -> Array:
        """Undo ``pack_integers``: return int64, shape (d,).

        Raises:
            ValueError: if the number of bytes is wrong, or a padding bit of the last tile is set.
        """
        ...
