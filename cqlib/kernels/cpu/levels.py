"""Dithering on a CPU; names and contracts are those of ``reference``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.cpu.loops import integers
from cqlib.kernels.cpu.loops import levels as loops
from cqlib.kernels.cpu.loops import powers as power_loops
from cqlib.kernels.cpu.threads import over_tiles, private_words
from cqlib.kernels.reference import fused, packing, powers
from cqlib.kernels.reference.buffers import (
    check_levels,
    check_vector,
    empty_codes,
    empty_levels,
    output,
)
from cqlib.kernels.reference.norms import Array
from cqlib.kernels.reference.packing import (
    TILE,
    TRIT_TILE,
    check_length,
    code_bytes,
    integer_bytes,
    levels_of,
    unpack,
)
from cqlib.keys import Key, Stream


def quantize_levels(
    x: Array, scale: float, *, levels: int, key: Key, client: int, out: Array | None = None
) -> Array:
    """See :func:`reference.quantize_levels`."""
    check_vector(x)
    values = empty_levels(x.size, levels, out)
    if scale == 0:
        values[:] = 0
        return values
    x, R = np.ascontiguousarray(x), float(scale)
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    return over_tiles(
        -(-x.size // loops.STRIP),
        lambda a, b: loops.quantize(x, R, levels, k0, k1, a, b, values),
        values,
        5,
    )


def encode_levels(
    x: Array,
    scale: float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """See :func:`reference.encode_levels`."""
    check_vector(x)
    check_levels(levels)
    return _encode(x, scale, loops.encode, levels, levels, key, client, out)


def decode_levels(
    codes: NDArray[np.uint8], scale: float, *, d: int, levels: int, out: Array | None = None
) -> Array:
    """See :func:`reference.decode_levels`."""
    check_levels(levels)
    check_length(codes, code_bytes(d, 2 * levels + 1))  # before so much is allocated
    values = output((d,), np.float32, out)
    return _read(codes, levels, fused.level_values(scale, levels), values)


def unpack_levels(codes: NDArray[np.uint8], *, d: int, levels: int) -> NDArray[np.int32]:
    """See :func:`reference.unpack_levels`."""
    check_levels(levels)
    check_length(codes, code_bytes(d, 2 * levels + 1))
    signed = levels_of(np.arange(2 * levels + 1)).astype(np.int32)
    return np.asarray(_read(codes, levels, signed, np.empty(d, dtype=np.int32)))


def pack_integers(values: Array, width: int) -> NDArray[np.uint8]:
    """See :func:`reference.pack_integers`."""
    codes = np.empty(integer_bytes(values.size, width), dtype=np.uint8)
    values = np.ascontiguousarray(values)
    return np.asarray(
        over_tiles(
            -(-values.size // TILE), lambda a, b: integers.pack(values, width, a, b, codes), codes
        )
    )


def unpack_integers(codes: NDArray[np.uint8], d: int, width: int) -> NDArray[np.int64]:
    """See :func:`reference.unpack_integers`."""
    check_length(codes, integer_bytes(d, width))
    ragged = d % TILE
    packing.unpack_integers(codes[integer_bytes(d - ragged, width) :], ragged, width)
    codes, values = np.ascontiguousarray(codes), np.empty(d, dtype=np.int64)
    return np.asarray(
        over_tiles(-(-d // TILE), lambda a, b: integers.unpack(codes, width, a, b, values), values)
    )


def add_powers(a: Array, b: Array, words: Array) -> NDArray[np.int16]:
    """See :func:`reference.add_powers`."""
    shape = np.broadcast_shapes(np.shape(a), np.shape(b), np.shape(words))
    a, b, words = (np.ascontiguousarray(x) for x in np.broadcast_arrays(a, b, words))
    out = np.empty(shape, dtype=np.int16)
    flat = [x.reshape(-1) for x in (a, b, words, out)]
    over_tiles(
        -(-out.size // TILE),
        lambda first, last: power_loops.add_powers(*flat[:3], first, last, flat[3]),
        out,
    )
    return out


def encode_powers(
    x: Array,
    scale: float,
    *,
    lowest: int,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """See :func:`reference.encode_powers`."""
    check_vector(x)
    powers.check_powers(lowest, levels)
    return _encode(x, scale, power_loops.encode, lowest, levels, key, client, out)


def decode_powers(
    codes: NDArray[np.uint8],
    scale: float,
    *,
    d: int,
    lowest: int,
    levels: int,
    out: Array | None = None,
) -> Array:
    """See :func:`reference.decode_powers`."""
    powers.check_powers(lowest, levels)
    check_length(codes, code_bytes(d, 2 * levels + 1))
    values = output((d,), np.float32, out)
    return _read(codes, levels, powers.power_values(scale, lowest, levels), values)


def _encode(
    x: Array,
    scale: float,
    loop: Any,
    grid: int,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None,
) -> NDArray[np.uint8]:
    """Round and pack by a loop, which takes its grid as an integer."""
    codes = empty_codes(code_bytes(x.size, 2 * levels + 1), out)
    if scale == 0:
        codes[:] = 0
        return codes
    x, R = np.ascontiguousarray(x), float(scale)
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    width, like = _symbol_kind(levels)
    return np.asarray(
        over_tiles(
            -(-x.size // loops.STRIP),
            lambda a, b: loop(x, R, grid, width, like, k0, k1, a, b, codes),
            codes,
            5,
        )
    )


def _read(codes: NDArray[np.uint8], levels: int, table: Array, values: Array) -> Array:
    """Fill values with what a table has for each symbol."""
    d, alphabet = values.size, 2 * levels + 1
    ragged = d % (TRIT_TILE if levels == 1 else TILE)
    unpack(codes[code_bytes(d - ragged, alphabet) :], ragged, alphabet)  # checks the padding
    codes = np.ascontiguousarray(codes)
    width, like = _symbol_kind(levels)
    largest = []
    over_tiles(
        -(-d // loops.STRIP),
        lambda a, b: largest.append(loops.decode(codes, width, table, like, a, b, values)),
        values,
        5,
    )
    if max(largest) >= (243 if levels == 1 else alphabet):
        unpack(codes, d, alphabet)  # says what is wrong
    return values


def _symbol_kind(levels: int) -> tuple[int, Array]:
    """Return the bits of a symbol, 0 for trits, and an array of the dtype to compute them in."""
    width = 0 if levels == 1 else (2 * levels).bit_length()
    return width, np.empty(0, np.uint8 if 2 * levels < 256 else np.uint32)
