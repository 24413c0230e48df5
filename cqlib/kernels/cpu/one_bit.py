"""One-bit messages, random words, ranks and norms, by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqlib.kernels import reference
from cqlib.kernels.cpu.loops import one_bit, one_bit_encode, one_bit_read, permutation, sums, words
from cqlib.kernels.cpu.threads import over_tiles, private_words
from cqlib.kernels.reference import norms, rounding
from cqlib.kernels.reference.buffers import (
    check_messages,
    check_padding,
    check_vector,
    empty_codes,
    output,
)
from cqlib.kernels.reference.norms import Array
from cqlib.kernels.reference.packing import TILE
from cqlib.keys import Key, Stream, checked_ids
from cqlib.philox import Words

_LANES_FULL = 4  # from so many clients on, lanes over the clients beat lanes over the tiles
_SMALLEST_STEP = 2.0**-126  # below it 1 / step is no float32
_MOST_CLIENTS = 2**31  # above it 2 n g exceeds 64 bits in the compiled loops


def philox4x32(
    counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]
) -> tuple[NDArray[np.uint64], ...]:
    """Compute blocks for arrays of words that broadcast against each other."""
    return tuple(words.philox_blocks(*counter, *key))


def private_keys(
    key: Key, stream: Stream, clients: ArrayLike
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """See :func:`reference.private_keys`."""
    counter = (*key.round_words, int(stream), checked_ids(clients))
    k0, k1, _, _ = philox4x32(counter, key.seed_words)
    return k0, k1


def stream_words(stream_key: tuple[Words, Words], d: int) -> NDArray[np.int64]:
    """See :func:`reference.stream_words`."""
    k0, k1 = (np.asarray(k, dtype=np.uint64) for k in stream_key)
    out = np.empty((k0.size, d), dtype=np.int64)
    words.stream_words(k0.reshape(-1), k1.reshape(-1), out)
    return out.reshape(*k0.shape, d)


def sigma(
    key: Key, *, tiles: int, clients: Array, n_clients: int, stream: Stream = Stream.SIGMA
) -> NDArray[np.int64]:
    """See :func:`reference.sigma`."""
    return _places(key, tiles, clients, n_clients, stream).astype(np.int64)


def permuted_clients(key: Key, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """See :func:`reference.permuted_clients`."""
    return _places(key, 1, clients, n_clients, Stream.ROWS)[0].astype(np.int64)


def shift_ranks(key: Key, *, d: int, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """See :func:`reference.shift_ranks`."""
    words = stream_words(key.shared(Stream.SHIFT), d).astype(np.uint64)
    shift = (words * np.uint64(n_clients)) >> np.uint64(32)
    places = _places(key, -(-d // TILE), clients, n_clients, Stream.SIGMA)
    ranks = shift + (places.T[:, np.arange(d) // TILE] if d > TILE else places.T)
    ranks -= np.uint64(n_clients) * (ranks >= n_clients)
    return ranks.astype(np.int64)


def sums_of_squares(x: Array) -> NDArray[np.float64]:
    """See :func:`norms.sums_of_squares`."""
    rows = x.reshape(-1, x.shape[-1])
    total = np.empty(len(rows))
    sums.sums_of_squares(np.ascontiguousarray(rows), total)
    return total.reshape(x.shape[:-1])


def l2_scale(x: Array) -> NDArray[np.float32]:
    """See :func:`reference.l2_scale`."""
    return norms.scale_of_norm(np.sqrt(sums_of_squares(x)), lambda: (x != 0).any(axis=-1))


def norm_scale(x: Array, p: float) -> NDArray[np.float32]:
    """See :func:`reference.norm_scale`."""
    return l2_scale(x) if p == 2 else reference.norm_scale(x, p)


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
    """See :func:`reference.encode_one_bit`."""
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
        s0, s1 = _two(key.shared(Stream.SHIFT))
        ids = np.array([client])
        places = np.ascontiguousarray(_places(key, tiles, ids, n_clients, Stream.SIGMA)[:, 0])

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
    codes: NDArray[np.uint8], scale: float, *, d: int, out: Array | None = None
) -> Array:
    """See :func:`reference.decode_one_bit`."""
    check_padding(codes, d)
    values = output((d,), np.float32, out)
    R = values.dtype.type(scale)
    if R == 0:
        values[:] = 0
        return values
    return over_tiles(
        -(-d // TILE), lambda a, b: one_bit_read.one_bit_decode(codes, R, a, b, values), values
    )


def mean_one_bit(
    codes: NDArray[np.uint8], scales: NDArray[np.float32], *, d: int, out: Array | None = None
) -> Array:
    """See :func:`reference.mean_one_bit`."""
    check_messages(codes, scales)
    scales = scales.astype(np.float32)
    for row in codes:
        check_padding(row, d)
    values = output((d,), np.float64, out)
    codes, tiles = np.ascontiguousarray(codes), -(-d // TILE)
    if (scales == scales[0]).all():
        R = float(scales[0])
        if R == 0:  # not -0, which minus the range would be
            values[:] = 0
            return values
        return over_tiles(
            tiles, lambda a, b: one_bit_read.one_bit_mean_of_equal(codes, R, a, b, values), values
        )
    rows = np.ascontiguousarray(scales)
    return over_tiles(
        tiles, lambda a, b: one_bit_read.one_bit_mean(codes, rows, a, b, values), values
    )


def joint_mean_one_bit(
    X: Array,
    scales: NDArray[np.float32],
    *,
    key: Key,
    correlated: bool,
    out: Array | None = None,
) -> Array:
    """See :func:`reference.joint_mean_one_bit`."""
    n, d = X.shape[-2:]
    values = output((*X.shape[:-2], d), np.float64, out)
    rows = np.ascontiguousarray(X).reshape(-1, n, d)
    k0, k1 = private_keys(key, Stream.ROUNDING, np.arange(n))
    s0, s1 = _two(key.shared(Stream.SHIFT))
    tiles = -(-d // TILE)
    places = np.empty((0, 0), dtype=np.uint64)
    if correlated:
        places = _places(key, tiles, np.arange(n), n, Stream.SIGMA)
    sums = values.reshape(-1, d)
    norms = np.ascontiguousarray(scales).reshape(-1, n)
    return over_tiles(
        tiles,
        lambda a, b: one_bit.one_bit_joint_mean(
            rows, norms, k0, k1, correlated, s0, s1, places, np.uint64(n), a, b, sums
        ),
        values,
        each=n * len(rows),
    )


def _two(words: tuple[int, int]) -> tuple[np.uint64, np.uint64]:
    return np.uint64(words[0]), np.uint64(words[1])


def _places(
    key: Key, tiles: int, clients: Array, n_clients: int, stream: Stream
) -> NDArray[np.uint64]:
    """Evaluate sigma, shape (tiles, c)."""
    k0, k1 = _two(key.shared(stream))
    ids, n = np.asarray(clients).astype(np.uint64), np.uint64(n_clients)
    if len(ids) >= _LANES_FULL and n_clients <= 128 * max(len(ids), 32):
        out = np.empty((tiles, len(ids)), dtype=np.uint64)
        permutation.sigma_of_many(k0, k1, ids, n, out)
        return out
    columns = np.empty((len(ids), tiles), dtype=np.uint64)
    for i, column in zip(ids, columns, strict=True):
        permutation.sigma_of_one(k0, k1, i, n, column)
    return columns.T
