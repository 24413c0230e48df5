"""The Walsh-Hadamard transform, and DRIVE: signs after a random rotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cqlib.kernels.api.types import A, Array, StreamKey
from cqlib.keys import Key


class Rotation(Protocol[A]):
    """Rotations by the fast Walsh-Hadamard transform."""

    def transform(self, x: A, *, out: A | None = None) -> A:
        """Return H x over the last axis, with the Walsh-Hadamard matrix H of entries 1 and -1.

        Args:
            x: float32, float64 or int32, shape (..., D), D a power of two.
            out: contiguous array to fill, of x's shape and dtype; it may be x itself.

        Raises:
            ValueError: if D is not a power of two, or ``out`` does not fit.

        >>> import numpy as np
        >>> from cqlib.kernels import reference
        >>> reference.transform(np.array([1.0, 2.0, 0.0, 0.0]))
        array([ 3., -1.,  3., -1.])
        """
        ...

    def encode_drive(
        self,
        x: A,
        squares: float,
        *,
        unbiased: bool,
        key: Key,
        client: int,
        out: A | None = None,
        scratch: A | None = None,
    ) -> tuple[A, np.float32]:
        r"""Rotate a vector, pack the signs, and return the codes and DRIVE's scale.

        The vector is padded with zeros to $D=2^{\lceil\log_2d\rceil}$ coordinates, multiplied by a
        power of two that brings its norm near 1, rounded to float32, and transformed in float32.
        For the 1-norm, absolute values are rounded to multiples of 2^-30 (ties to even) and added
        as integers, so that the order of summation does not matter.

        Args:
            x: finite, shape (d,), float32 or float64.
            squares: the sum of squares of x.
            unbiased: True for $S=\|x\|_2^2/\|Rx\|_1$, False for $S=\|Rx\|_1/D$.
            key: the round's key.
            client: the client's id.
            out: array to fill, uint8, shape (ceil(D / 8),).
            scratch: memory for the rotated vector, float32, shape (D,); allocated by default.

        Returns:
            The codes and S, infinite if it exceeds float32; all bits are clear if S is 0.

        Raises:
            ValueError: if x is not as above, D exceeds 2^30, or ``out`` or ``scratch`` does not
                fit.
        """
        ...

    def decode_drive(
        self,
        codes: A,
        scale: A | float,
        *,
        d: int,
        key: Key,
        client: int,
        out: A | None = None,
    ) -> A:
        r"""Return $R^{-1}(S\,b)$ for the signs b, as S / sqrt(D) in float64 times integers.

        Args:
            codes: uint8, shape (ceil(D / 8),).
            scale: S, a float32 or an array without axes; 0 gives zeros.
            d: number of coordinates.
            key: the round's key.
            client: the sender's id.
            out: array to fill, float32 or float64, shape (d,); by default a new array of float32.

        Raises:
            ValueError: if the number of bytes is wrong, or padding is not zero.
        """
        ...


class HostRotation(Protocol):
    """Steps of DRIVE for many rows, for NumPy arrays."""

    def signs(self, stream_key: StreamKey, D: int) -> Array:
        """Return D random signs, float32 of shape (D,) or (c, D); see ``reference.hadamard``.

        Args:
            stream_key: two words, or two arrays of shape (c,): one stream per row.
            D: number of coordinates.
        """
        ...

    def norm1_in_steps(self, y: Array) -> Array:
        """Return the 1-norm over the last axis in units of 2^-30, each entry rounded first.

        Args:
            y: float32, shape (..., D).

        Returns:
            int64, shape (...,).
        """
        ...

    def rotated_back(self, bits: Array, scales: Array, row_signs: Array) -> Array:
        r"""Return $R^{-1}(S\,b)$ for signs b, as integers times $S/\sqrt D$, rounded once.

        Args:
            bits: True for sign 1, shape (..., D).
            scales: S, float32 of shape (..., 1).
            row_signs: random signs of the rotation, shape (D,), or (c, D) for c clients.

        Returns:
            float32, shape (..., D).
        """
        ...

    def simulate_drive(
        self, X: Array, squares: Array, *, unbiased: bool, key: Key | Sequence[Key]
    ) -> tuple[Array, Array]:
        """Send the vectors of all n clients by DRIVE; return the server's means and all scales.

        Args:
            X: finite, shape (b, n, d).
            squares: sums of squares, shape (b, n).
            unbiased: as in ``encode_drive``.
            key: the round's key, or b of them, one per member.

        Returns:
            The means, float64 of shape (b, d), summed in the order of the clients and divided last;
            S of each client, float32 of shape (b, n). Where an S is infinite, the mean is of no
            use.
        """
        ...
