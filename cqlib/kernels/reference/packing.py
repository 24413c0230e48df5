"""The normative layout of codes: packing of symbols into bytes.

Symbols of an alphabet of size q are packed by the shortest of three codes.

* q = 2, bits. A vector is cut into tiles of up to 1024 bits. A tile of m bits has L = ceil(m / 8)
  bytes, and bit k of byte l is its bit L k + l. (This bit-transposed order makes simple loops over
  l vectorise.)
* q = 3, trits. A tile of up to 1280 trits has L = ceil(m / 5) bytes, and digit k of byte l in
  base 3 is its trit L k + l: 1.6 bits per symbol; the lower bound is log2 3 = 1.585.
* any other q: integers of w = ceil(log2 q) bits. A tile of m <= 1024 symbols is a string of w m
  bits, plane by plane from the lowest bit, and that string is packed as bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array

TILE = 1024
TRIT_TILE = 1280
_POWERS = 3 ** np.arange(5)


def tile_shapes(d: int, tile: int = TILE) -> list[tuple[int, int, int]]:
    """Return the tiles of a vector as (first tile, number of equal tiles, symbols in each).

    >>> tile_shapes(2500)
    [(0, 2, 1024), (2, 1, 452)]
    """
    full, rest = divmod(d, tile)
    shapes = [(0, full, tile)] if full else []
    return shapes + ([(full, 1, rest)] if rest else [])


# --- bits ----------------------------------------------------------------------------------------


def pack_bits(bits: Array) -> NDArray[np.uint8]:
    """Pack booleans of shape (..., d) into bytes of shape (..., ceil(d / 8)), bit-transposed.

    >>> pack_bits(np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1], bool))  # L = 2: coordinate 9 is bit 4
    array([ 1, 16], dtype=uint8)
    """
    parts, start = [np.zeros((*bits.shape[:-1], 0), dtype=np.uint8)], 0
    for _, count, m in tile_shapes(bits.shape[-1]):
        length = -(-m // 8)
        tiles = bits[..., start : start + count * m].reshape(*bits.shape[:-1], count, m)
        if 8 * length != m:
            tiles = np.pad(tiles, [(0, 0)] * (tiles.ndim - 1) + [(0, 8 * length - m)])
        tiles = tiles.reshape(*bits.shape[:-1], count, 8, length)
        packed = np.packbits(tiles, axis=-2, bitorder="little")
        parts.append(packed.reshape(*bits.shape[:-1], count * length))
        start += count * m
    return np.concatenate(parts, axis=-1)


def unpack_bits(codes: NDArray[np.uint8], d: int) -> NDArray[np.bool_]:
    """Undo :func:`pack_bits`: bytes of shape (..., ceil(d / 8)) to booleans of shape (..., d).

    Raises:
        ValueError: if a padding bit of the last tile is set.
    """
    parts, start = [np.zeros((*codes.shape[:-1], 0), dtype=bool)], 0
    for _, count, m in tile_shapes(d):
        length = -(-m // 8)
        tiles = codes[..., start : start + count * length]
        tiles = tiles.reshape(*codes.shape[:-1], count, 1, length)
        bits = np.unpackbits(tiles, axis=-2, bitorder="little").reshape(
            *codes.shape[:-1], count, 8 * length
        )
        if bits[..., m:].any():
            raise ValueError("padding bits of the last tile are not zero")
        parts.append(bits[..., :m].reshape(*codes.shape[:-1], count * m).astype(bool))
        start += count * length
    return np.concatenate(parts, axis=-1)


# --- trits ---------------------------------------------------------------------------------------


def pack_trits(trits: Array) -> NDArray[np.uint8]:
    """Pack symbols 0, 1, 2 of shape (d,), five per byte.

    >>> pack_trits(np.array([1, 2, 0, 0, 0, 2, 1]))  # L = 2: the bytes are 1, 0, 0, 1 and 2, 0, 2
    array([28, 20], dtype=uint8)
    """
    parts = [np.zeros(0, dtype=np.uint8)]
    for tiles in _tiles(trits, TRIT_TILE):
        count, m = tiles.shape
        length = -(-m // 5)
        digits = np.pad(tiles.astype(np.int64), ((0, 0), (0, 5 * length - m)))
        packed = np.einsum("k,ckl->cl", _POWERS, digits.reshape(count, 5, length))
        parts.append(packed.astype(np.uint8).reshape(-1))
    return np.concatenate(parts)


def unpack_trits(codes: NDArray[np.uint8], d: int) -> NDArray[np.int64]:
    """Undo :func:`pack_trits`.

    Raises:
        ValueError: if a byte exceeds 242 = 3^5 - 1 or a padding digit is not zero.
    """
    if (codes > 242).any():
        raise ValueError(f"a byte of five trits is at most 242, got {codes.max()}")
    parts, start = [np.zeros(0, dtype=np.int64)], 0
    for _, count, m in tile_shapes(d, TRIT_TILE):
        length = -(-m // 5)
        data = codes[start : start + count * length].astype(np.int64).reshape(count, 1, length)
        digits = (data // _POWERS[:, None] % 3).reshape(count, 5 * length)
        if digits[:, m:].any():
            raise ValueError("padding digits of the last tile are not zero")
        parts.append(digits[:, :m].reshape(-1))
        start += count * length
    return np.concatenate(parts)


# --- integers of a fixed length ------------------------------------------------------------------


def pack_integers(values: Array, width: int) -> NDArray[np.uint8]:
    """Pack the planes of a tile as one string of bits."""
    planes = np.arange(width, dtype=np.int64)[:, None]
    parts = [np.zeros(0, dtype=np.uint8)]
    for tiles in _tiles(values, TILE):
        bits = (tiles[:, None, :].astype(np.int64) >> planes) & 1
        parts.append(pack_bits(bits.reshape(len(tiles), -1).astype(bool)).reshape(-1))
    return np.concatenate(parts)


def unpack_integers(codes: NDArray[np.uint8], d: int, width: int) -> NDArray[np.int64]:
    """Undo :func:`pack_integers`."""
    check_length(codes, integer_bytes(d, width))
    planes = np.arange(width, dtype=np.int64)[:, None]
    parts, start = [np.zeros(0, dtype=np.int64)], 0
    for _, count, m in tile_shapes(d):
        length = -(-width * m // 8)
        tiles = codes[start : start + count * length].reshape(count, length)
        bits = unpack_bits(tiles, width * m).reshape(count, width, m)
        parts.append((bits.astype(np.int64) << planes).sum(axis=1).reshape(-1))
        start += count * length
    return np.concatenate(parts)


# --- signed levels -------------------------------------------------------------------------------


def symbols_of(levels: Array) -> NDArray[np.int64]:
    """Return the symbols of signed levels: 2 l - 1 for l > 0, -2 l for l <= 0.

    >>> symbols_of(np.array([0, 1, -1, 2, -2]))
    array([0, 1, 2, 3, 4])
    """
    wide = levels.astype(np.int64)
    return np.maximum(2 * wide - 1, -2 * wide)


def levels_of(symbols: Array) -> NDArray[np.int64]:
    """Undo :func:`symbols_of`."""
    wide = symbols.astype(np.int64)
    return np.where(wide % 2, (wide + 1) // 2, -(wide // 2))


# --- any alphabet --------------------------------------------------------------------------------


def symbol_bits(alphabet: int) -> float:
    """Return the bits per symbol in ``bits``: log2 3 for an alphabet of three, else ceil(log2 q).

    >>> [symbol_bits(q) for q in (1, 2, 4, 5)]
    [0.0, 1.0, 2.0, 3.0]
    """
    return math.log2(3) if alphabet == 3 else float((alphabet - 1).bit_length())


def code_bytes(count: int, alphabet: int) -> int:
    """Return the number of bytes of ``count`` packed symbols.

    >>> code_bytes(1024, 2), code_bytes(1280, 3), code_bytes(1000, 15)
    (128, 256, 500)
    """
    if alphabet == 3:
        full, rest = divmod(count, TRIT_TILE)
        return full * (TRIT_TILE // 5) + -(-rest // 5)
    return integer_bytes(count, (alphabet - 1).bit_length())


def integer_bytes(count: int, width: int) -> int:
    """Return the number of bytes of ``count`` packed integers of ``width`` bits."""
    full, rest = divmod(count, TILE)
    return full * width * (TILE // 8) + -(-width * rest // 8)


def check_length(data: Sized, expected: int) -> None:
    """Raise ValueError unless the number of bytes is as expected."""
    if len(data) != expected:
        raise ValueError(f"expected {expected} code bytes, got {len(data)}")


def pack(symbols: Array, alphabet: int) -> NDArray[np.uint8]:
    """Pack with the code of the alphabet."""
    if alphabet == 2:
        return pack_bits(symbols.astype(bool))
    if alphabet == 3:
        return pack_trits(symbols)
    return pack_integers(symbols, (alphabet - 1).bit_length())


def unpack(data: NDArray[np.uint8], count: int, alphabet: int) -> Array:
    """Undo :func:`pack`."""
    check_length(data, code_bytes(count, alphabet))
    if alphabet == 2:
        return unpack_bits(data, count)
    if alphabet == 3:
        return unpack_trits(data, count)
    symbols = unpack_integers(data, count, (alphabet - 1).bit_length())
    if (symbols >= alphabet).any():
        raise ValueError(f"symbols must be below {alphabet}, got {symbols.max()}")
    return symbols


def _tiles(values: Array, tile: int) -> Iterator[Array]:
    """Yield the full tiles as rows of one array, then the shorter last tile."""
    start = 0
    for _, count, m in tile_shapes(len(values), tile):
        yield values[start : start + count * m].reshape(count, m)
        start += count * m
