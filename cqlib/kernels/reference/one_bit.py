"""One-bit messages, made of ``words``, ``ranks``, ``rounding`` and ``packing``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.reference.buffers import (
    check_messages,
    check_padding,
    check_vector,
    empty_codes,
    output,
)
from cqlib.kernels.reference.packing import pack_bits, unpack_bits
from cqlib.kernels.reference.ranks import shift_ranks
from cqlib.kernels.reference.rounding import grid, round_correlated, round_independent
from cqlib.kernels.reference.words import stream_words
from cqlib.keys import Key, Stream, runs_of_keys


def encode_one_bit(
    x: Array,
    scale: Array | float,
    *,
    key: Key,
    client: int,
    n_clients: int,
    correlated: bool,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Round on the grid, then pack."""
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
    codes: NDArray[np.uint8], scale: Array | float, *, d: int, out: Array | None = None
) -> Array:
    """Unpack, then look up R or -R."""
    check_padding(codes, d)
    values = output((d,), np.float32, out)
    R = np.float32(scale)
    values[:] = np.where(unpack_bits(codes, d), R, -R) + np.float32(0.0)
    return values


def average_one_bit(
    codes: NDArray[np.uint8], scales: NDArray[np.float32], *, d: int, out: Array | None = None
) -> Array:
    """Decode message by message, and add the values."""
    check_messages(codes, scales)
    values = output((d,), np.float64, out)
    total = np.zeros(d)
    for row, scale in zip(codes, scales.astype(np.float32), strict=True):
        total += decode_one_bit(row, scale, d=d)
    values[:] = total / len(codes)
    return values


def simulate_one_bit(
    X: Array,
    scales: NDArray[np.float32],
    *,
    key: Key | Sequence[Key],
    correlated: bool,
    out: Array | None = None,
) -> Array:
    """Round all vectors on the grid, without packing."""
    n, d = X.shape[-2:]
    if not isinstance(key, Key):
        values, start = output((len(X), d), np.float64, out), 0
        for own, end in zip(*runs_of_keys(key), strict=True):
            part = slice(start, end)
            values[part] = simulate_one_bit(X[part], scales[part], key=own, correlated=correlated)
            start = end
        return values
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
