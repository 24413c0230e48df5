"""Integers of a fixed length as bytes; ``reference.packing`` has the layout."""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import Array


class HostPacking(Protocol):
    """Packed integers in main memory."""

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
