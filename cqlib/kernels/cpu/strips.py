"""Strips of dithered symbols: rounding and packing, or unpacking and looking values up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array
from cqlib.kernels.cpu.compiled import levels as loops
from cqlib.kernels.cpu.threads import over_tiles, private_words
from cqlib.kernels.reference.buffers import empty_codes
from cqlib.kernels.reference.packing import TILE, TRIT_TILE, code_bytes, unpack
from cqlib.keys import Key, Stream

Loop = Callable[
    [Array, float, int, int, Array, np.uint64, np.uint64, int, int, NDArray[np.uint8]], None
]
"""Takes x, its range, grid, bits per symbol, an array of the symbols' dtype, the two words of the
stream, the first strip, the one after the last, and the codes to fill."""


def encode(
    x: Array,
    scale: Array | float,
    loop: Loop,
    grid: int,
    levels: int,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None,
) -> NDArray[np.uint8]:
    """Round and pack by a compiled loop; ``grid`` is the integer that describes its levels."""
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


def read(codes: NDArray[np.uint8], levels: int, table: Array, values: Array) -> Array:
    """Fill values with the table's entry for each symbol."""
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
        unpack(codes, d, alphabet)  # raises the error that names the symbol
    return values


def _symbol_kind(levels: int) -> tuple[int, Array]:
    """Return the bits per symbol, 0 for trits, and an empty array of the symbols' dtype."""
    width = 0 if levels == 1 else (2 * levels).bit_length()
    return width, np.empty(0, np.uint8 if 2 * levels < 256 else np.uint32)
