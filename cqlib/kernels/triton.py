"""The kernels on a GPU: the functions of ``reference`` as Triton programs, with the same bits.

Arguments and results are tensors on one device. Under ``TRITON_INTERPRET=1``, set before this
module is imported, they may be in main memory, which serves the tests and nothing else.

A lane is a byte of the codes: it computes the two Philox blocks and the eight coordinates that the
byte holds, so that bits are packed by shift and or, and neighbouring lanes load neighbouring
coordinates. Divisions and comparisons are those of the reference, in float64 and 64-bit integers;
fused multiply-adds are switched off, though nothing here could be fused.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cqlib.kernels.buffers import check_padding
from cqlib.kernels.norms import ROW
from cqlib.kernels.packing import check_length
from cqlib.keys import Key, Stream

LANES = 128  # bytes of codes that one program makes, one a thread
OPTIONS = {"enable_fp_fusion": False}

TILE: tl.constexpr = tl.constexpr(1024)
TILE_BYTES: tl.constexpr = tl.constexpr(128)
HALF: tl.constexpr = tl.constexpr(1 << 30)
SIGMA_ROUNDS: tl.constexpr = tl.constexpr(32)
M0: tl.constexpr = tl.constexpr(0xD2511F53)
M1: tl.constexpr = tl.constexpr(0xCD9E8D57)
W0: tl.constexpr = tl.constexpr(0x9E3779B9)
W1: tl.constexpr = tl.constexpr(0xBB67AE85)


# --- programs ------------------------------------------------------------------------------------


@triton.jit
def _u32(word):
    """Undo what :func:`_signed` did for the call."""
    return word.to(tl.uint32, bitcast=True)


@triton.jit
def _philox(c0, c1, c2, c3, k0, k1):
    for _ in tl.static_range(10):
        high0, low0 = tl.umulhi(c0, M0), c0 * M0
        high1, low1 = tl.umulhi(c2, M1), c2 * M1
        c0, c1 = high1 ^ c1 ^ k0, low1
        c2, c3 = high0 ^ c3 ^ k1, low0
        k0 += W0
        k1 += W1
    return c0, c1, c2, c3


@triton.jit
def _stream_block(c, k0, k1):
    zero = tl.zeros_like(c)
    return _philox(c, zero, zero, zero, zero + k0, zero + k1)


@triton.jit
def _lanes(d, BLOCK: tl.constexpr):
    """Return each lane's tile, byte in the tile, bytes of the tile and first coordinate."""
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tile = lane // TILE_BYTES
    byte = lane % TILE_BYTES
    m = tl.minimum(d - tile * TILE, TILE)
    return lane, tile, byte, (m + 7) // 8, m


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
def _coordinate(x_ptr, tile, byte, length, m, bit):
    """Load the coordinates whose bit is that of the lane's byte; 0 past the end."""
    place = bit * length + byte
    here = (byte < length) & (place < m)
    return tl.load(x_ptr + tile * TILE + place, mask=here, other=0.0), here


@triton.jit
def _swap(x, word, r, t, n, k0, k1):
    """Apply round r of the permutation: exchange x with its partner if their bit says so."""
    zero = tl.zeros_like(t)
    offset = tl.umulhi(word, n).to(tl.uint64)
    partner = tl.where(offset >= x, offset - x, offset + n.to(tl.uint64) - x)
    larger = tl.maximum(x, partner).to(tl.uint32)
    w0, w1, w2, w3 = _philox(larger >> 7, t, zero + (1 + r), zero, k0, k1)
    s = (larger >> 5) & 3
    own = tl.where(s == 0, w0, tl.where(s == 1, w1, tl.where(s == 2, w2, w3)))
    return tl.where(((own >> (larger & 31)) & 1) == 1, partner, x)


