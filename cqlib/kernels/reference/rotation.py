"""DRIVE's messages, made of ``hadamard`` and ``packing``."""

from __future__ import annotations

from collections.abc import Sequence

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
from cqlib.keys import Key, Stream, runs_of_keys


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
    """Rotate all vectors of a key there and back."""
    b, n, d = X.shape
    total, scales, start = np.zeros((b, d)), np.empty((b, n), dtype=np.float32), 0
    runs = ([key], [b]) if isinstance(key, Key) else runs_of_keys(key)
    for own, end in zip(*runs, strict=True):
        part, D = slice(start, end), rotated_size(d)
        row_signs = signs(own.private(Stream.ROTATION, np.arange(n)), D)
        y = rotated(X[part], squares[part], row_signs, transform)
        S = drive_scale(squares[part], norm1_in_steps(y), D, unbiased=unbiased)
        x = rotated_back((y >= 0) & (S > 0)[..., None], S[..., None], row_signs)
        for i in range(n):
            total[part] += x[:, i, :d]
        scales[part], start = S, end
    return total / n, scales


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
