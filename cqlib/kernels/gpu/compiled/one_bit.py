"""One-bit messages: IQ and CQ, the permutation of the clients, decoding and the average."""

from __future__ import annotations

import triton
import triton.language as tl

from cqlib.kernels.gpu.compiled.common import TILE, coordinate, lanes, philox, stream_block, u32

HALF: tl.constexpr = tl.constexpr(1 << 30)
SIGMA_ROUNDS: tl.constexpr = tl.constexpr(32)


@triton.jit
def _grid(x, R):
    steps = tl.floor(x.to(tl.float64) * HALF / R)
    return (tl.minimum(tl.maximum(steps, -1.0 * HALF), 1.0 * HALF)).to(tl.int64) + HALF


@triton.jit
def _up(x, R, word, shared_word, place, n, CORRELATED: tl.constexpr):
    half_word = (word >> 1).to(tl.uint64)
    g = _grid(x, R).to(tl.uint64)
    if CORRELATED:
        rank = tl.umulhi(shared_word, n).to(tl.uint64) + place
        wide = n.to(tl.uint64)
        rank = tl.where(rank >= wide, rank - wide, rank)
        return (rank << 31) + half_word < g * wide
    else:
        return half_word < g


@triton.jit
def _swap(x, word, r, t, n, k0, k1):
    """Apply round r of the permutation: swap x with its partner if their random bit is set."""
    zero = tl.zeros_like(t)
    offset = tl.umulhi(word, n).to(tl.uint64)
    partner = tl.where(offset >= x, offset - x, offset + n.to(tl.uint64) - x)
    larger = tl.maximum(x, partner).to(tl.uint32)
    w0, w1, w2, w3 = philox(larger >> 7, t, zero + (1 + r), zero, k0, k1)
    s = (larger >> 5) & 3
    own = tl.where(s == 0, w0, tl.where(s == 1, w1, tl.where(s == 2, w2, w3)))
    return tl.where(((own >> (larger & 31)) & 1) == 1, partner, x)


@triton.jit
def sigma_kernel(out_ptr, tiles, client, n, k0, k1, BLOCK: tl.constexpr):
    """Store the client's place in a tile, one tile per lane."""
    tile = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    t = tile.to(tl.uint32)
    zero = tl.zeros_like(t)
    k0, k1 = zero + u32(k0), zero + u32(k1)
    n = zero + u32(n)
    x = (zero + u32(client)).to(tl.uint64)
    for q in range(SIGMA_ROUNDS // 4):
        w0, w1, w2, w3 = philox(zero + q, t, zero, zero, k0, k1)
        x = _swap(x, w0, 4 * q, t, n, k0, k1)
        x = _swap(x, w1, 4 * q + 1, t, n, k0, k1)
        x = _swap(x, w2, 4 * q + 2, t, n, k0, k1)
        x = _swap(x, w3, 4 * q + 3, t, n, k0, k1)
    tl.store(out_ptr + tile, x.to(tl.int64), mask=tile < tiles)


@triton.jit
def encode_kernel(
    x_ptr, scale_ptr, places_ptr, out_ptr, d, n, k0, k1, s0, s1,
    CORRELATED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Round eight coordinates per lane and pack their bits into one byte."""
    lane, tile, byte, length, m = lanes(d, BLOCK)
    here = (byte < length) & (m > 0)
    scale = tl.load(scale_ptr)
    R = tl.where(scale > 0, scale, 1.0).to(tl.float64)
    place = tl.zeros([BLOCK], tl.uint64)
    if CORRELATED:
        place = tl.load(places_ptr + tile, mask=here, other=0).to(tl.uint64)
    n32 = u32(n)
    bits = tl.zeros([BLOCK], tl.uint32)
    for half in tl.static_range(2):
        block = (tile * 256 + half * 128 + byte).to(tl.uint32)
        w0, w1, w2, w3 = stream_block(block, u32(k0), u32(k1))
        v0, v1, v2, v3 = w0, w1, w2, w3
        if CORRELATED:
            v0, v1, v2, v3 = stream_block(block, u32(s0), u32(s1))
        a, ok = coordinate(x_ptr, tile, byte, length, m, 4 * half)
        bits |= (_up(a, R, w0, v0, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half)
        a, ok = coordinate(x_ptr, tile, byte, length, m, 4 * half + 1)
        bits |= (_up(a, R, w1, v1, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half + 1)
        a, ok = coordinate(x_ptr, tile, byte, length, m, 4 * half + 2)
        bits |= (_up(a, R, w2, v2, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half + 2)
        a, ok = coordinate(x_ptr, tile, byte, length, m, 4 * half + 3)
        bits |= (_up(a, R, w3, v3, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half + 3)
    bits = tl.where(scale > 0, bits, 0)
    tl.store(out_ptr + lane, bits.to(tl.uint8), mask=here)


@triton.jit
def decode_kernel(codes_ptr, scale_ptr, out_ptr, d, BLOCK: tl.constexpr):
    """Store the eight coordinates of one byte per lane."""
    lane, tile, byte, length, m = lanes(d, BLOCK)
    code = tl.load(codes_ptr + lane, mask=(byte < length) & (m > 0), other=0).to(tl.int32)
    R = tl.load(scale_ptr)
    for bit in tl.static_range(8):
        place = bit * length + byte
        value = tl.where(((code >> bit) & 1) == 1, R, -R) + 0.0
        tl.store(out_ptr + tile * TILE + place, value, mask=(byte < length) & (place < m))


@triton.jit
def average_kernel(
    codes_ptr, scales_ptr, out_ptr, d, n, width, EQUAL: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Add one bit of each byte over messages: values in order, in float64, or counts if EQUAL."""
    lane, tile, byte, length, m = lanes(d, BLOCK)
    for bit in tl.static_range(8):
        place = bit * length + byte
        here = (byte < length) & (place < m)
        if EQUAL:
            count = tl.zeros([BLOCK], tl.int32)
            for i in range(n):
                code = tl.load(codes_ptr + i * width + lane, mask=here, other=0)
                count += ((code >> bit) & 1).to(tl.int32)
            total = (2 * count - n).to(tl.float64) * tl.load(scales_ptr).to(tl.float64)
        else:
            total = tl.zeros([BLOCK], tl.float64)
            for i in range(n):
                code = tl.load(codes_ptr + i * width + lane, mask=here, other=0)
                R = tl.load(scales_ptr + i).to(tl.float64)
                total += tl.where(((code >> bit) & 1) == 1, R, -R)
        tl.store(out_ptr + tile * TILE + place, total / n + 0.0, mask=here)
