"""The steps put together: what one call of a kernel does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.reference.buffers import (
    check_levels,
    check_messages,
    check_padding,
    check_vector,
    empty_codes,
    empty_levels,
    output,
)
from cqlib.kernels.reference.hadamard import (
    drive_scale,
    length_in_steps,
    rotated,
    rotated_back,
    rotated_size,
    signs,
    transform,
)
from cqlib.kernels.reference.packing import (
    code_bytes,
    levels_of,
    pack,
    pack_bits,
    symbols_of,
    unpack,
    unpack_bits,
)
from cqlib.kernels.reference.ranks import shift_ranks
from cqlib.kernels.reference.rounding import grid, round_correlated, round_independent, round_linear
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream

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
    check_vector(x, client, n_clients)
    ids = np.array([client])
    words = stream_words(key.private(Stream.ROUNDING, ids), x.size)
    g = grid(x[None], np.array([scale], dtype=np.float32))
    if correlated:
        ranks = shift_ranks(key, d=x.size, clients=ids, n_clients=n_clients)
        up = round_correlated(g, words, ranks, n_clients)
    else:
        up = round_independent(g, words)
    codes = empty_codes(-(-x.size // 8), out)
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
        ValueError: as :func:`decode_one_bit`, for no messages, or not one float for each.
    """
    check_messages(codes, scales)
    values = output((d,), np.float64, out)
    total = np.zeros(d)
    for row, scale in zip(codes, scales.astype(np.float32), strict=True):
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


# --- signed levels: dithering --------------------------------------------------------------------


def quantize_levels(
    x: Array, scale: float, *, levels: int, key: Key, client: int, out: Array | None = None
) -> Array:
    """Round a vector over R to signed multiples of 1/s, and return the integers.

    Those of several clients with a common R add up: Global-QSGD's linear quantizer.

    Args:
        x: finite, shape (d,), float32 or float64.
        scale: R, a float32, at least |x_j|; for 0 all levels are 0.
        levels: s, in [1, 2^16].
        key: the round's key.
        client: its id.
        out: int8, int16 or int32 array of shape (d,) to fill, wide enough for s.

    Returns:
        Integers in [-s, s]; by default the narrowest that hold them.

    Raises:
        ValueError: for other levels, or if ``out`` does not fit.
    """
    check_vector(x)
    values = empty_levels(x.size, levels, out)
    words = stream_words(key.private(Stream.ROUNDING, np.array([client])), x.size)
    y = np.abs(x) / np.float64(scale if scale > 0 else 1.0)
    above = round_linear(y, words[0], levels) * (scale > 0)
    values[:] = np.where(x < 0, -above, above)
    return values


def encode_levels(
    x: Array,
    scale: float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round as :func:`quantize_levels` and pack the 2 s + 1 symbols: standard dithering.

    Args:
        x: finite, shape (d,), float32 or float64.
        scale: R, a float32, at least |x_j|; for 0 all symbols are 0.
        levels: s, in [1, 2^16].
        key: the round's key.
        client: its id.
        out: uint8 array of ``packing.code_bytes(d, 2 s + 1)`` bytes to fill.

    Raises:
        ValueError: as :func:`quantize_levels`.
    """
    signed = quantize_levels(x, scale, levels=levels, key=key, client=client)
    codes = empty_codes(code_bytes(x.size, 2 * levels + 1), out)
    codes[:] = pack(symbols_of(signed), 2 * levels + 1)
    return codes


def decode_levels(
    codes: NDArray[np.uint8], scale: float, *, d: int, levels: int, out: Array | None = None
) -> Array:
    """Return R l / s for each signed level l.

    Args:
        codes: uint8, as :func:`encode_levels` gives.
        scale: R, a float32.
        d: number of coordinates.
        levels: s, in [1, 2^16].
        out: float32 or float64 array of shape (d,) to fill; by default a new one of float32.

    Raises:
        ValueError: for the wrong number of bytes, padding that is not zero, or a symbol above 2 s.
    """
    check_levels(levels)
    symbols = unpack(codes, d, 2 * levels + 1)
    values = output((d,), np.float32, out)
    values[:] = level_values(scale, levels)[symbols]
    return values


def unpack_levels(codes: NDArray[np.uint8], *, d: int, levels: int) -> NDArray[np.int32]:
    """Return the signed levels themselves, -s .. s; see :func:`decode_levels`."""
    check_levels(levels)
    return levels_of(unpack(codes, d, 2 * levels + 1)).astype(np.int32)


def level_values(scale: float, levels: int) -> NDArray[np.float32]:
    """Return the values R l / s of all 2 s + 1 symbols, rounded once from float64."""
    signed = levels_of(np.arange(2 * levels + 1))
    with np.errstate(under="ignore"):
        return (signed / levels * np.float64(scale)).astype(np.float32) + np.float32(0.0)


# --- signs after a random rotation: DRIVE --------------------------------------------------------


def encode_drive(
    x: Array,
    squares: float,
    *,
    unbiased: bool,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], np.float32]:
    r"""Rotate a vector, pack the signs, and return them with DRIVE's scale.

    The vector is filled up with zeros to $D=2^{\lceil\log_2d\rceil}$ coordinates, brought near norm
    1 by a power of two, rounded to float32, and transformed in float32. Absolute values are added
    up in steps of 2^-30, rounded to the nearest or even: integers, whose sum has no order.

    Args:
        x: finite, shape (d,), float32 or float64.
        squares: its sum of squares.
        unbiased: whether $S=\|x\|_2^2/\|Rx\|_1$, or $\|Rx\|_1/D$.
        key: the round's key.
        client: its id.
        out: uint8 array of shape (ceil(D / 8),) to fill.

    Returns:
        The codes and S, infinite if it exceeds a float; all bits are clear where S is 0.

    Raises:
        ValueError: for more than 2^30 coordinates.
    """
    check_vector(x)
    D = rotated_size(x.size)
    codes = empty_codes(-(-D // 8), out)
    k0, k1 = key.private(Stream.ROTATION, np.array([client]))
    y = rotated(x, squares, signs((k0[0], k1[0]), D), transform)
    S = drive_scale(squares, int(length_in_steps(y)), D, unbiased=unbiased)
    codes[:] = pack_bits((y >= 0) & (S > 0))
    return codes, S


def decode_drive(
    codes: NDArray[np.uint8],
    scale: float,
    *,
    d: int,
    key: Key,
    client: int,
    out: Array | None = None,
) -> Array:
    r"""Return $R^{-1}(S\,b)$ for the signs b: S / sqrt(D), in float64, times exact integers.

    Args:
        codes: uint8, shape (ceil(D / 8),).
        scale: S, a float32; 0 gives zeros.
        d: number of coordinates.
        key: the round's key.
        client: who sent it.
        out: float32 or float64 array of shape (d,) to fill; by default a new one of float32.

    Raises:
        ValueError: for the wrong number of bytes, or padding that is not zero.
    """
    D = rotated_size(d)
    check_padding(codes, D)
    values = output((d,), np.float32, out)
    k0, k1 = key.private(Stream.ROTATION, np.array([client]))
    row_signs = signs((k0[0], k1[0]), D)
    bits = unpack_bits(codes, D)
    values[:] = rotated_back(bits, np.array([scale]), row_signs)[:d]
    return values
