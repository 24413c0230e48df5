"""DRIVE's messages, made of ``hadamard`` and ``packing``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.reference.buffers import (
    check_padding,
    check_vector,
    empty_codes,
    empty_rotated,
    output,
)
from cqlib.kernels.reference.hadamard import (
    drive_scale,
    norm1_in_steps,
    rotated,
    rotated_back,
    rotated_size,
    signs,
    transform,
)
from cqlib.kernels.reference.packing import pack_bits, unpack_bits
from cqlib.keys import Key, Stream


def encode_drive(
    x: Array,
    squares: float,
    *,
    unbiased: bool,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
    scratch: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.uint8], np.float32]:
    """Rotate, then pack the signs."""
    check_vector(x)
    D = rotated_size(x.size)
    y = empty_rotated(D, scratch)
    codes = empty_codes(-(-D // 8), out)
    k0, k1 = key.private(Stream.ROTATION, np.array([client]))
    y[:] = rotated(x, squares, signs((k0[0], k1[0]), D), transform)
    S = np.float32(drive_scale(squares, int(norm1_in_steps(y)), D, unbiased=unbiased))
    codes[:] = pack_bits((y >= 0) & (S > 0))
    return codes, S


def simulate_drive(
    X: Array, squares: Array, *, unbiased: bool, key: Key | Sequence[Key]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Send the clients' vectors one by one."""
    return by_messages(X, squares, unbiased, key, encode_drive, decode_drive)


def by_messages(
    X: Array,
    squares: Array,
    unbiased: bool,
    key: Key | Sequence[Key],
    encode: Callable[..., tuple[NDArray[np.uint8], np.float32]],
    decode: Callable[..., Array],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """As :func:`simulate_drive`, by any ``encode_drive`` and ``decode_drive``."""
    b, n, d = X.shape
    total, S = np.zeros((b, d)), np.empty((b, n), dtype=np.float32)
    for row, own in enumerate([key] * b if isinstance(key, Key) else key):
        for i in range(n):
            x, square = X[row, i], float(squares[row, i])
            codes, S[row, i] = encode(x, square, unbiased=unbiased, key=own, client=i)
            with np.errstate(over="ignore", invalid="ignore"):  # an infinite S
                total[row] += decode(codes, S[row, i], d=d, key=own, client=i)
    return total / n, S


def decode_drive(
    codes: NDArray[np.uint8],
    scale: Array | float,
    *,
    d: int,
    key: Key,
    client: int,
    out: Array | None = None,
) -> Array:
    """Unpack the signs, then rotate back."""
    D = rotated_size(d)
    check_padding(codes, D)
    values = output((d,), np.float32, out)
    k0, k1 = key.private(Stream.ROTATION, np.array([client]))
    row_signs = signs((k0[0], k1[0]), D)
    bits = unpack_bits(codes, D)
    values[:] = rotated_back(bits, np.array([scale]), row_signs)[:d]
    return values
