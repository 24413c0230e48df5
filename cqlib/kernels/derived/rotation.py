"""Random rotations of vectors: randomised Hadamard, and exactly uniform.

Both work on rows of D coordinates in float64, by elementwise operations in one fixed order. So the
bits of a row do not depend on the number of rows.

The randomised Hadamard transform is x -> H diag(s) x / sqrt(D), D a power of two, with the signs s
of ``hadamard``. It is orthogonal, but takes only 2^D values.

The uniform rotation is a product of D reflections (Stewart 1980). Reflection k acts on the last k
axes and sends the first of them to a uniformly random direction. Coordinate j of this direction is
a normal deviate from block Philox((j div 2, k, 0, 0)). The cost is O(D^2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from cqlib.kernels import dispatch
from cqlib.kernels.api import StreamKey
from cqlib.kernels.reference.norms import tree_sum

Rows = NDArray[np.float64]
_AT_ONCE = 32  # reflections whose directions are drawn together


def signs(stream_key: StreamKey, D: int) -> NDArray[np.float32]:
    """Return D random signs, shape (D,) or (c, D); see :func:`hadamard.signs`."""
    return np.asarray(dispatch.host().signs(stream_key, D))


def hadamard_rotate(x: Rows, stream_key: StreamKey) -> Rows:
    """Apply the randomised Hadamard transform to rows of shape (..., c, D) or (..., D)."""
    D = x.shape[-1]
    return np.asarray(dispatch.host().transform(x * signs(stream_key, D)) / np.sqrt(D))


def hadamard_rotate_back(y: Rows, stream_key: StreamKey) -> Rows:
    """Undo :func:`hadamard_rotate`."""
    D = y.shape[-1]
    return np.asarray(dispatch.host().transform(y) / np.sqrt(D) * signs(stream_key, D))


def uniform_rotate(x: Rows, stream_key: StreamKey) -> Rows:
    """Apply a uniformly random rotation (or reflection) to rows of shape (..., c, D)."""
    y, D = x.copy(), x.shape[-1]
    for first in range(1, D + 1, _AT_ONCE):
        ks = range(first, min(first + _AT_ONCE, D + 1))
        for k, u in zip(ks, _normals(stream_key, ks), strict=True):
            _reflect(y[..., D - k :], u[..., :k])
    return y


def uniform_rotate_back(y: Rows, stream_key: StreamKey) -> Rows:
    """Undo :func:`uniform_rotate`: each reflection is its own inverse."""
    x, D = y.copy(), y.shape[-1]
    for last in range(D, 0, -_AT_ONCE):
        ks = range(last, max(last - _AT_ONCE, 0), -1)
        for k, u in zip(ks, _normals(stream_key, ks), strict=True):
            _reflect(x[..., D - k :], u[..., :k])
    return x


def _reflect(x: Rows, u: Rows) -> None:
    """Apply, in place, the reflection that sends the first axis to the direction of u."""
    sign = np.where(u[..., :1] < 0, -1.0, 1.0)
    v = u.copy()
    v[..., :1] += sign * np.sqrt(tree_sum(u * u))[..., None]  # of equal sign: no cancellation
    along = tree_sum(x * v) * (2 / tree_sum(v * v))
    x[...] = sign * (along[..., None] * v - x)


def _normals(stream_key: StreamKey, ks: range) -> Rows:
    """Return normal deviates from 52-bit uniform numbers, shape (..., len(ks), max(ks))."""
    width = max(ks)
    k0, k1 = (np.asarray(key, dtype=np.uint64)[..., None] for key in stream_key)
    zero = np.zeros((), dtype=np.uint64)
    blocks = np.arange(-(-width // 2), dtype=np.uint64)
    k = np.array(ks, dtype=np.uint64).reshape(-1, *([1] * k0.ndim))
    w = dispatch.host().philox4x32((blocks, k, zero, zero), (k0, k1))
    high_low = [w[0] << np.uint64(32) | w[1], w[2] << np.uint64(32) | w[3]]
    words = np.stack(np.broadcast_arrays(*high_low), axis=-1)
    words = words.reshape(*words.shape[:-2], -1)[..., :width]
    return np.asarray(ndtri(((words >> np.uint64(12)) + 0.5) / 2.0**52))  # never 0 or 1
