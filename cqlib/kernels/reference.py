"""The normative kernels, in NumPy: how rounding turns coordinates into symbols.

Every other implementation must give the same bits as this one. Decisions are taken on an integer
grid, so no fused multiply-add, no compiler and no order of summation can change them.

Random words follow the layout of one-bit codes (``packing``). A vector is cut into tiles of up to
1024 coordinates; a tile of m coordinates has L = ceil(m / 8) bytes, and bit k of byte l belongs
to its coordinate L k + l. The random word of that coordinate is word k mod 4 of Philox block
256 t + 128 (k div 4) + l, t being the tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.packing import TILE, check_length, pack_bits, tile_shapes, unpack_bits
from cqlib.keys import Key, Stream
from cqlib.philox import Words, philox4x32

GRID_BITS = 30  # a range [-R, R] is cut into 2^31 steps of R 2^-30
SIGMA_ROUNDS = 32  # swap-or-not rounds; fewer leave a measurable distance from uniform
_SMALLEST_SCALE = 2.0**-126  # the smallest normal float32

Array = NDArray[Any]


# --- random words ------------------------------------------------------------------------------


def stream_words(stream_key: tuple[Words, Words], d: int) -> NDArray[np.int64]:
    """Return the words of coordinates 0..d-1 of a stream.

    Args:
        stream_key: two words, or two arrays of shape (rows,): one stream a row.
        d: number of coordinates.

    Returns:
        int64 array of shape (d,) or (rows, d), values in [0, 2^32).
    """
    k0, k1 = (np.asarray(k, dtype=np.uint64)[..., None, None, None] for k in stream_key)
    parts = []
    for first, count, m in tile_shapes(d):
        length = -(-m // 8)
        tile = np.arange(first, first + count, dtype=np.uint64)[:, None, None]
        half = np.arange(2, dtype=np.uint64)[:, None]
        byte = np.arange(length, dtype=np.uint64)
        block = 256 * tile + 128 * half + byte  # (count, 2, length)
        zero = np.zeros((), dtype=np.uint64)
        words = np.stack(philox4x32((block, zero, zero, zero), (k0, k1)), axis=-2)
        # (..., count, 2, 4, length): half and word together are the bit k = 4 half + word.
        coordinates = words.reshape(*words.shape[:-3], 8 * length)[..., :m]
        parts.append(coordinates.reshape(*coordinates.shape[:-2], count * m))
    return np.concatenate(parts, axis=-1).astype(np.int64)


def sigma(
    key: Key, *, tiles: int, clients: Array, n_clients: int, stream: Stream = Stream.SIGMA
) -> NDArray[np.int64]:
    """Evaluate a shared random permutation of the clients, a fresh one per tile.

    Each of 32 swap-or-not rounds r draws K_r in [0, n) and swaps x with K_r - x mod n where the
    round's random bit of the larger of the two says so. In the stream: K_r of tile t is word
    r mod 4 of Philox((r div 4, t, 0, 0)) scaled to [0, n); the bit of x is bit x mod 32 of word
    (x div 32) mod 4 of Philox((x div 128, t, 1 + r, 0)).

    Args:
        key: the round's key.
        tiles: number of tiles.
        clients: ids to map, shape (c,), in [0, n_clients).
        n_clients: n, in [1, 2^32).
        stream: the shared stream to draw from.

    Returns:
        int64 array of shape (tiles, c): sigma_t(client).

    Source: Hoang, Morris, Rogaway, "An enciphering scheme based on a card shuffle", CRYPTO 2012.
    """
    stream_key = key.shared(stream)
    t = np.arange(tiles, dtype=np.uint64)
    zero = np.zeros((), dtype=np.uint64)
    offset_blocks = np.arange(SIGMA_ROUNDS // 4, dtype=np.uint64)
    offsets = np.stack(philox4x32((offset_blocks, t[:, None], zero, zero), stream_key), axis=-1)
    offsets = ((offsets * n_clients) >> 32).reshape(tiles, SIGMA_ROUNDS).astype(np.int64)

    swaps = _swap_bits(stream_key, tiles=tiles, n_clients=n_clients, evaluations=len(clients))
    x = np.broadcast_to(np.asarray(clients, dtype=np.int64), (tiles, len(clients)))
    for r in range(SIGMA_ROUNDS):
        partner = (offsets[:, r, None] - x) % n_clients
        x = np.where(swaps(r, np.maximum(x, partner)), partner, x)
    return np.asarray(x, dtype=np.int64)


def permuted_clients(key: Key, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Return the clients' places in one random order of all n, the same for everybody."""
    places = sigma(key, tiles=1, clients=clients, n_clients=n_clients, stream=Stream.ROWS)
    return np.asarray(places[0])


