"""Dithering on a CPU; names and contracts are those of ``reference``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels import reference
from cqlib.kernels.buffers import check_levels, check_vector, empty_codes, empty_levels, output
from cqlib.kernels.loops import levels as loops
from cqlib.kernels.norms import Array
from cqlib.kernels.packing import TILE, TRIT_TILE, check_length, code_bytes, unpack
from cqlib.kernels.threads import over_tiles, private_words
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
    codes = empty_codes(code_bytes(x.size, 2 * levels + 1), out)
    if scale == 0:
        codes[:] = 0
        return codes
    x, R = np.ascontiguousarray(x), float(scale)
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    width, like = _symbol_kind(levels)
    return over_tiles(
        -(-x.size // loops.STRIP),
        lambda a, b: loops.encode(x, R, levels, width, like, k0, k1, a, b, codes),
        codes,
        5,
    )


def decode_levels(
    codes: NDArray[np.uint8], scale: float, *, d: int, levels: int, out: Array | None = None
) -> Array:
    """See :func:`reference.decode_levels`."""
    check_levels(levels)
    alphabet = 2 * levels + 1
    check_length(codes, code_bytes(d, alphabet))
    ragged = d % (TRIT_TILE if levels == 1 else TILE)
    unpack(codes[code_bytes(d - ragged, alphabet) :], ragged, alphabet)  # checks the padding
    values = output((d,), np.float32, out)
    codes, table = np.ascontiguousarray(codes), reference.level_values(scale, levels)
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
