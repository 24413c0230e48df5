r"""Signed powers of two: natural dithering, and sums rounded to powers of two.

The value 0 is stored as the integer 0, the value $\pm2^e$ as $\pm l$, l = 1 + e - lowest, where
lowest is the smallest exponent.
"""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import A, Array
from cqlib.keys import Key


class Powers(Protocol[A]):
    """Rounding of x_j / R to 0 or a signed power of two."""

    def encode_powers(
        self,
        x: A,
        scale: A | float,
        *,
        lowest: int,
        levels: int,
        key: Key,
        client: int,
        out: A | None = None,
    ) -> A:
        """Round x / R to signed powers of two and pack the symbols: natural dithering.

        Args:
            x: finite, shape (d,), float32 or float64.
            scale: R, a float32 or an array without axes; |x_j| / R is at most the largest level.
                If it is 0, all symbols are 0.
            lowest: exponent of the smallest level, in [-126, 127].
            levels: number of levels above 0; the largest level is at most 2^127.
            key: the round's key.
            client: the client's id.
            out: array to fill, uint8, of ``packing.code_bytes(d, 2 levels + 1)`` bytes.

        Raises:
            ValueError: if x or levels is not as above, or ``out`` does not fit.
        """
        ...

    def decode_powers(
        self,
        codes: A,
        scale: A | float,
        *,
        d: int,
        lowest: int,
        levels: int,
        out: A | None = None,
    ) -> A:
        """Return R times the signed power of two of each symbol.

        Args:
            codes: uint8, from ``encode_powers``.
            scale: R, a float32 or an array without axes.
            d: number of coordinates.
            lowest: exponent of the smallest level, in [-126, 127].
            levels: number of levels above 0.
            out: array to fill, float32 or float64, shape (d,); by default a new array of float32.

        Raises:
            ValueError: if the number of bytes is wrong, padding is not zero, or a symbol is too
                large.
        """
        ...


class HostPowers(Protocol):
    """Sums of powers of two, for NumPy arrays only."""

    def add_powers(self, a: Array, b: Array, words: Array) -> Array:
        r"""Add signed powers of two, and round the sum to a neighbouring one without bias.

        Let e be the larger exponent and $e-\delta$ the other. For equal signs the result has
        exponent e + 1 with probability $2^{-\delta}$, else e. For different signs it is 0 if
        $\delta=0$, else it has exponent e - 1 with probability $2^{1-\delta}$, else e.
        Probabilities below $2^{-31}$ are replaced by $2^{-31}$.

        Args:
            a: signed exponents, any shape.
            b: signed exponents of the other summands, same shape.
            words: random words in [0, 2^32), of a shape that broadcasts to it.

        Returns:
            int16.

        Source: Xin, Canini, Richtarik, Horvath 2023, the reduction for exponential dithering:
            their published kernel, rewritten without floats.

        >>> import numpy as np
        >>> from cqlib.kernels import reference
        >>> four, one = np.array([3], dtype=np.int16), np.array([1], dtype=np.int16)
        >>> [int(reference.add_powers(four, one, np.array([word]))[0]) for word in range(4)]
        [4, 3, 3, 3]
        """  # 4 + 1 is rounded to 8 with probability 1/4, else to 4
        ...
