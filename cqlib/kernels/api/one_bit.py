"""One-bit messages: IQ, and CQ by shift ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cqlib.kernels.api.types import A
from cqlib.keys import Key


class OneBit(Protocol[A]):
    """Rounding of each coordinate to one end of [-R, R]."""

    def encode_one_bit(
        self,
        x: A,
        scale: A | float,
        *,
        key: Key,
        client: int,
        n_clients: int,
        correlated: bool,
        out: A | None = None,
    ) -> A:
        """Round one client's vector to the ends of [-R, R] and pack the bits.

        Args:
            x: finite, shape (d,), float32 or float64.
            scale: R, a float32 or an array without axes, at least |x_j|; if it is 0, all bits are
                clear.
            key: the round's key.
            client: the client's id.
            n_clients: n.
            correlated: True for CQ, whose thresholds are stratified over the clients; False for
                IQ, whose thresholds are independent.
            out: array to fill, uint8, shape (ceil(d / 8),).

        Returns:
            The codes, or ``out``.

        Raises:
            ValueError: if x is not as above, client is outside [0, n), or ``out`` does not fit.
        """
        ...

    def decode_one_bit(self, codes: A, scale: A | float, *, d: int, out: A | None = None) -> A:
        """Return R where the bit is set and -R where it is clear.

        Args:
            codes: uint8, shape (ceil(d / 8),).
            scale: R, a float32 or an array without axes; 0 gives zeros.
            d: number of coordinates.
            out: array to fill, float32 or float64, shape (d,); by default a new array of float32.

        Raises:
            ValueError: if the number of bytes is wrong or padding is not zero.
        """
        ...

    def average_one_bit(self, codes: A, scales: A, *, d: int, out: A | None = None) -> A:
        """Return the mean of n messages, summed in float64 in their order and divided last.

        Args:
            codes: uint8, shape (n, ceil(d / 8)).
            scales: float32, shape (n,).
            d: number of coordinates.
            out: array to fill, float32 or float64, shape (d,); by default a new array of float64.

        Raises:
            ValueError: as ``decode_one_bit``; or if there is no message, or not one scale each.
        """
        ...

    def simulate_one_bit(
        self,
        X: A,
        scales: A,
        *,
        key: Key | Sequence[Key],
        correlated: bool,
        out: A | None = None,
    ) -> A:
        """Round the vectors of all n clients and return the server's mean.

        Args:
            X: finite, shape (..., n, d); a batch shares its randomness.
            scales: R of each vector, float32, shape (..., n).
            key: the round's key; or b of them, one per member of a batch of shape (b, n, d).
            correlated: True for CQ, False for IQ.
            out: array to fill, float32 or float64, shape (..., d); by default a new array of
                float64.
        """
        ...