@triton.jit
def _sigma_kernel(out_ptr, tiles, client, n, k0, k1, BLOCK: tl.constexpr):  # one lane a tile
    tile = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    t = tile.to(tl.uint32)
    zero = tl.zeros_like(t)
    k0, k1 = zero + _u32(k0), zero + _u32(k1)
    n = zero + _u32(n)
    x = (zero + _u32(client)).to(tl.uint64)
    for q in range(SIGMA_ROUNDS // 4):
        w0, w1, w2, w3 = _philox(zero + q, t, zero, zero, k0, k1)
        x = _swap(x, w0, 4 * q, t, n, k0, k1)
        x = _swap(x, w1, 4 * q + 1, t, n, k0, k1)
        x = _swap(x, w2, 4 * q + 2, t, n, k0, k1)
        x = _swap(x, w3, 4 * q + 3, t, n, k0, k1)
    tl.store(out_ptr + tile, x.to(tl.int64), mask=tile < tiles)


@triton.jit
def _encode_kernel(
    x_ptr, scale_ptr, places_ptr, out_ptr, d, n, k0, k1, s0, s1,
    CORRELATED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane, tile, byte, length, m = _lanes(d, BLOCK)
    here = (byte < length) & (m > 0)
    scale = tl.load(scale_ptr)
    R = tl.where(scale > 0, scale, 1.0).to(tl.float64)
    place = tl.zeros([BLOCK], tl.uint64)
    if CORRELATED:
        place = tl.load(places_ptr + tile, mask=here, other=0).to(tl.uint64)
    n32 = _u32(n)
    bits = tl.zeros([BLOCK], tl.uint32)
    for half in tl.static_range(2):
        block = (tile * 256 + half * 128 + byte).to(tl.uint32)
        w0, w1, w2, w3 = _stream_block(block, _u32(k0), _u32(k1))
        v0, v1, v2, v3 = w0, w1, w2, w3
        if CORRELATED:
            v0, v1, v2, v3 = _stream_block(block, _u32(s0), _u32(s1))
        a, ok = _coordinate(x_ptr, tile, byte, length, m, 4 * half)
        bits |= (_up(a, R, w0, v0, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half)
        a, ok = _coordinate(x_ptr, tile, byte, length, m, 4 * half + 1)
        bits |= (_up(a, R, w1, v1, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half + 1)
        a, ok = _coordinate(x_ptr, tile, byte, length, m, 4 * half + 2)
        bits |= (_up(a, R, w2, v2, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half + 2)
        a, ok = _coordinate(x_ptr, tile, byte, length, m, 4 * half + 3)
        bits |= (_up(a, R, w3, v3, place, n32, CORRELATED) & ok).to(tl.uint32) << (4 * half + 3)
    bits = tl.where(scale > 0, bits, 0)
    tl.store(out_ptr + lane, bits.to(tl.uint8), mask=here)


@triton.jit
def _decode_kernel(codes_ptr, scale_ptr, out_ptr, d, BLOCK: tl.constexpr):  # one lane a byte
    lane, tile, byte, length, m = _lanes(d, BLOCK)
    code = tl.load(codes_ptr + lane, mask=(byte < length) & (m > 0), other=0).to(tl.int32)
    R = tl.load(scale_ptr)
    for bit in tl.static_range(8):
        place = bit * length + byte
        value = tl.where(((code >> bit) & 1) == 1, R, -R) + 0.0
        tl.store(out_ptr + tile * TILE + place, value, mask=(byte < length) & (place < m))


@triton.jit
def _mean_kernel(
    codes_ptr, scales_ptr, out_ptr, d, n, width, EQUAL: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Add up one bit of each byte: messages in order, in float64, or counted where R is common."""
    lane, tile, byte, length, m = _lanes(d, BLOCK)
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


@triton.jit
def _fold_kernel(
    x_ptr, out_ptr, size, count, step, SQUARE: tl.constexpr, FAR: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Add up eight entries, step apart, by a tree that pairs the farthest first, or neighbours."""
    x_ptr += tl.program_id(1).to(tl.int64) * size
    out_ptr += tl.program_id(1).to(tl.int64) * count
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    first = i // step * (8 * step) + i % step
    v0 = _entry(x_ptr, first, size, here, SQUARE)
    v1 = _entry(x_ptr, first + step, size, here, SQUARE)
    v2 = _entry(x_ptr, first + 2 * step, size, here, SQUARE)
    v3 = _entry(x_ptr, first + 3 * step, size, here, SQUARE)
    v4 = _entry(x_ptr, first + 4 * step, size, here, SQUARE)
    v5 = _entry(x_ptr, first + 5 * step, size, here, SQUARE)
    v6 = _entry(x_ptr, first + 6 * step, size, here, SQUARE)
    v7 = _entry(x_ptr, first + 7 * step, size, here, SQUARE)
    if FAR:
        total = ((v0 + v4) + (v2 + v6)) + ((v1 + v5) + (v3 + v7))
    else:
        total = ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7))
    tl.store(out_ptr + i, total, mask=here)


@triton.jit
def _entry(x_ptr, i, size, here, SQUARE: tl.constexpr):
    v = tl.load(x_ptr + i, mask=here & (i < size), other=0.0).to(tl.float64)
    return v * v if SQUARE else v


# --- calls ---------------------------------------------------------------------------------------


def norm_scale(x: Tensor, p: float) -> Tensor:
    """See :func:`reference.norm_scale`; p is 2 or infinity."""
    if p == math.inf:
        norm = x.abs().amax(dim=-1).double()
    elif p == 2:
        norm = _sums_of_squares(x.reshape(-1, x.shape[-1])).sqrt().reshape(x.shape[:-1])
    else:
        raise ValueError(f"norms on a GPU are of index 2 or inf, got {p}")
    scale = norm.float()
    scale = torch.where(scale.double() < norm, torch.nextafter(scale, scale + math.inf), scale)
    # Squares of float32 do not vanish in float64.
    zero = norm == 0 if x.dtype == torch.float32 else ~(x != 0).any(dim=-1)
    return torch.where(zero, torch.zeros_like(scale), scale.clamp_min(2.0**-126))


def encode_one_bit(
    x: Tensor,
    scale: Tensor,
    *,
    key: Key,
    client: int,
    n_clients: int,
    correlated: bool,
    out: Tensor | None = None,
) -> Tensor:
    """See :func:`reference.encode_one_bit`; scale is a tensor of one float32."""
    d = x.numel()
    codes = _output(x, (-(-d // 8),), (torch.uint8,), torch.uint8, out)
    private = key.private(Stream.ROUNDING, [client])
    k0, k1 = (_signed(int(k[0])) for k in private)
    s0, s1 = (_signed(k) for k in key.shared(Stream.SHIFT))
    places = codes
    if correlated:
        places = _places(key, -(-d // 1024), client, n_clients, x.device)
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    _encode_kernel[grid](
        x.contiguous(), scale, places, codes, d, _signed(n_clients), k0, k1, s0, s1,
        CORRELATED=correlated, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip
    return codes


def decode_one_bit(codes: Tensor, scale: Tensor, *, d: int, out: Tensor | None = None) -> Tensor:
    """See :func:`reference.decode_one_bit`; scale is a tensor of one float32."""
    _check_codes(codes, d)
    values = _output(codes, (d,), (torch.float32, torch.float64), torch.float32, out)
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    _decode_kernel[grid](codes.contiguous(), scale, values, d, BLOCK=LANES, **OPTIONS)
    return values


def mean_one_bit(codes: Tensor, scales: Tensor, *, d: int, out: Tensor | None = None) -> Tensor:
    """See :func:`reference.mean_one_bit`."""
    for row in codes:
        _check_codes(row, d)
    values = _output(codes, (d,), (torch.float32, torch.float64), torch.float64, out)
    n, width = codes.shape
    equal = bool((scales == scales[0]).all())
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    _mean_kernel[grid](
        codes.contiguous(), scales, values, d, n, width, EQUAL=equal, BLOCK=LANES, **OPTIONS
    )
    return values


def joint_mean_one_bit(
    X: Tensor, scales: Tensor, *, key: Key, correlated: bool, out: Tensor | None = None
) -> Tensor:
    """See :func:`reference.joint_mean_one_bit`; each client's codes are packed on the way."""
    n, d = X.shape[-2:]
    kinds = (torch.float32, torch.float64)
    values = _output(X, (*X.shape[:-2], d), kinds, torch.float64, out)
    batch = zip(X.reshape(-1, n, d), scales.reshape(-1, n), values.view(-1, d), strict=True)
    codes = torch.empty((n, -(-d // 8)), dtype=torch.uint8, device=X.device)
    for rows, norms, mean in batch:
        for i in range(n):
            encode_one_bit(
                rows[i],
                norms[i],
                key=key,
                client=i,
                n_clients=n,
                correlated=correlated,
                out=codes[i],
            )
        mean_one_bit(codes, norms, d=d, out=mean)
    return values


def _sums_of_squares(x: Tensor) -> Tensor:
    """Return the sums of rows in the order of ``norms.tree_sum``, float64 of shape (rows,)."""
    values = _fold(x.contiguous(), ROW, square=True)
    while values.shape[1] > ROW:
        values = _fold(values, ROW)
    return _fold(_fold(values, 8, far=True), 1, far=True)[:, 0]


def _fold(values: Tensor, step: int, *, square: bool = False, far: bool = False) -> Tensor:
    rows, size = values.shape
    count = step * max(1, triton.cdiv(size, 8 * step))
    out = torch.empty((rows, count), dtype=torch.float64, device=values.device)
    block = min(256, triton.next_power_of_2(count))
    _fold_kernel[(triton.cdiv(count, block), rows)](
        values, out, size, count, step, SQUARE=square, FAR=far, BLOCK=block, **OPTIONS
    )
    return out


def _check_codes(codes: Tensor, d: int) -> None:
    """Refuse codes of another size than d bits take, and padding bits that are set."""
    check_length(codes, -(-d // 8))
    if d % 8:
        start = d // 1024 * 128
        check_padding(codes[start:].cpu().numpy(), d % 1024)


def _places(key: Key, tiles: int, client: int, n_clients: int, device: Any) -> Tensor:
    k0, k1 = (_signed(k) for k in key.shared(Stream.SIGMA))
    out = torch.empty(tiles, dtype=torch.int64, device=device)
    block = 128
    _sigma_kernel[(triton.cdiv(tiles, block),)](
        out, tiles, _signed(client), _signed(n_clients), k0, k1, BLOCK=block, **OPTIONS
    )
    return out


def _signed(word: int) -> int:
    """Return a 32-bit word as a signed integer: Triton would pass a large one in 64 bits."""
    return word - (1 << 32) if word >= 1 << 31 else word


def _output(
    like: Tensor, shape: tuple[int, ...], kinds: Any, default: torch.dtype, out: Tensor | None
) -> Tensor:
    if out is None:
        return torch.empty(shape, dtype=default, device=like.device)
    if out.shape != shape or out.dtype not in kinds or not out.is_contiguous():
        raise ValueError(
            f"out must be a contiguous tensor of shape {shape} and one of {kinds}, "
            f"got {out.dtype} of shape {tuple(out.shape)}"
        )
    return out
