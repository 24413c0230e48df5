"""DRIVE: packing the signs of a randomly rotated vector, and decoding them.

A vector of D = 2^m coordinates is transformed block by block. If there is more than one block, the
remaining stages are done for a few columns of all blocks at a time. Coordinates are multiplied by
the random signs when they are loaded for encoding and when they are stored after decoding. Encoding
packs bits and adds absolute values while the columns are still in the cache. Decoding transforms
integers, which is exact.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cqlib.kernels.cpu.compiled.butterflies import (
    BLOCK,
    COLUMNS,
    NEAR,
    copy_columns,
    lower_stages,
    transform_block,
    upper_stages,
)
from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.cpu.compiled.words import TILE_BYTES, ZERO, philox, private_keys, u64
from cqlib.kernels.reference.hadamard import CHUNK, SIGNED
from cqlib.kernels.reference.packing import TILE

STEPS = float(1 << 30)  # the sum of absolute values is in steps of 2^-30
WHOLE = float(1 << 52)  # the lowest bits of v + WHOLE in float64 are v rounded to an integer
WHOLE_BITS = np.float64(WHOLE).view(np.int64)


@compiled
def sign_words(k0, k1, out, blocks=SIGNED // 4):
    """Fill out, uint32 of shape (chunks, SIGNED), with the words of ``hadamard``.

    Only the first ``blocks`` Philox blocks of each chunk are computed.
    """
    quarter = SIGNED // 4
    for c in range(out.shape[0]):
        words = out[c]
        part0, part1 = words[:quarter], words[quarter : 2 * quarter]
        part2, part3 = words[2 * quarter : 3 * quarter], words[3 * quarter :]
        for l in range(blocks):
            w0, w1, w2, w3 = philox(u64(quarter * c + l), ZERO, ZERO, ZERO, k0, k1)
            part0[l] = np.uint32(w0)
            part1[l] = np.uint32(w1)
            part2[l] = np.uint32(w2)
            part3[l] = np.uint32(w3)


@compiled
def row_signs(k0, k1, out):
    """Fill out, float32 of shape (rows, D), with random signs, one stream per row."""
    D = out.shape[1]
    words = np.empty(((D + CHUNK - 1) // CHUNK, SIGNED), np.uint32)
    for r in range(out.shape[0]):
        sign_words(k0[r], k1[r], words, min(D, SIGNED // 4))
        for c in range(words.shape[0]):
            for place in range(min(CHUNK // SIGNED, (D - c * CHUNK + SIGNED - 1) // SIGNED)):
                start = c * CHUNK + place * SIGNED
                part, word = out[r, start : min(start + SIGNED, D)], words[c]
                for l in range(part.size):
                    part[l] = np.float32(1.0) - np.float32(2 * ((word[l] >> place) & 1))


@intrinsic
def _flipped(typing_context, value, word, left):
    """Return value, float32, negated if bit 31 - left of word, uint32, is set."""

    def code(context, builder, signature, arguments):
        number, bits, distance = arguments
        i32 = ir.IntType(32)
        moved = builder.shl(bits, builder.trunc(distance, i32))
        sign = builder.and_(moved, ir.Constant(i32, 1 << 31))
        return builder.bitcast(builder.xor(builder.bitcast(number, i32), sign), ir.FloatType())

    return types.float32(types.float32, types.uint32, types.int64), code


@inlined
def _load(x, unit, words, j, count, out):
    """Fill out with ``count`` coordinates from j on, times their signs and a power of two.

    Their signs lie in the same bit of neighbouring words.
    """
    m = max(min(x.size - j, count), 0)
    xs, left = x[min(j, x.size) :], 31 - j % CHUNK // SIGNED
    word = words[j // CHUNK, j % SIGNED :]
    if m == COLUMNS:  # a constant length, for the compiler
        for l in range(COLUMNS):
            out[l] = _flipped(np.float32(xs[l] * unit), word[l], left)
    else:
        for l in range(m):
            out[l] = _flipped(np.float32(xs[l] * unit), word[l], left)
        rest = out[m:count]
        for l in range(rest.size):
            rest[l] = 0.0


@compiled
def rotate_blocks(x, unit, words, first, last, y):
    """Fill blocks first .. last - 1 of y, shape (D,), with x times its signs; transform them."""
    size = min(y.size, BLOCK)
    near = min(size, NEAR)
    for start in range(first * size, last * size, size):
        for base in range(start, start + size, near):
            for j in range(base, base + near, COLUMNS):
                _load(x, unit, words, j, min(COLUMNS, near), y[j:])
            lower_stages(y, base, near)
        upper_stages(y, start, size, near)


@inlined
def _norm1(z):
    """Return |z|_1 in steps plus z.size * WHOLE_BITS, which the caller subtracts."""
    total = np.int64(0)
    for l in range(z.size):
        total += np.float64(np.float64(abs(z[l])) * STEPS + WHOLE).view(np.int64)
    return total


@inlined
def _set_bit(z, k, codes):
    """Set bit k of byte l if z[l] >= 0, for every l; the call for bit 0 clears the other bits."""
    if k == 0:
        for l in range(z.size):
            codes[l] = np.uint8(z[l] >= 0)
    else:
        for l in range(z.size):
            codes[l] |= np.uint8(np.uint8(z[l] >= 0) << k)


@compiled
def sign_tiles(y, first, last, codes):
    """Do the upper stages of tiles first .. last - 1 of every block of y, and pack the signs.

    Return the sum of absolute values in steps; y does not change.
    """
    rows = y.size // BLOCK
    columns = np.empty(rows * COLUMNS, np.float32)
    total = np.int64(0)
    for tile in range(first, last):
        for c in range(0, TILE, COLUMNS):
            copy_columns(y[tile * TILE + c :], columns, BLOCK, COLUMNS, rows)
            upper_stages(columns, 0, columns.size, COLUMNS)
            for r in range(rows):
                z = columns[r * COLUMNS : (r + 1) * COLUMNS]
                total += _norm1(z)
                byte = codes[(r * BLOCK // TILE + tile) * TILE_BYTES :]
                for k in range(0, COLUMNS // TILE_BYTES):
                    part = z[k * TILE_BYTES : (k + 1) * TILE_BYTES]
                    _set_bit(part, c // TILE_BYTES + k, byte)
    return total - (last - first) * rows * TILE * WHOLE_BITS


@compiled
def sign_small(y, codes):
    """Pack the signs of one transformed block; return the sum of absolute values in steps."""
    tile = min(y.size, TILE)
    length = (tile + 7) // 8
    for t in range(0, y.size, tile):
        for k in range(tile // length):
            _set_bit(y[t + k * length : t + (k + 1) * length], k, codes[t // 8 :])
    return _norm1(y) - y.size * WHOLE_BITS


@compiled
def unpack_blocks(codes, first, last, h):
    """Unpack blocks first .. last - 1 to 1 or -1 in h, int32 of shape (D,), and transform."""
    size = min(h.size, BLOCK)
    tile = min(size, TILE)
    length = (tile + 7) // 8
    for block in range(first, last):
        for t in range(block * size, (block + 1) * size, tile):
            byte = codes[t // 8 : t // 8 + length]
            for k in range(tile // length):
                part = h[t + k * length : t + (k + 1) * length]
                for l in range(length):
                    part[l] = 2 * np.int32((byte[l] >> k) & 1) - 1
        transform_block(h, block * size, size)


@inlined
def _store(h, factor, words, j, count, out):
    """Store ``count`` coordinates from j on: signs times factor times h."""
    m = max(min(out.size - j, count), 0)
    part, left = out[min(j, out.size) :], 31 - j % CHUNK // SIGNED
    word, zero = words[j // CHUNK, j % SIGNED :], np.float32(0.0)  # no -0
    if m == COLUMNS:
        for l in range(COLUMNS):
            part[l] = _flipped(np.float32(np.float64(h[l]) * factor), word[l], left) + zero
    else:
        for l in range(m):
            part[l] = _flipped(np.float32(np.float64(h[l]) * factor), word[l], left) + zero


@compiled
def read_columns(h, factor, words, first, last, out):
    """Do the upper stages of columns first .. last - 1 of h, and fill these columns of out.

    h and out may share memory.
    """
    rows = h.size // BLOCK
    columns = np.empty(rows * COLUMNS, np.int32)
    for c in range(first * COLUMNS, last * COLUMNS, COLUMNS):
        for r in range(rows):
            here, there = columns[r * COLUMNS :], h[r * BLOCK + c :]
            for l in range(COLUMNS):
                here[l] = there[l]
        upper_stages(columns, 0, columns.size, COLUMNS)
        for r in range(rows):
            _store(columns[r * COLUMNS :], factor, words, r * BLOCK + c, COLUMNS, out)


@compiled
def read_small(h, factor, words, out):
    """Fill out from h of at most one block, shape (D,), already transformed."""
    for j in range(0, h.size, SIGNED):
        _store(h[j:], factor, words, j, min(SIGNED, h.size - j), out)


@compiled
def norm1_rows(y, steps):
    """Fill steps, int64, with the 1-norms of the rows of y, in steps."""
    for r in range(y.shape[0]):
        steps[r] = _norm1(y[r]) - y.shape[1] * WHOLE_BITS


@compiled
def signed_rows(bits, h):
    """Fill h, int32 of the shape of bits, with 1 or -1 by the bits."""
    for r in range(h.shape[0]):
        bit, row = bits[r], h[r]
        for j in range(row.size):
            row[j] = 2 * np.int32(bit[j]) - 1


@compiled
def read_rows(h, factor, signs, out):
    """Fill out with transformed rows h times factors times signs.

    Row r uses row r mod c of the signs, of which there are c.
    """
    clients, zero = signs.shape[0], np.float32(0.0)  # no -0
    for r in range(h.shape[0]):
        row, sign, part, f = h[r], signs[r % clients], out[r], factor[r]
        for j in range(part.size):
            part[j] = np.float32(np.float64(row[j]) * f) * sign[j] + zero


# --- all clients together ------------------------------------------------------------------------


@compiled
def keys_of_round(words, stream, ids, own):
    """Fill own, shape (2, keys, n), with the keys of the clients' streams.

    words has shape (keys, 4): rounds and seeds, low word first.
    """
    for k in range(words.shape[0]):
        r0, r1, s0, s1 = words[k]
        private_keys(r0, r1, stream, s0, s1, ids, own[0, k], own[1, k])


@compiled
def simulate(x, squares, units, ends, own, D, unbiased, means, scales):
    """Fill means, shape (b, d), and scales, (b, n), from x of shape (b, n, d), D <= BLOCK.

    squares and units, both (b, n), hold the sums of squares and powers of two near one over their
    roots. Members up to ends[0] have the first key, those up to ends[1] the second, and so on. Sums
    run over the clients in order, in float64, and are divided last.
    """
    batch, clients, d = x.shape
    means[:] = 0.0
    sign = np.empty((1, D), np.float32)
    y, h, root = np.empty(D, np.float32), np.empty(D, np.int32), np.sqrt(np.float64(D))
    start = 0
    for k in range(ends.size):
        for i in range(clients):
            row_signs(own[0, k, i : i + 1], own[1, k, i : i + 1], sign)
            for b in range(start, ends[k]):
                unit, square = units[b, i], squares[b, i]
                _rotate(x[b, i], unit, sign[0], y)
                length = np.float64(_norm1(y) - D * WHOLE_BITS) * 2.0**-30
                S = 0.0
                if length > 0 and unbiased:
                    S = square * unit * unit * root / length / unit
                elif length > 0:
                    S = length / (D * root) / unit
                scales[b, i] = np.float32(S)
                if scales[b, i] > 0:
                    _add_back(y, np.float64(scales[b, i]) / root, sign[0], h, means[b])
        start = ends[k]
    for b in range(batch):
        for j in range(d):
            means[b, j] /= clients


@inlined
def _rotate(x, unit, sign, y):
    """Fill y with x times a power of two and its signs, padded with zeros and transformed."""
    for j in range(x.size):
        y[j] = np.float32(np.float64(x[j]) * unit) * sign[j]
    y[x.size :] = 0.0
    transform_block(y, 0, y.size)


@inlined
def _add_back(y, factor, sign, h, total):
    """Add the decoded signs of y to total; h is scratch."""
    for j in range(y.size):
        h[j] = 1 if y[j] >= 0 else -1
    transform_block(h, 0, h.size)
    for j in range(total.size):
        total[j] += np.float32(np.float64(h[j]) * factor) * sign[j] + np.float32(0.0)
