"""The Walsh-Hadamard transform, and signs after a random rotation: DRIVE."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from cqlib.kernels.api.types import A, Array, StreamKey
from cqlib.keys import Key


class Rotation(Protocol[A]):
    """Rotations by the fast transform."""

    def transform(self, x: A, *, out: A | None = None) -> A:
        """Return H x over the last axis, H the Walsh-Hadamard matrix of entries 1 and -1.

        Args:
            x: float32, float64 or int32, shape (..., D), D a power of two.
            out: contiguous array like x to fill; it may be x itself.

        Raises:
            ValueError: if D is no power of two, or ``out`` does not fit.

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
        r"""Rotate a vector, pack the signs, and return them with DRIVE's scale.

        The vector is filled up with zeros to $D=2^{\lceil\log_2d\rceil}$ coordinates, brought near
        norm 1 by a power of two, rounded to float32, and transformed in float32. Absolute values
        are added up in steps of 2^-30, rounded to the nearest or even: integers, whose sum has no
        order.

        Args:
            x: finite, shape (d,), float32 or float64.
            squares: its sum of squares.
            unbiased: whether $S=\|x\|_2^2/\|Rx\|_1$, or $\|Rx\|_1/D$.
            key: the round's key.
            client: its id.
            out: uint8, shape (ceil(D / 8),), to fill.
            scratch: float32, shape (D,), for the rotated vector; by default allocated.

        Returns:
            The codes and S, infinite if it exceeds a float; all bits are clear where S is 0.

        Raises:
            ValueError: for another x, more than 2^30 coordinates, or if ``out`` or ``scratch`` does
                not fit.
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
        r"""Return $R^{-1}(S\,b)$ for the signs b: S / sqrt(D), in float64, times exact integers.

        Args:
            codes: uint8, shape (ceil(D / 8),).
            scale: S, a float32, or an array of it without axes; 0 gives zeros.
            d: number of coordinates.
            key: the round's key.
            client: id of the sender.
            out: float32 or float64, shape (d,), to fill; by default a new array of float32.

        Raises:
            ValueError: for the wrong number of bytes, or padding that is not zero.
        """
        ...


class HostRotation(Protocol):
    """Steps of DRIVE for many rows, in main memory."""

    def signs(self, stream_key: StreamKey, D: int) -> Array:
        """Return D random signs, float32 of shape (D,) or (c, D); ``reference.hadamard`` says how.

        Args:
            stream_key: two words, or two arrays of shape (c,): one stream a row.
            D: number of coordinates.
        """
        ...

    def length_in_steps(self, y: Array) -> Array:
        """Return |y|_1 over the last axis in steps of 2^-30, each entry rounded to the nearest.

        Args:
            y: float32, shape (..., D).

        Returns:
            int64, shape (...,).
        """
        ...

    def rotated_back(self, bits: Array, scales: Array, row_signs: Array) -> Array:
        r"""Return $R^{-1}(S\,b)$ for signs b: integers times $S/\sqrt D$ in float64, rounded once.

        Args:
            bits: True for a sign 1, shape (..., D).
            scales: S, float32 of shape (..., 1).
            row_signs: shape (D,), or (c, D) for rows.

        Returns:
            float32, shape (..., D).
        """
        ...
