"""The normative kernels, in NumPy: slow, obvious, and what the bits are.

Every other implementation must give the same bits as this one. The steps are in ``words`` (random
words), ``ranks``, ``norms``, ``rounding`` and ``packing``; here they are put together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.buffers import check_padding, empty_codes, output
from cqlib.kernels.norms import l2_scale, norm_scale
from cqlib.kernels.packing import pack_bits, unpack_bits
from cqlib.kernels.ranks import permutation_ranks, permuted_clients, shift_ranks, sigma
from cqlib.kernels.rounding import grid, round_correlated, round_independent
from cqlib.kernels.words import stream_words
from cqlib.keys import Key, Stream
from cqlib.philox import philox4x32

__all__ = [
    "decode_one_bit",
    "encode_one_bit",
    "joint_mean_one_bit",
    "l2_scale",
    "mean_one_bit",
    "norm_scale",
    "permutation_ranks",
    "permuted_clients",
    "philox4x32",
    "shift_ranks",
    "sigma",
    "stream_words",
]

Array = NDArray[Any]


# --- one-bit messages ----------------------------------------------------------------------------


def encode_one_bit(
    x: Array,
    scale: float,
    *,
    key: Key,
    client: int,
    n_clients: int,
    correlated: bool,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round one client's vector to the ends of [-R, R] and pack the bits: IQ, or CQ by shift ranks.

    Args:
        x: finite, shape (d,), float32 or float64.
        scale: R, a float32, at least |x_j|; for 0 all bits are clear.
        key: the round's key.
        client: its id.
        n_clients: n.
        correlated: whether thresholds are stratified (CQ) or independent (IQ).
        out: uint8 array of shape (ceil(d / 8),) to fill.

    Returns:
        The codes, or ``out``.
    """
    ids = np.array([client])
    words = stream_words(key.private(Stream.ROUNDING, ids), x.size)
    g = grid(x[None], np.array([scale], dtype=np.float32))
    if correlated:
        ranks = shift_ranks(key, d=x.size, clients=ids, n_clients=n_clients)
        up = round_correlated(g, words, ranks, n_clients)
    else:
        up = round_independent(g, words)
    codes = empty_codes(x.size, out)
    codes[:] = pack_bits(up[0] & (scale > 0))
    return codes


def decode_one_bit(
    codes: NDArray[np.uint8], scale: float, *, d: int, out: Array | None = None
) -> Array:
    """Return R where the bit is set and -R where it is clear.

    Args:
        codes: uint8, shape (ceil(d / 8),).
        scale: R, a float32; 0 gives zeros.
        d: number of coordinates.
        out: float32 or float64 array of shape (d,) to fill; by default a new one of float32.

    Raises:
        ValueError: for the wrong number of bytes or padding that is not zero.
    """
    check_padding(codes, d)
    values = output((d,), np.float32, out)
    R = np.float32(scale)
    values[:] = np.where(unpack_bits(codes, d), R, -R) + np.float32(0.0)
    return values


def mean_one_bit(
    codes: NDArray[np.uint8], scales: NDArray[np.float32], *, d: int, out: Array | None = None
) -> Array:
    """Return the mean of n messages, summed in float64 in their order and divided last.

    Args:
        codes: uint8, shape (n, ceil(d / 8)).
        scales: float32, shape (n,).
        d: number of coordinates.
        out: float32 or float64 array of shape (d,) to fill; by default a new one of float64.

    Raises:
        ValueError: as :func:`decode_one_bit`.
    """
    values = output((d,), np.float64, out)
    total = np.zeros(d)
    for row, scale in zip(codes, scales, strict=True):
        total += decode_one_bit(row, scale, d=d)
    values[:] = total / len(codes)
    return values


def joint_mean_one_bit(
    X: Array,
    scales: NDArray[np.float32],
    *,
    key: Key,
    correlated: bool,
    out: Array | None = None,
) -> Array:
    """Round the vectors of all n clients and return the mean of what the server reads.

    Args:
        X: finite, shape (..., n, d); leading axes share their randomness.
        scales: R of each vector, float32, shape (..., n).
        key: the round's key.
        correlated: CQ or IQ.
        out: float32 or float64 array of shape (..., d) to fill; by default a new one of float64.
    """
    n, d = X.shape[-2:]
    ids = np.arange(n)
    g, words = grid(X, scales), stream_words(key.private(Stream.ROUNDING, ids), d)
    if correlated:
        up = round_correlated(g, words, shift_ranks(key, d=d, clients=ids, n_clients=n), n)
    else:
        up = round_independent(g, words)
    values = output((*X.shape[:-2], d), np.float64, out)
    total = np.zeros(values.shape)
    for i in ids:
        R = scales[..., i, None].astype(np.float64)
        total += np.where(up[..., i, :], R, -R)
    values[...] = total / n
    return values