def _swap_bits(stream_key: tuple[int, int], *, tiles: int, n_clients: int, evaluations: int) -> Any:
    """Return swaps(r, x): the swap bits of round r at x of shape (tiles, c)."""
    zero = np.zeros((), dtype=np.uint64)
    t = np.arange(tiles, dtype=np.uint64)[:, None]
    blocks = -(-n_clients // 128)
    if blocks > max(evaluations, 32):  # few clients of very many: their own words only

        def pointwise(r: int, x: NDArray[np.int64]) -> NDArray[np.bool_]:
            block = (x >> 7).astype(np.uint64)
            words = philox4x32((block, t, np.uint64(1 + r), zero), stream_key)
            word = np.choose((x >> 5) & 3, words).astype(np.int64)
            return np.asarray((word >> (x & 31)) & 1, dtype=bool)

        return pointwise

    rounds = np.arange(1, 1 + SIGMA_ROUNDS, dtype=np.uint64)[:, None, None]
    block = np.arange(blocks, dtype=np.uint64)
    table = np.stack(philox4x32((block, t, rounds, zero), stream_key), axis=-1)
    table = table.reshape(SIGMA_ROUNDS, tiles, 4 * blocks).astype(np.int64)
    each_tile = np.arange(tiles)[:, None]

    def looked_up(r: int, x: NDArray[np.int64]) -> NDArray[np.bool_]:
        word = table[r, each_tile, x >> 5]
        return np.asarray((word >> (x & 31)) & 1, dtype=bool)

    return looked_up


# --- ranks: which of the n cells of [0, 1) a client's threshold falls in -------------------------


def shift_ranks(key: Key, *, d: int, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Rank of each client at each coordinate: (shift_j + sigma_t(client)) mod n, shape (c, d)."""
    words = stream_words(key.shared(Stream.SHIFT), d).astype(np.uint64)
    shift = ((words * np.uint64(n_clients)) >> 32).astype(np.int64)  # up to 64 bits, unsigned
    tiles = -(-d // TILE)
    permuted = sigma(key, tiles=tiles, clients=clients, n_clients=n_clients)
    per_coordinate = permuted.T[:, np.arange(d) // TILE]
    return np.asarray((shift + per_coordinate) % n_clients, dtype=np.int64)


def permutation_ranks(key: Key, *, d: int, clients: Array, n_clients: int) -> NDArray[np.int64]:
    """Rank of each client in a fresh uniform permutation per coordinate, shape (c, d).

    Client i's rank at coordinate j is the number of clients with a smaller 64-bit ticket, made of
    words 2 (i mod 2) and 2 (i mod 2) + 1 of block Philox((i div 2, j, 0, 0)) of stream
    PERMUTATION; equal tickets (probability below n^2 2^-65) rank by client id. Cost O(n) a
    coordinate: the literal rule, for reference; ``shift_ranks`` is the fast one.
    """
    ranks = np.empty((len(clients), d), dtype=np.int64)
    pairs = np.arange(-(-n_clients // 2), dtype=np.uint64)[:, None]
    zero = np.zeros((), dtype=np.uint64)
    for start in range(0, d, TILE):  # bounds the memory to n x 1024 tickets
        j = np.arange(start, min(start + TILE, d), dtype=np.uint64)
        w = philox4x32((pairs, j, zero, zero), key.shared(Stream.PERMUTATION))
        tickets = np.stack([w[0] << 32 | w[1], w[2] << 32 | w[3]], axis=1)
        tickets = tickets.reshape(2 * len(pairs), len(j))[:n_clients]
        order = np.argsort(tickets, axis=0, kind="stable")
        tile_ranks = np.empty_like(order)
        np.put_along_axis(tile_ranks, order, np.arange(n_clients)[:, None], axis=0)
        ranks[:, start : start + len(j)] = tile_ranks[clients]
    return ranks


# --- scales and rounding -------------------------------------------------------------------------


def tree_sum(values: Array) -> Array:
    """Sum over the last axis by a zero-padded halving tree: additions in one fixed order."""
    size = 1 << (values.shape[-1] - 1).bit_length()
    if size != values.shape[-1]:
        pad = [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])]
        values = np.pad(values, pad)
    while size > 1:
        size //= 2
        values = values[..., :size] + values[..., size:]
    return values[..., 0]


def l2_scale(x: Array) -> NDArray[np.float32]:
    """2-norm over the last axis as float32, rounded up, at least 2^-126; 0 for a zero vector.

    Rounding up keeps every coordinate inside [-R, R]. The norm of a vector whose norm exceeds the
    float32 range is infinity, for the caller to refuse.
    """
    with np.errstate(over="ignore", under="ignore"):
        norm = np.sqrt(tree_sum(np.square(x, dtype=np.float64)))
    return scale_of_norm(norm, lambda: (x != 0).any(axis=-1))


def scale_of_norm(norm: Array, not_zero: Callable[[], Array]) -> NDArray[np.float32]:
    """Round norms up to float32, at least 2^-126; not_zero tells tiny vectors from zero ones."""
    scale = np.maximum(_round_up(norm), np.float32(_SMALLEST_SCALE))
    if (norm > 0).all():
        return scale
    return np.where(not_zero(), scale, np.float32(0.0))


def norm_scale(x: Array, p: float) -> NDArray[np.float32]:
    """p-norm over the last axis as float32, rounded up; 0 for a zero vector, as :func:`l2_scale`.

    The largest entry is never above it, so that |x| / R stays in [0, 1]. For p other than 2 and
    infinity a relative margin of 2^-40 covers the error of the powers and the sum.
    """
    if p == 2:
        return l2_scale(x)
    absolute = np.abs(x).astype(np.float64)
    largest = absolute.max(axis=-1)
    norm = largest
    if p != np.inf:
        unit = np.where(largest > 0, largest, 1.0)
        with np.errstate(over="ignore", under="ignore"):
            powers = absolute / unit[..., None]
            total = tree_sum(powers if p == 1 else powers**p)
            norm = unit * (total if p == 1 else total ** (1 / p)) * (1 + 2.0**-40)
    scale = np.maximum(_round_up(np.maximum(norm, largest)), np.float32(_SMALLEST_SCALE))
    return np.where(largest > 0, scale, np.float32(0.0))


def _round_up(norm: Array) -> NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):
        scale = norm.astype(np.float32)
        return np.where(scale < norm, np.nextafter(scale, np.float32(np.inf)), scale)


def grid(x: Array, scale: NDArray[np.float32]) -> NDArray[np.int64]:
    """Place coordinates on the integer grid: clamp(floor(x 2^30 / R)) + 2^30, in [0, 2^31].

    Args:
        x: coordinates, shape (..., d), |x| <= R up to rounding.
        scale: R, shape (...,); 0 puts every coordinate in the middle.

    The expected value of the rounded coordinate is low by less than R 2^-30: the bias of the grid.
    """
    radius = np.where(scale > 0, scale, np.float32(1.0)).astype(np.float64)[..., None]
    half = 1 << GRID_BITS
    steps = np.floor(x.astype(np.float64) * half / radius)
    return np.asarray(np.clip(steps, -half, half), dtype=np.int64) + half


def round_independent(g: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.bool_]:
    """IQ's decision: up with probability g 2^-31, independently (Definition 5)."""
    return np.asarray((words >> 1) < g)


def round_correlated(
    g: NDArray[np.int64], words: NDArray[np.int64], ranks: NDArray[np.int64], n_clients: int
) -> NDArray[np.bool_]:
    """CQ's decision: up if the client's stratified threshold lies below y (Algorithm 2).

    The threshold is U = (rank + u 2^-31) / n with private u; y = g 2^-31; both times n 2^31.
    """
    return np.asarray((ranks << 31) + (words >> 1) < n_clients * g)


def round_linear(y: Array, words: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    """Round y in [0, 1] to a neighbouring multiple of 1/s without bias (Definition 2).

    On the grid g = floor(y s 2^31), computed in float64, the level below is g div 2^31, and the
    rest is the chance, in steps of 2^-31, of the level above.

    Args:
        y: float64, shape (..., c, d).
        words: private random words, shape (c, d), in [0, 2^32).
        levels: s, at least 1.

    Returns:
        The level, int64 in [0, s].
    """
    top = levels << 31
    g = np.minimum(np.floor(y * top), top).astype(np.int64)
    return np.asarray((g >> 31) + ((words >> 1) < (g & 0x7FFFFFFF)))


def round_exponential(y: Array, words: NDArray[np.int64], lowest: int) -> NDArray[np.int64]:
    """Round y >= 0 to a neighbour among 0 and 2^lowest, 2^(lowest+1), ... without bias.

    With y = 2^e (1 + f) the chance of the level above is f, below 2^lowest it is y / 2^lowest,
    both rounded down to a multiple of 2^-31 (Definition 3; natural compression).

    Args:
        y: float64, shape (..., c, d).
        words: private random words, shape (c, d), in [0, 2^32).
        lowest: exponent of the smallest level that is not 0.

    Returns:
        The level, int64: 0, or 1 + e - lowest for 2^e.
    """
    mantissa, exponent = np.frexp(y)  # mantissa in [1/2, 1)
    above = (exponent > lowest) & (y > 0)
    level = np.where(above, exponent - lowest, 0).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        chance = np.where(above, 2 * mantissa - 1, np.ldexp(y, -lowest))
    return np.asarray(level + ((words >> 1) < np.floor(chance * 2.0**31).astype(np.int64)))


def k_level_offset(words: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the lowest level c_1 of k-level CQ: -(word + 1) / (k 2^32), in [-1/k, 0)."""
    return -(words + 1) / (k * 2.0**32)


def k_level_grid(
    g: NDArray[np.int64], words: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split y = g 2^-31 into the level below and the place between that and the next.

    Levels c_m = c_1 + m b, m = 0 .. k - 1, are b = (k + 1) / (k (k - 1)) apart, so that
    (y - c_1) / b = (2 k g + word + 1) (k - 1) / ((k + 1) 2^32), an exact fraction of integers.

    Args:
        g: coordinates on the grid, shape (..., c, d), in [0, 2^31].
        words: shared random words, shape (d,), in [0, 2^32).
        k: number of levels, in [3, 2^15].

    Returns:
        m and the place in [0, 2^31], rounded down, as int64.

    Source: Suresh et al. 2022, Algorithm 2 (OneDimKLevelsCQ).
    """
    numerator = (2 * k * g + words + 1) * (k - 1)
    unit = (k + 1) << 32
    m = np.minimum(numerator // unit, k - 1)
    return m, (numerator - m * unit) // (2 * (k + 1))


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


def output(shape: tuple[int, ...], dtype: Any, out: Array | None) -> Array:
    """Return out, or a new array if there is none.

    Raises:
        ValueError: if out has another shape, is not float32 or float64, or is not contiguous.
    """
    if out is None:
        return np.empty(shape, dtype=dtype)
    floats = out.dtype in (np.float32, np.float64)
    if out.shape != shape or not floats or not out.flags.c_contiguous:
        raise ValueError(
            f"out must be a contiguous float32 or float64 array of shape {shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def empty_codes(d: int, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return out, or a new array for d bits.

    Raises:
        ValueError: if out has another size or dtype, or is not contiguous.
    """
    size = -(-d // 8)
    if out is None:
        return np.empty(size, dtype=np.uint8)
    if out.shape != (size,) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(
            f"out must be a contiguous uint8 array of shape ({size},), "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def check_padding(codes: NDArray[np.uint8], d: int) -> None:
    """Refuse codes of another size than d bits take, and padding bits that are set."""
    check_length(codes, -(-d // 8))
    m = d % TILE
    if m:
        unpack_bits(codes[TILE // 8 * (d // TILE) :], m)
