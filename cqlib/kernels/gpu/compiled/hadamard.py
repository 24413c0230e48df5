"""The Walsh-Hadamard transform, and the signs and values of DRIVE.

An instance does as many stages of a tile as fit: first on contiguous numbers, then on rows of
sixteen columns with a growing distance. Stages are in the order of ``hadamard.transform``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from cqlib.kernels.gpu.compiled.common import TILE, TILE_BYTES, lanes, stream_block, u32

SIGNED: tl.constexpr = tl.constexpr(4096)
CHUNK: tl.constexpr = tl.constexpr(131072)
STEPS: tl.constexpr = tl.constexpr(1073741824.0)
WHOLE: tl.constexpr = tl.constexpr(4503599627370496.0)  # 2^52: a float64 above it is an integer


@triton.jit
def sign_words_kernel(out_ptr, blocks, k0, k1, BLOCK: tl.constexpr):
    """Store four sign words per lane; out_ptr is int32 of shape (chunks, 4096)."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    w0, w1, w2, w3 = stream_block(i.to(tl.uint32), u32(k0), u32(k1))
    at = out_ptr + i // 1024 * SIGNED + i % 1024
    here = i < blocks
    tl.store(at, w0.to(tl.int32, bitcast=True), mask=here)
    tl.store(at + 1024, w1.to(tl.int32, bitcast=True), mask=here)
    tl.store(at + 2048, w2.to(tl.int32, bitcast=True), mask=here)
    tl.store(at + 3072, w3.to(tl.int32, bitcast=True), mask=here)


@triton.jit
def _negative(words_ptr, j, here):
    """Return True if the sign of coordinate j is -1."""
    word = tl.load(words_ptr + j // CHUNK * SIGNED + j % SIGNED, mask=here, other=0)
    return ((word >> (j % CHUNK // SIGNED).to(tl.int32)) & 1) == 1


@triton.jit
def _stage(v, DISTANCE: tl.constexpr, SIZE: tl.constexpr):
    pairs = tl.permute(tl.reshape(v, (SIZE // (2 * DISTANCE), 2, DISTANCE)), (0, 2, 1))
    low, high = tl.split(pairs)
    pairs = tl.permute(tl.join(low + high, low - high), (0, 2, 1))
    return tl.reshape(pairs, (SIZE,))


@triton.jit
def _butterflies(v, FIRST: tl.constexpr, SIZE: tl.constexpr, STAGES: tl.constexpr):
    """Do STAGES stages on a tile of SIZE numbers, at distance FIRST, 2 FIRST, ..."""
    for stage in tl.static_range(STAGES):
        v = _stage(v, FIRST << stage, SIZE)
    return v


@triton.jit
def rotate_kernel(x_ptr, words_ptr, out_ptr, d, unit, SIZE: tl.constexpr, STAGES: tl.constexpr):
    """Load coordinates times signs and a power of two, and transform a tile."""
    j = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    x = tl.load(x_ptr + j, mask=j < d, other=0.0)
    z = (x * unit).to(tl.float32)
    z = tl.where(_negative(words_ptr, j, j < d), -z, z)
    tl.store(out_ptr + j, _butterflies(z, 1, SIZE, STAGES))


@triton.jit
def unpack_kernel(codes_ptr, out_ptr, D, SIZE: tl.constexpr, STAGES: tl.constexpr):
    """Load bits as 1 and -1, and transform a tile."""
    j = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    tile, place = j // TILE, j % TILE
    length = (tl.minimum(D, TILE) + 7) // 8
    byte = tl.load(codes_ptr + tile * TILE_BYTES + place % length).to(tl.int32)
    bit = (byte >> (place // length).to(tl.int32)) & 1
    tl.store(out_ptr + j, _butterflies(2 * bit - 1, 1, SIZE, STAGES))


@triton.jit
def stages_kernel(
    x_ptr, out_ptr, distance,
    COLUMNS: tl.constexpr, SIZE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Do the stages of SIZE / COLUMNS rows, ``distance`` apart."""
    p = tl.program_id(0).to(tl.int64)
    side_by_side = distance // COLUMNS
    start = p // side_by_side * (distance * (SIZE // COLUMNS)) + p % side_by_side * COLUMNS
    i = tl.arange(0, SIZE)
    j = start + i // COLUMNS * distance + i % COLUMNS
    tl.store(out_ptr + j, _butterflies(tl.load(x_ptr + j), COLUMNS, SIZE, STAGES))


@triton.jit
def _sign_bit(y_ptr, tile, byte, length, m, bit: tl.constexpr):
    """Return 1 << bit if y >= 0, else 0; and |y| in steps of 2^-30, rounded to an integer."""
    place = bit * length + byte
    here = (byte < length) & (place < m)
    y = tl.load(y_ptr + tile * TILE + place, mask=here, other=-0.0)
    steps = (tl.abs(y).to(tl.float64) * STEPS + WHOLE) - WHOLE
    code = tl.where(here & (y >= 0), 1 << bit, 0)
    return code, steps.to(tl.int64)


@triton.jit
def signs_kernel(y_ptr, out_ptr, total_ptr, D, BLOCK: tl.constexpr):
    """Pack the bits y >= 0, one byte per lane, and add the integers |y| in steps of 2^-30."""
    lane, tile, byte, length, m = lanes(D, BLOCK)
    code = tl.zeros([BLOCK], tl.int32)
    total = tl.zeros([BLOCK], tl.int64)
    for bit in tl.static_range(8):
        own, steps = _sign_bit(y_ptr, tile, byte, length, m, bit)
        code |= own
        total += steps
    tl.store(out_ptr + lane, code.to(tl.uint8), mask=(byte < length) & (m > 0))
    tl.atomic_add(total_ptr, tl.sum(total))


@triton.jit
def values_kernel(h_ptr, words_ptr, factor_ptr, out_ptr, d, BLOCK: tl.constexpr):
    """Store signs times a factor times integers."""
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = j < d
    v = tl.load(h_ptr + j, mask=here, other=0).to(tl.float64) * tl.load(factor_ptr)
    v = tl.where(_negative(words_ptr, j, here), -v, v).to(tl.float32)
    tl.store(out_ptr + j, v + 0.0, mask=here)
