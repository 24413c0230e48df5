r"""Signed powers of two: natural dithering, and sums that stay powers of two.

A number 0 or $\pm2^e$ is an integer: 0, or its sign times l = 1 + e - lowest, counted from the
lowest exponent that occurs.
"""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.types import A, Array
from cqlib.keys import Key


class Powers(Protocol[A]):
    """Each coordinate over R becomes 0 or a signed power of two."""

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
        """Round a vector over R to signed powers of two and pack the symbols: natural dithering.

        Args:
            x: finite, shape (d,), float32 or float64.
            scale: R, a float32, with |x_j| / R up to the largest level, or an array of it without
                axes; for 0 all symbols are 0.
            lowest: exponent of the smallest level, in [-126, 127].
            levels: number of levels above 0, so that the largest is 2^127 at most.
            key: the round's key.
            client: its id.
            out: uint8, of ``packing.code_bytes(d, 2 levels + 1)`` bytes, to fill.

        Raises:
            ValueError: for another x, other levels, or if ``out`` does not fit.
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
            codes: uint8, as ``encode_powers`` gives.
            scale: R, a float32, or an array of it without axes.
            d: number of coordinates.
            lowest: exponent of the smallest level, in [-126, 127].
            levels: number of levels above 0.
            out: float32 or float64, shape (d,), to fill; by default a new array of float32.

        Raises:
            ValueError: for the wrong number of bytes, padding that is not zero, or a symbol too
                large.
        """
        ...


class HostPowers(Protocol):
    """Powers that are added up in main memory."""

    def add_powers(self, a: Array, b: Array, words: Array) -> Array:
        r"""Add signed powers of two, rounding to a neighbouring one without bias.

        With the larger at exponent e and the other $\delta$ below: of equal signs, e + 1 with
        probability $2^{-\delta}$ and e otherwise; of different signs e - 1 with probability
        $2^{1-\delta}$ and e otherwise, and 0 for $\delta=0$. A chance below $2^{-31}$ is taken as
        that.

        Args:
            a: signed exponents, any shape.
            b: the same of the others.
            words: random words in [0, 2^32), of a shape that broadcasts.

        Returns:
            int16.

        Source: Xin, Canini, Richtarik, Horvath 2023, the reduction for exponential dithering; their
            published kernel, rewritten without floats.

        >>> import numpy as np
        >>> from cqlib.kernels import reference
        >>> four, one = np.array([3], dtype=np.int16), np.array([1], dtype=np.int16)
        >>> [int(reference.add_powers(four, one, np.array([word]))[0]) for word in range(4)]
        [4, 3, 3, 3]
        """  # 4 + 1 is rounded to 8 one time in 4
        ...
