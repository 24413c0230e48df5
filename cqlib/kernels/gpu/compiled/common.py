"""The common part of the Triton functions: Philox, and the coordinates of a lane.

A lane computes one byte of the codes, from two Philox blocks and eight coordinates. So bits are
packed by shift and or, and neighbouring lanes load neighbouring coordinates.
"""

from __future__ import annotations

import triton
import triton.language as tl

TILE: tl.constexpr = tl.constexpr(1024)
TILE_BYTES: tl.constexpr = tl.constexpr(128)
M0: tl.constexpr = tl.constexpr(0xD2511F53)
M1: tl.constexpr = tl.constexpr(0xCD9E8D57)
W0: tl.constexpr = tl.constexpr(0x9E3779B9)
W1: tl.constexpr = tl.constexpr(0xBB67AE85)


@triton.jit
def u32(word):
    """Return a word that the caller passed as a signed integer; see ``launch.signed``."""
    return word.to(tl.uint32, bitcast=True)


@triton.jit
def philox(c0, c1, c2, c3, k0, k1):
    """Return the four words of a Philox block."""
    for _ in tl.static_range(10):
        high0, low0 = tl.umulhi(c0, M0), c0 * M0
        high1, low1 = tl.umulhi(c2, M1), c2 * M1
        c0, c1 = high1 ^ c1 ^ k0, low1
        c2, c3 = high0 ^ c3 ^ k1, low0
        k0 += W0
        k1 += W1
    return c0, c1, c2, c3


@triton.jit
def stream_block(c, k0, k1):
    """Return block c of a stream."""
    zero = tl.zeros_like(c)
    return philox(c, zero, zero, zero, zero + k0, zero + k1)


@triton.jit
def lanes(d, BLOCK: tl.constexpr):
    """Return each lane's number, tile, byte in the tile, bytes of the tile and its coordinates."""
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tile = lane // TILE_BYTES
    byte = lane % TILE_BYTES
    m = tl.minimum(d - tile * TILE, TILE)
    return lane, tile, byte, (m + 7) // 8, m


@triton.jit
def coordinate(x_ptr, tile, byte, length, m, bit):
    """Load each lane's coordinate for one bit, 0 past the end, and return it with the mask."""
    place = bit * length + byte
    here = (byte < length) & (place < m)
    return tl.load(x_ptr + tile * TILE + place, mask=here, other=0.0), here
