"""One-bit messages by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu import ranks
from cqlib.kernels.cpu.compiled import one_bit, one_bit_encode, one_bit_read
from cqlib.kernels.cpu.threads import over_tiles, private_words
from cqlib.kernels.cpu.words import shared_key
from cqlib.kernels.reference import one_bit as reference
from cqlib.kernels.reference import rounding
from cqlib.kernels.reference.buffers import (
    check_messages,
    check_padding,
    check_vector,
    empty_codes,
    output,
)
from cqlib.kernels.reference.packing import TILE
from cqlib.keys import Key, Stream, runs_of_keys, words_of_keys

_SMALLEST_STEP = 2.0**-126  # below it 1 / step exceeds float32
_MOST_CLIENTS = 2**31  # above it 2 n g exceeds 64 bits in the compiled loops


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
    """Round full tiles in float32, close cases and the last tile exactly.

    For 2^31 clients or more, and for ranges below 2^-96, all tiles are rounded exactly.
    """
    check_vector(x, client, n_clients)
    if n_clients >= _MOST_CLIENTS:
        return reference.encode_one_bit(
            x, scale, key=key, client=client, n_clients=n_clients, correlated=correlated, out=out
        )
    codes = empty_codes(-(-x.size // 8), out)
    if scale == 0:
        codes[:] = 0
        return codes
    x = np.ascontiguousarray(x)
    step = float(scale) * 2.0**-rounding.GRID_BITS
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    tiles = -(-x.size // TILE)
    places, s0, s1, n = np.zeros(tiles, np.uint64), np.uint64(0), np.uint64(0), np.uint64(n_clients)
    if correlated:
        s0, s1 = shared_key(key, Stream.SHIFT)
        ids = np.array([client])
        places = np.ascontiguousarray(ranks.places(key, tiles, ids, n_clients, Stream.SIGMA)[:, 0])

    def whole(a: int, b: int) -> None:
        if not correlated:
            one_bit_encode.iq_encode(x, step, k0, k1, a, b, codes)
        else:
            one_bit_encode.cq_encode(x, step, k0, k1, s0, s1, places, n, a, b, codes)

    full = x.size // TILE if step > _SMALLEST_STEP else 0
    over_tiles(full, whole, codes)

    def exact(a: int, b: int) -> None:
        tile = (x, step, k0, k1, correlated, s0, s1, places, n)
        one_bit.encode_tiles(*tile, full + a, full + b, codes)

    return over_tiles(tiles - full, exact, codes)


def decode_one_bit(
    codes: NDArray[np.uint8], scale: Array | float, *, d: int, out: Array | None = None
) -> Array:
    """Decode tile by tile."""
    check_padding(codes, d)
    values = output((d,), np.float32, out)
    R = values.dtype.type(scale)
    if R == 0:
        values[:] = 0
        return values
    return over_tiles(
        -(-d // TILE), lambda a, b: one_bit_read.decode(codes, R, a, b, values), values
    )


def average_one_bit(
    codes: NDArray[np.uint8], scales: NDArray[np.float32], *, d: int, out: Array | None = None
) -> Array:
    """Count set bits if all messages have the same range, else add values."""
    check_messages(codes, scales)
    scales = scales.astype(np.float32)
    for row in codes:
        check_padding(row, d)
    values = output((d,), np.float64, out)
    codes, tiles = np.ascontiguousarray(codes), -(-d // TILE)
    if (scales == scales[0]).all():
        R = float(scales[0])
        if R == 0:  # 0, not minus the range, which is -0
            values[:] = 0
            return values
        return over_tiles(
            tiles,
            lambda a, b: one_bit_read.average_of_equal(codes, R, a, b, values),
            values,
        )
    rows = np.ascontiguousarray(scales)
    return over_tiles(tiles, lambda a, b: one_bit_read.average(codes, rows, a, b, values), values)


def simulate_one_bit(
    X: Array,
    scales: NDArray[np.float32],
    *,
    key: Key | Sequence[Key],
    correlated: bool,
    out: Array | None = None,
) -> Array:
    """Round and add tile by tile, without packing."""
    n, d = X.shape[-2:]
    values = output((*X.shape[:-2], d), np.float64, out)
    rows = np.ascontiguousarray(X).reshape(-1, n, d)
    keys, ends = ([key], [len(rows)]) if isinstance(key, Key) else runs_of_keys(key)
    tiles, ids = -(-d // TILE), np.arange(n, dtype=np.uint64)
    own, shared = np.empty((2, len(keys), n), np.uint64), np.empty((2, len(keys)), np.uint64)
    places = np.empty((len(keys), tiles if correlated else 0, n), dtype=np.uint64)
    streams = np.array([Stream.ROUNDING, Stream.SHIFT, Stream.SIGMA])
    one_bit.keys_of_round(words_of_keys(keys), streams, ids, own, shared, places)
    sums = values.reshape(-1, d)
    norms, upper = np.ascontiguousarray(scales).reshape(-1, n), np.array(ends)
    return over_tiles(
        tiles,
        lambda a, b: one_bit.simulate(
            rows, norms, upper, own, shared, places, np.uint64(n), correlated, a, b, sums
        ),
        values,
        each=n * len(rows),
    )
