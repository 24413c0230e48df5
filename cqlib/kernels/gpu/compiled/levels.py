"""Signed levels: dithering with or without packing, and unpacking."""

from __future__ import annotations

import triton
import triton.language as tl

from cqlib.kernels.gpu.compiled.common import TILE, TILE_BYTES, coordinate, lanes, stream_block, u32


@triton.jit
def _word(j, d, k0, k1):
    """Return the random word of a single coordinate j."""
    tile, place = j // TILE, j % TILE
    length = (tl.maximum(tl.minimum(d - tile * TILE, TILE), 1) + 7) // 8
    bit = place // length
    block = (tile * 256 + bit // 4 * 128 + place % length).to(tl.uint32)
    w0, w1, w2, w3 = stream_block(block, k0, k1)
    low, high = tl.where(bit % 2 == 0, w0, w1), tl.where(bit % 2 == 0, w2, w3)
    return tl.where(bit % 4 < 2, low, high)


@triton.jit
def _level(x, R, top, word):
    """Round to a signed level."""
    y = x.to(tl.float64)
    g = tl.minimum(tl.floor(tl.abs(y) / R * top), top).to(tl.int64)
    level = (g >> 31) + ((word >> 1).to(tl.int64) < (g & 0x7FFFFFFF)).to(tl.int64)
    return tl.where(y < 0, -level, level).to(tl.int32)


@triton.jit
def _symbol(level):
    return tl.maximum(2 * level - 1, -2 * level)


@triton.jit
def _store_level(out_ptr, tile, byte, length, m, bit: tl.constexpr, level):
    place = bit * length + byte
    here = (byte < length) & (place < m)
    tl.store(out_ptr + tile * TILE + place, level.to(out_ptr.dtype.element_ty), mask=here)


@triton.jit
def levels_kernel(
    x_ptr, scale_ptr, out_ptr, d, s, k0, k1, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Round eight coordinates per lane; store the levels, or pack symbols of WIDTH bits."""
    _, tile, byte, length, m = lanes(d, BLOCK)
    scale = tl.load(scale_ptr)
    R = tl.where(scale > 0, scale, 1.0).to(tl.float64)
    top = tl.where(scale > 0, s.to(tl.float64) * 2147483648.0, 0.0)
    block = (tile * 256 + byte).to(tl.uint32)
    w0, w1, w2, w3 = stream_block(block, u32(k0), u32(k1))
    w4, w5, w6, w7 = stream_block(block + 128, u32(k0), u32(k1))
    a0, _ = coordinate(x_ptr, tile, byte, length, m, 0)
    a1, _ = coordinate(x_ptr, tile, byte, length, m, 1)
    a2, _ = coordinate(x_ptr, tile, byte, length, m, 2)
    a3, _ = coordinate(x_ptr, tile, byte, length, m, 3)
    a4, _ = coordinate(x_ptr, tile, byte, length, m, 4)
    a5, _ = coordinate(x_ptr, tile, byte, length, m, 5)
    a6, _ = coordinate(x_ptr, tile, byte, length, m, 6)
    a7, _ = coordinate(x_ptr, tile, byte, length, m, 7)
    v0, v1 = _level(a0, R, top, w0), _level(a1, R, top, w1)
    v2, v3 = _level(a2, R, top, w2), _level(a3, R, top, w3)
    v4, v5 = _level(a4, R, top, w4), _level(a5, R, top, w5)
    v6, v7 = _level(a6, R, top, w6), _level(a7, R, top, w7)
    if WIDTH == 0:
        _store_level(out_ptr, tile, byte, length, m, 0, v0)
        _store_level(out_ptr, tile, byte, length, m, 1, v1)
        _store_level(out_ptr, tile, byte, length, m, 2, v2)
        _store_level(out_ptr, tile, byte, length, m, 3, v3)
        _store_level(out_ptr, tile, byte, length, m, 4, v4)
        _store_level(out_ptr, tile, byte, length, m, 5, v5)
        _store_level(out_ptr, tile, byte, length, m, 6, v6)
        _store_level(out_ptr, tile, byte, length, m, 7, v7)
    else:
        v0, v1, v2, v3 = _symbol(v0), _symbol(v1), _symbol(v2), _symbol(v3)
        v4, v5, v6, v7 = _symbol(v4), _symbol(v5), _symbol(v6), _symbol(v7)
        for plane in tl.static_range(WIDTH):
            code = ((v0 >> plane) & 1) | ((v1 >> plane) & 1) << 1
            code |= ((v2 >> plane) & 1) << 2 | ((v3 >> plane) & 1) << 3
            code |= ((v4 >> plane) & 1) << 4 | ((v5 >> plane) & 1) << 5
            code |= ((v6 >> plane) & 1) << 6 | ((v7 >> plane) & 1) << 7
            at = (tile * WIDTH + plane) * TILE_BYTES + byte
            tl.store(out_ptr + at, code.to(tl.uint8), mask=m == TILE)


@triton.jit
def _symbol_alone(x_ptr, j, d, R, top, k0, k1, here):
    """Return the symbol of a single coordinate, with its own Philox block."""
    x = tl.load(x_ptr + j, mask=here, other=0.0)
    return _symbol(_level(x, R, top, _word(j, d, k0, k1)))


@triton.jit
def pack_kernel(
    x_ptr, scale_ptr, out_ptr, d, first, count, s, k0, k1,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Round and pack one byte per lane: trits for WIDTH 0, else the last tile, from ``first`` on.

    In both cases the coordinates of a byte do not share Philox blocks.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    scale = tl.load(scale_ptr)
    R = tl.where(scale > 0, scale, 1.0).to(tl.float64)
    top = tl.where(scale > 0, s.to(tl.float64) * 2147483648.0, 0.0)
    k0, k1 = u32(k0), u32(k1)
    code = tl.zeros([BLOCK], tl.int32)
    if WIDTH == 0:
        tile, l = i // 256, i % 256
        m = tl.minimum(d - tile * 1280, 1280)
        length = (m + 4) // 5
        power = 1
        for k in tl.static_range(5):
            place = k * length + l
            here = (i < count) & (place < m)
            symbol = _symbol_alone(x_ptr, tile * 1280 + place, d, R, top, k0, k1, here)
            code += tl.where(here, symbol, 0) * power
            power *= 3
    else:
        m = d - first
        tile, l = i // TILE_BYTES, i % TILE_BYTES
        length = (tl.maximum(tl.minimum(WIDTH * m - tile * TILE, TILE), 1) + 7) // 8
        for k in tl.static_range(8):
            place = tile * TILE + k * length + l
            here = (i < count) & (k * length + l < TILE) & (place < WIDTH * m)
            symbol = _symbol_alone(x_ptr, first + place % m, d, R, top, k0, k1, here)
            code |= tl.where(here, (symbol >> (place // m).to(tl.int32)) & 1, 0) << k
    tl.store(out_ptr + i, code.to(tl.uint8), mask=i < count)


@triton.jit
def unpack_kernel(
    codes_ptr, scale_ptr, out_ptr, bad_ptr, d, s, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Decode one coordinate per lane; store the largest symbol, for trits the largest byte."""
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = j < d
    if WIDTH == 0:
        tile, place = j // 1280, j % 1280
        length = (tl.maximum(tl.minimum(d - tile * 1280, 1280), 1) + 4) // 5
        byte = tl.load(codes_ptr + tile * 256 + place % length, mask=here, other=0).to(tl.int32)
        k = place // length
        power = tl.where(
            k == 0, 1, tl.where(k == 1, 3, tl.where(k == 2, 9, tl.where(k == 3, 27, 81)))
        )
        symbol = byte // power % 3
        largest = tl.max(byte)
    else:
        tile, place = j // TILE, j % TILE
        m = tl.maximum(tl.minimum(d - tile * TILE, TILE), 1)
        codes_ptr += tile * (TILE_BYTES * WIDTH)
        symbol = tl.zeros([BLOCK], tl.int32)
        for plane in tl.static_range(WIDTH):
            i = plane * m + place
            part = i // TILE
            length = (tl.maximum(tl.minimum(WIDTH * m - part * TILE, TILE), 1) + 7) // 8
            byte = tl.load(codes_ptr + part * TILE_BYTES + i % TILE % length, mask=here, other=0)
            symbol |= ((byte.to(tl.int32) >> (i % TILE // length).to(tl.int32)) & 1) << plane
        largest = tl.max(symbol)
    tl.atomic_max(bad_ptr, largest)
    level = tl.where(symbol % 2 == 1, (symbol + 1) // 2, -(symbol // 2))
    value = level.to(tl.float64) / s.to(tl.float64) * tl.load(scale_ptr).to(tl.float64)
    tl.store(out_ptr + j, value.to(tl.float32) + 0.0, mask=here)
