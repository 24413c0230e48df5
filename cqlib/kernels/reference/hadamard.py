"""The normative Walsh-Hadamard transform, and the random signs before it.

Its stages have distance 1, 2, ..., D/2, D a power of two; the result is not divided by sqrt(D). The
order of stages is part of the definition, since it affects the rounding of floats.

Signs: a chunk of 2^17 coordinates uses 4096 words. The sign of coordinate j is -1 if bit
(j mod 2^17) div 4096 of word j mod 4096 of its chunk is set. So neighbouring coordinates use the
same bit of neighbouring words. Word l of chunk c is word l div 1024 of block
Philox((1024 c + l mod 1024, 0, 0, 0)) of the stream.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array, StreamKey
from cqlib.philox import philox4x32

SIGNED = 4096  # number of coordinates that use the same bit, one word each
CHUNK = 32 * SIGNED
MOST_COORDINATES = 2**30  # of a rotation: 32-bit integers hold the sums of signs

Transform = Callable[..., Array]


def transform(x: Array, *, out: Array | None = None) -> Array:
    """Do the butterflies of all pairs, stage by stage."""
    y = empty_like(x, out)
    values, distance = x, 1
    while distance < x.shape[-1]:
        pairs = values.reshape(*x.shape[:-1], -1, 2, distance)
        low, high = pairs[..., 0, :], pairs[..., 1, :]
        values = np.stack([low + high, low - high], axis=-2).reshape(x.shape)
        distance *= 2
    y[...] = values
    return y


def empty_like(x: Array, out: Array | None) -> Array:
    """Return out, or a new array like x; raise if x cannot be transformed or out does not fit."""
    D = x.shape[-1]
    if D < 1 or D & (D - 1):
        raise ValueError(f"a transform needs a power of two, got {D} coordinates")
    if x.dtype not in (np.float32, np.float64, np.int32):
        raise ValueError(f"a transform is of float32, float64 or int32, got {x.dtype}")
    if out is None:
        return np.empty(x.shape, dtype=x.dtype)
    if (
        out.shape != x.shape
        or out.dtype != x.dtype
        or not out.flags.c_contiguous
        or not out.flags.writeable
    ):
        raise ValueError(
            f"out must be a contiguous {x.dtype} array of shape {x.shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def signs(stream_key: StreamKey, D: int) -> NDArray[np.float32]:
    """Compute the words of all chunks, then extract the bits."""
    k0, k1 = (np.asarray(k, dtype=np.uint64)[..., None, None] for k in stream_key)
    chunks, quarter = -(-D // CHUNK), SIGNED // 4
    blocks = np.arange(min(D, quarter), dtype=np.uint64)
    blocks = blocks + quarter * np.arange(chunks, dtype=np.uint64)[:, None]
    zero = np.zeros((), dtype=np.uint64)
    words = np.stack(philox4x32((blocks, zero, zero, zero), (k0, k1)), axis=-2)
    words = words.reshape(*words.shape[:-2], -1)
    places = np.arange(min(-(-D // SIGNED), 32), dtype=np.uint64)[:, None]
    bits = (words[..., None, :] >> places) & np.uint64(1)
    return np.float32(1) - 2 * bits.reshape(*bits.shape[:-3], -1)[..., :D].astype(np.float32)


# --- DRIVE ---------------------------------------------------------------------------------------


def rotated_size(d: int) -> int:
    """Return the dimension of a rotation, the next power of two.

    Raises:
        ValueError: for more than 2^30 coordinates.
    """
    if d > MOST_COORDINATES:
        raise ValueError(f"a rotation takes at most {MOST_COORDINATES} coordinates, got {d}")
    return 1 << (d - 1).bit_length()


def rotated(x: Array, squares: Array | float, row_signs: Array, to_transform: Transform) -> Array:
    r"""Return $\sqrt D\,Rx$ times :func:`unit_power`, in float32: shape (..., d) to (..., D).

    Args:
        x: float32 or float64; it is padded with zeros.
        squares: sums of squares, shape (...,).
        row_signs: random signs of the rotation, shape (D,), or (c, D) for c clients.
        to_transform: any implementation of :func:`transform`.
    """
    z = np.zeros((*x.shape[:-1], row_signs.shape[-1]), dtype=np.float32)
    z[..., : x.shape[-1]] = x * unit_power(squares).astype(np.float64)[..., None]
    z *= row_signs
    return to_transform(z, out=z)


def rotated_back(bits: Array, scales: Array, row_signs: Array) -> NDArray[np.float32]:
    """Transform signs as int32, which is exact."""
    h = np.ascontiguousarray(np.where(bits, np.int32(1), np.int32(-1)))
    factor = np.asarray(scales, dtype=np.float64) / np.sqrt(bits.shape[-1])
    with np.errstate(over="ignore", under="ignore"):
        x = transform(h, out=h) * factor * row_signs
        return np.asarray(x.astype(np.float32) + np.float32(0.0))


def norm1_in_steps(y: Array) -> NDArray[np.int64]:
    """Round every entry to an integer, then sum."""
    steps = np.rint(np.abs(y).astype(np.float64) * 2.0**30).astype(np.int64)
    return np.asarray(steps.sum(axis=-1))


def unit_power(squares: Array | float) -> Array:
    """Return a power of two that brings the norm of a vector near 1, given its sum of squares.

    It is at least 2^-126 and at most 2^126, so that it is a normal float32.
    """
    exponent = np.frexp(np.sqrt(squares))[1]
    power: Array = np.ldexp(np.float32(1.0), -np.minimum(np.maximum(exponent, -126), 126))
    return power


def drive_scale(
    squares: Array | float, steps: Array | int, D: int, *, unbiased: bool
) -> NDArray[np.float32]:
    """Return DRIVE's S, an array of the inputs' shape: infinite beyond float32, 0 for zeros.

    Args:
        squares: |x|^2, any shape.
        steps: :func:`norm1_in_steps` of the rotated vector.
        D: dimension of the rotation.
        unbiased: True for S = |x|^2 / |R x|_1, False for S = |R x|_1 / D.
    """
    unit = unit_power(squares).astype(np.float64)
    length = np.asarray(steps) * 2.0**-30
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        if unbiased:
            S = np.asarray(squares * unit) * unit * np.sqrt(D) / length
        else:
            S = length / (D * np.sqrt(D))
        S = np.where(length > 0, S / unit, 0.0)
        return np.asarray(S, dtype=np.float32)
