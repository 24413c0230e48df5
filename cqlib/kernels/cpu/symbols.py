"""Symbols of any alphabet by compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array, StreamKey
from cqlib.kernels.cpu.compiled import levels as level_loops
from cqlib.kernels.cpu.compiled import symbols as loops
from cqlib.kernels.cpu.threads import over_tiles
from cqlib.kernels.reference import packing
from cqlib.kernels.reference.packing import TILE, TRIT_TILE, check_length, code_bytes
from cqlib.kernels.reference.symbols import check_signed, symbol_dtype

_WIDEST = 32  # the largest width of a symbol in the loops


def pack(symbols: Array, alphabet: int) -> NDArray[np.uint8]:
    """Pack strip by strip; leave alphabets above 2^32 to the reference."""
    width = (alphabet - 1).bit_length()
    if not 0 < width <= _WIDEST:
        return packing.pack(symbols, alphabet)
    codes = np.empty(code_bytes(symbols.size, alphabet), dtype=np.uint8)
    values, kind = np.ascontiguousarray(symbols), _width(alphabet)
    if values.dtype == bool:
        values = values.view(np.uint8)
    return np.asarray(
        over_tiles(
            -(-values.size // level_loops.STRIP),
            lambda a, b: loops.pack(values, kind, _like(alphabet), a, b, codes),
            codes,
            5,
        )
    )


def unpack(data: NDArray[np.uint8], count: int, alphabet: int) -> Array:
    """Unpack strip by strip; the reference checks the padding of the last tile."""
    width = (alphabet - 1).bit_length()
    if not 0 < width <= _WIDEST:
        return packing.unpack(data, count, alphabet)
    check_length(data, code_bytes(count, alphabet))
    ragged = count % (TRIT_TILE if alphabet == 3 else TILE)
    tail = data[code_bytes(count - ragged, alphabet) :]
    packing.unpack(tail, ragged, alphabet)  # checks the padding
    codes = np.ascontiguousarray(data)
    values = np.empty(count, dtype=np.uint8 if alphabet == 2 else np.int64)
    kind = _width(alphabet)
    largest = [0]
    over_tiles(
        -(-count // level_loops.STRIP),
        lambda a, b: largest.append(loops.unpack(codes, kind, _like(alphabet), a, b, values)),
        values,
        5,
    )
    if max(largest) >= (243 if alphabet == 3 else alphabet):
        packing.unpack(data, count, alphabet)  # raises the error that names the symbol
    return values.view(bool) if alphabet == 2 else values


def dither(y: Array, stream_key: StreamKey, *, levels: int) -> Array:
    """Round tile by tile, over all rows."""
    check_signed(y, levels)
    k0, k1 = (np.asarray(k, dtype=np.uint64).reshape(-1) for k in stream_key)
    rows = np.ascontiguousarray(y).reshape(-1, y.shape[-1])
    out = np.empty(rows.shape, dtype=symbol_dtype(levels))
    tiles = len(rows) * -(-rows.shape[-1] // TILE)
    over_tiles(tiles, lambda a, b: loops.dither(rows, levels, k0, k1, a, b, out), out)
    return out.reshape(y.shape)


def _width(alphabet: int) -> int:
    """Return the bits per symbol, 0 for trits."""
    return 0 if alphabet == 3 else (alphabet - 1).bit_length()


def _like(alphabet: int) -> Array:
    """Return an empty array of the symbols' dtype."""
    return np.empty(0, np.uint8 if alphabet <= 256 else np.uint32)
