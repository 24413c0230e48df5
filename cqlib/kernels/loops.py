"""The compiled loops of the CPU kernels: Numba, one vector register of 64-bit lanes at a time.

Nothing here allocates more than a few tiles, and nothing is summed in another order than
``reference`` does it, so that the bits are the same. Philox runs in 64-bit lanes, where the product
of two 32-bit words is one instruction, over the bytes of a bit-transposed tile: neighbouring lanes
are neighbouring coordinates, so that loads are contiguous and bits are packed by shift and or.

Words, keys and numbers of clients are uint64 throughout; Numba would turn uint64 with int64 into
a float.
"""

from __future__ import annotations

import numpy as np
from numba import guvectorize, njit, types
from numba.extending import intrinsic, overload

from cqlib.kernels.norms import ROW
from cqlib.kernels.packing import TILE
from cqlib.kernels.ranks import SIGMA_ROUNDS
from cqlib.kernels.rounding import GRID_BITS
from cqlib.philox import MASK32, MULTIPLIERS, WEYL

# Without the NumPy error model every division would test for zero, and no loop would vectorise.
compiled = njit(cache=True, nogil=True, error_model="numpy")
inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)

u8, u64 = np.uint8, np.uint64
M0, M1 = u64(MULTIPLIERS[0]), u64(MULTIPLIERS[1])
W0, W1 = u64(WEYL[0]), u64(WEYL[1])
LOW = u64(MASK32)
ZERO, ONE, TWO, FOUR, FIVE, SEVEN, THIRTY_ONE, WORD = (u64(i) for i in (0, 1, 2, 4, 5, 7, 31, 32))
HIGH = LOW << WORD
TILE_BYTES = TILE // 8
HALF = 1 << GRID_BITS
MAGIC = float((1 << 52) + HALF)


# --- Philox --------------------------------------------------------------------------------------


@inlined
def _round(c0, c1, c2, c3, k0, k1):
    p0, p1 = c0 * M0, c2 * M1
    c0, c1 = (p1 >> WORD) ^ c1 ^ k0, p1 & LOW
    c2, c3 = (p0 >> WORD) ^ c3 ^ k1, p0 & LOW
    return c0, c1, c2, c3, (k0 + W0) & LOW, (k1 + W1) & LOW


@inlined
def _five_rounds(c0, c1, c2, c3, k0, k1):
    # Written out, because a loop would stop vectorisation.
    return _round(*_round(*_round(*_round(*_round(c0, c1, c2, c3, k0, k1)))))


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Return the four words of a block."""
    c0, c1, c2, c3, k0, k1 = _five_rounds(*_five_rounds(c0, c1, c2, c3, k0, k1))
    return c0, c1, c2, c3


@inlined
def half_tile_words(tile, half, length, k0, k1, w):
    """Fill w, shape (4, >= length), with the words of bits 4 half .. 4 half + 3 of a tile."""
    block = u64(256 * tile + 128 * half)
    for l in range(length):
        w0, w1, w2, w3 = philox((block + u64(l)) & LOW, ZERO, ZERO, ZERO, k0, k1)
        w[0, l] = w0
        w[1, l] = w1
        w[2, l] = w2
        w[3, l] = w3


@compiled
def stream_words(k0, k1, out):
    """Fill out, int64 of shape (rows, d), with the words of the coordinates; one stream a row."""
    rows, d = out.shape
    w = np.empty((4, TILE_BYTES), np.uint64)
    for i in range(rows):
        for tile in range((d + TILE - 1) // TILE):
            start = tile * TILE
            m = min(TILE, d - start)
            length = (m + 7) // 8
            for half in range(2):
                half_tile_words(tile, half, length, k0[i], k1[i], w)
                for k in range(4):
                    first = min((4 * half + k) * length, m)
                    last = min(first + length, m)
                    for l in range(last - first):
                        out[i, start + first + l] = np.int64(w[k, l])


# --- sigma: a permutation of the clients per tile ------------------------------------------------


@compiled
def sigma_of_one(k0, k1, client, n, out):
    """Fill out, uint64 of shape (tiles,), with the place of one client; lanes are tiles."""
    x = np.empty(TILE_BYTES, np.uint64)
    offsets = np.empty((4, TILE_BYTES), np.uint64)
    for first in range(0, out.size, TILE_BYTES):
        length = min(TILE_BYTES, out.size - first)
        x[:] = client
        for r in range(SIGMA_ROUNDS):
            if r % 4 == 0:
                for l in range(length):
                    w0, w1, w2, w3 = philox(u64(r // 4), u64(first + l), ZERO, ZERO, k0, k1)
                    offsets[0, l] = (w0 * n) >> WORD
                    offsets[1, l] = (w1 * n) >> WORD
                    offsets[2, l] = (w2 * n) >> WORD
                    offsets[3, l] = (w3 * n) >> WORD
            offset = offsets[r % 4]
            for l in range(length):
                own = x[l]
                partner = offset[l] - own if offset[l] >= own else offset[l] + n - own
                larger = max(own, partner)
                w0, w1, w2, w3 = philox(larger >> SEVEN, u64(first + l), u64(1 + r), ZERO, k0, k1)
                low = w1 if larger & WORD else w0
                high = w3 if larger & WORD else w2
                word = high if larger & u64(64) else low
                x[l] = partner if (word >> (larger & THIRTY_ONE)) & ONE else own
        for l in range(length):
            out[first + l] = x[l]


@compiled
def sigma_of_many(k0, k1, clients, n, out):
    """Fill out, uint64 of shape (tiles, c), with the places of many clients; lanes are clients."""
    blocks = (np.int64(n) + 127) // 128
    offsets = np.empty(SIGMA_ROUNDS, np.uint64)
    table = np.empty(4 * blocks, np.uint64)
    for t in range(out.shape[0]):
        tile = u64(t)
        for q in range(SIGMA_ROUNDS // 4):
            w0, w1, w2, w3 = philox(u64(q), tile, ZERO, ZERO, k0, k1)
            offsets[4 * q] = (w0 * n) >> WORD
            offsets[4 * q + 1] = (w1 * n) >> WORD
            offsets[4 * q + 2] = (w2 * n) >> WORD
            offsets[4 * q + 3] = (w3 * n) >> WORD
        x = out[t]
        for i in range(clients.size):
            x[i] = clients[i]
        for r in range(SIGMA_ROUNDS):
            for b in range(blocks):
                w0, w1, w2, w3 = philox(u64(b), tile, u64(1 + r), ZERO, k0, k1)
                table[4 * b] = w0
                table[4 * b + 1] = w1
                table[4 * b + 2] = w2
                table[4 * b + 3] = w3
            offset = offsets[r]
            for i in range(clients.size):
                own = x[i]
                partner = offset - own if offset >= own else offset + n - own
                larger = max(own, partner)
                word = table[np.int64(larger >> FIVE)]
                x[i] = partner if (word >> (larger & THIRTY_ONE)) & ONE else own


# --- sums in the order of norms.tree_sum ---------------------------------------------------------


@inlined
def _square(v):
    return np.float64(v) * np.float64(v)


@inlined
def _four_rows(x, out):
    """Fill out, shape (ROW,), with the tree over the squares of the 4 rows of x."""
    x0, x1, x2, x3 = x[:ROW], x[ROW : 2 * ROW], x[2 * ROW : 3 * ROW], x[3 * ROW : 4 * ROW]
    for l in range(ROW):
        out[l] = (_square(x0[l]) + _square(x1[l])) + (_square(x2[l]) + _square(x3[l]))


@inlined
def _sixteen_rows(x, four, out):
    """As for four rows, for 16 rows; four is scratch, four arrays like out."""
    f0, f1, f2, f3 = four
    _four_rows(x, f0)
    _four_rows(x[4 * ROW :], f1)
    _four_rows(x[8 * ROW :], f2)
    _four_rows(x[12 * ROW :], f3)
    for l in range(ROW):
        out[l] = (f0[l] + f1[l]) + (f2[l] + f3[l])


@compiled
def sums_of_squares(x, out):
    """Fill out, float64 of shape (rows,), with sums of squares of x of shape (rows, d).

    The tree over the rows of 64 entries is walked with one partial sum a level, by fours, since
    more of them, or longer ones, outrun the prefetcher; those past the end are zeros, which change
    nothing.
    """
    d = x.shape[1]
    group = 16 * ROW
    groups = (d + group - 1) // group
    depth = 0
    while (1 << depth) < groups:
        depth += 1
    partial, node = np.empty((depth + 1, ROW)), np.empty(ROW)
    four, rest = (
        (np.empty(ROW), np.empty(ROW), np.empty(ROW), np.empty(ROW)),
        np.zeros(group, x.dtype),
    )
    for i in range(x.shape[0]):
        xi = x[i]
        for p in range(groups):
            xs = xi[p * group :]
            if xs.size >= group:
                _sixteen_rows(xs, four, node)
            else:
                for j in range(xs.size):
                    rest[j] = xs[j]
                _sixteen_rows(rest, four, node)
            level, here, end = 0, p, groups
            while here & 1 or (here == end - 1 and here > 0):  # the second of a pair, or the last
                if here & 1:
                    lower = partial[level]
                    for l in range(ROW):
                        node[l] = lower[l] + node[l]
                level, here, end = level + 1, here >> 1, (end + 1) >> 1
            kept = partial[level]
            for l in range(ROW):
                kept[l] = node[l]
        half = ROW // 2
        while half:
            upper = node[half : 2 * half]
            for l in range(half):
                node[l] += upper[l]
            half //= 2
        out[i] = node[0]


# --- one bit a coordinate: IQ and CQ -------------------------------------------------------------
#
# The decisions of ``reference``, rearranged for few instructions. With s = R 2^-30, a power of two
# away from R, x / s is x 2^30 / R to the last bit.
#
# IQ goes up if word div 2 < floor(x / s) + 2^30, that is if m <= x / s for the integer
# m = word div 2 + 1 - 2^30. The quotient of two float32 is never rounded up to m: it is off m by
# more than half a unit in the last place, or is m. So m s - x <= 0 says the same; its sign is exact
# in a fused multiply-add.
#
# CQ goes up if rank 2^32 + word < 2 n g, for 2 n g is even; the rank stands in the upper half of
# word n + place 2^32, reduced by one subtraction that wraps around where there is none to make.


@intrinsic
def _fma(typing_context, a, b, c):
    """Return a b + c, rounded once."""
    f64 = types.float64

    def code(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return f64(f64, f64, f64), code


def _iq_up(x, step, word):
    """Whether IQ goes up; for the compiler only."""
    raise NotImplementedError


@overload(_iq_up, jit_options={"forceinline": True, "error_model": "numpy"})
def _iq_up_of(x, step, word):
    if x == types.float32:

        def up(x, step, word):
            m = np.float64(np.int64((word >> ONE) + ONE) - HALF)
            return _fma(m, step, -np.float64(x)) <= 0.0  # type: ignore[call-arg]  # the context is Numba's
    else:

        def up(x, step, word):
            m = np.float64(np.int64((word >> ONE) + ONE) - HALF)
            return m <= x / step

    return up


@inlined
def _cq_threshold(word, shared_word, place, n):
    """Return rank 2^32 + word; place is the client's, shifted up by 32 bits; n < 2^31."""
    rank = (shared_word & LOW) * (n & LOW) + place
    rank = min(rank, rank - (n << WORD))
    return rank & HIGH | word & LOW


@inlined
def _cq_up(x, step, threshold, n):
    """Whether CQ goes up."""
    # The sum is an integer below 2^53, and its lowest 32 bits are g: no conversion is needed.
    g = np.float64(np.floor(np.float64(x) / step) + MAGIC).view(np.uint64)
    return threshold < (g & LOW) * ((n + n) & LOW)


@inlined
def _store(half, byte, bits, codes):
    """Keep the bits of the first half, or add those of the second."""
    if half == 0:
        codes[byte] = np.uint8(bits)
    else:
        codes[byte] |= np.uint8(bits << FOUR)


@inlined
def _iq_tile(x, step, k0, k1, tile, length, w, codes):
    """Round and pack 8 length coordinates."""
    for half in range(2):
        half_tile_words(tile, half, length, k0, k1, w)
        xh = x[4 * half * length :]
        x0, x1, x2, x3 = xh[:length], xh[length:], xh[2 * length :], xh[3 * length :]
        for l in range(length):
            low = u64(_iq_up(x0[l], step, w[0, l])) | u64(_iq_up(x1[l], step, w[1, l])) << ONE
            high = u64(_iq_up(x2[l], step, w[2, l])) | u64(_iq_up(x3[l], step, w[3, l])) << ONE
            _store(half, l, low | high << TWO, codes)


@inlined
def _cq_tile(x, step, k0, k1, s0, s1, place, n, tile, length, codes):
    """Round and pack 8 length coordinates; two words a coordinate are best kept in registers."""
    for half in range(2):
        xh = x[4 * half * length :]
        x0, x1, x2, x3 = xh[:length], xh[length:], xh[2 * length :], xh[3 * length :]
        block = u64(256 * tile + 128 * half)
        for l in range(length):
            c = (block + u64(l)) & LOW
            w0, w1, w2, w3 = philox(c, ZERO, ZERO, ZERO, k0, k1)
            v0, v1, v2, v3 = philox(c, ZERO, ZERO, ZERO, s0, s1)
            low = u64(_cq_up(x0[l], step, _cq_threshold(w0, v0, place, n), n))
            low |= u64(_cq_up(x1[l], step, _cq_threshold(w1, v1, place, n), n)) << ONE
            high = u64(_cq_up(x2[l], step, _cq_threshold(w2, v2, place, n), n))
            high |= u64(_cq_up(x3[l], step, _cq_threshold(w3, v3, place, n), n)) << ONE
            _store(half, l, low | high << TWO, codes)


@inlined
def _load_tile(x, start, m, length, tile):
    """Copy m coordinates, and zeros to fill the bytes; read in order, memory is twice as fast."""
    xt, padding = x[start : start + m], tile[m : 8 * length]
    for j in range(m):  # no offset in the index, or Numba would test it for being negative
        tile[j] = xt[j]
    for j in range(padding.size):
        padding[j] = 0.0


@inlined
def _clear_padding(m, length, codes):
    """Clear the bits of a tile that no coordinate has."""
    for j in range(m, 8 * length):
        codes[j % length] &= np.uint8(~(1 << (j // length)))


@compiled
def iq_encode(x, step, k0, k1, first, last, out):
    """Round tiles first .. last - 1 of x of shape (d,) and pack the bits into out."""
    w = np.empty((4, TILE_BYTES), np.uint64)
    tile = np.empty(TILE, x.dtype)
    full = min(last, x.size // TILE)
    for t in range(first, full):
        _load_tile(x, t * TILE, TILE, TILE_BYTES, tile)
        _iq_tile(tile, step, k0, k1, t, TILE_BYTES, w, out[t * TILE_BYTES :])
    if full < last:
        m, codes = x.size - full * TILE, out[full * TILE_BYTES :]
        _load_tile(x, full * TILE, m, codes.size, tile)
        _iq_tile(tile, step, k0, k1, full, codes.size, w, codes)
        _clear_padding(m, codes.size, codes)


@compiled
def cq_encode(x, step, k0, k1, s0, s1, places, n, first, last, out):
    """As iq_encode, with the shared stream s0, s1 and the client's place in each tile."""
    tile = np.empty(TILE, x.dtype)
    full = min(last, x.size // TILE)
    for t in range(first, full):
        _load_tile(x, t * TILE, TILE, TILE_BYTES, tile)
        place, codes = places[t] << WORD, out[t * TILE_BYTES :]
        _cq_tile(tile, step, k0, k1, s0, s1, place, n, t, TILE_BYTES, codes)
    if full < last:
        m, codes = x.size - full * TILE, out[full * TILE_BYTES :]
        place = places[full] << WORD
        _load_tile(x, full * TILE, m, codes.size, tile)
        _cq_tile(tile, step, k0, k1, s0, s1, place, n, full, codes.size, codes)
        _clear_padding(m, codes.size, codes)


# --- reading one bit a coordinate ----------------------------------------------------------------


@compiled
def one_bit_decode(codes, R, first, last, out):
    """Fill tiles first .. last - 1 of out, shape (d,), with R where the bit is set, else -R."""
    for t in range(first, last):
        m = min(TILE, out.size - t * TILE)
        length = (m + 7) // 8
        byte = codes[t * TILE_BYTES : t * TILE_BYTES + length]
        for k in range(8):
            part = out[t * TILE + min(k * length, m) : t * TILE + min((k + 1) * length, m)]
            for l in range(part.size):
                part[l] = R if (byte[l] >> k) & 1 else -R


@inlined
def _count_tile(codes, t, length, count, total):
    """Count the set bits of a tile, in bytes for 255 messages at most; total has 8 length."""
    n = codes.shape[0]
    for j in range(8 * length):
        total[j] = 0.0
    for some in range(0, n, 255):
        for j in range(8 * length):
            count[j] = u8(0)
        for i in range(some, min(some + 255, n)):
            byte = codes[i, t * TILE_BYTES : t * TILE_BYTES + length]
            c0, c1, c2 = count[:length], count[length:], count[2 * length :]
            c3, c4, c5 = count[3 * length :], count[4 * length :], count[5 * length :]
            c6, c7 = count[6 * length :], count[7 * length :]
            for l in range(length):
                b = byte[l]
                c0[l] += b & u8(1)
                c1[l] += (b >> u8(1)) & u8(1)
                c2[l] += (b >> u8(2)) & u8(1)
                c3[l] += (b >> u8(3)) & u8(1)
                c4[l] += (b >> u8(4)) & u8(1)
                c5[l] += (b >> u8(5)) & u8(1)
                c6[l] += (b >> u8(6)) & u8(1)
                c7[l] += (b >> u8(7)) & u8(1)
        for j in range(8 * length):
            total[j] += np.float64(count[j])


@inlined
def _add_tile(codes, scales, t, length, total):
    """Add up a tile, two messages at a time, so that half as much is loaded and stored."""
    n = codes.shape[0]
    for j in range(8 * length):
        total[j] = 0.0
    for i in range(0, n - 1, 2):
        even = codes[i, t * TILE_BYTES : t * TILE_BYTES + length]
        odd = codes[i + 1, t * TILE_BYTES : t * TILE_BYTES + length]
        R, S = np.float64(scales[i]), np.float64(scales[i + 1])
        for k in range(8):
            part, bit = total[k * length : (k + 1) * length], ONE << u64(k)
            for l in range(length):
                one = part[l] + (R if u64(even[l]) & bit else -R)
                part[l] = one + (S if u64(odd[l]) & bit else -S)
    if n % 2:
        alone = codes[n - 1, t * TILE_BYTES : t * TILE_BYTES + length]
        R = np.float64(scales[n - 1])
        for k in range(8):
            part, bit = total[k * length : (k + 1) * length], ONE << u64(k)
            for l in range(length):
                part[l] += R if u64(alone[l]) & bit else -R


@compiled
def one_bit_mean_of_equal(codes, R, first, last, out):
    """Fill out, shape (d,), with the mean of n messages that share their range.

    Set bits are counted. What is then computed is what adding up in float64 gives, for multiples
    of R below 2^29 R are exact.
    """
    n = np.float64(codes.shape[0])
    count, total = np.empty(TILE, np.uint8), np.empty(TILE, np.float64)
    full = min(last, out.size // TILE)
    for t in range(first, full):
        _count_tile(codes, t, TILE_BYTES, count, total)
        part = out[t * TILE : (t + 1) * TILE]
        for j in range(TILE):
            part[j] = (2.0 * total[j] - n) * R / n
    if full < last:
        part = out[full * TILE :]
        _count_tile(codes, full, (part.size + 7) // 8, count, total)
        for j in range(part.size):
            part[j] = (2.0 * total[j] - n) * R / n


@compiled
def one_bit_mean(codes, scales, first, last, out):
    """Fill out, shape (d,), with the mean of n messages, added up in their order in float64."""
    n = np.float64(codes.shape[0])
    total = np.empty(TILE, np.float64)
    full = min(last, out.size // TILE)
    for t in range(first, full):
        _add_tile(codes, scales, t, TILE_BYTES, total)
        part = out[t * TILE : (t + 1) * TILE]
        for j in range(TILE):
            part[j] = total[j] / n
    if full < last:
        part = out[full * TILE :]
        _add_tile(codes, scales, full, (part.size + 7) // 8, total)
        for j in range(part.size):
            part[j] = total[j] / n


# --- all clients at once -------------------------------------------------------------------------


@inlined
def _tile_words(t, length, k0, k1, w):
    """Fill w, shape (1024,), with the words of a tile in the order of its coordinates."""
    half_tile_words(t, 0, length, k0, k1, w[: 4 * length].reshape((4, length)))
    half_tile_words(t, 1, length, k0, k1, w[4 * length : 8 * length].reshape((4, length)))


@compiled
def one_bit_joint_mean(x, scales, k0, k1, correlated, s0, s1, places, n, first, last, out):
    """Fill out, shape (b, d), with the mean of all clients' rounded vectors.

    x has shape (b, n, d), scales (b, n), places (tiles, n); a batch shares its randomness. Sums run
    over the clients in order, in float64, and are divided last.
    """
    batch, clients, d = x.shape
    w = np.empty(TILE, np.uint64)
    shared = np.empty(TILE, np.uint64)
    total = np.empty((batch, TILE))
    for t in range(first, last):
        m = min(TILE, d - t * TILE)
        length = (m + 7) // 8
        total[:] = 0.0
        if correlated:
            _tile_words(t, length, s0, s1, shared)
        for i in range(clients):
            _tile_words(t, length, k0[i], k1[i], w)
            if correlated:
                place = places[t, i] << WORD
                for j in range(m):
                    w[j] = _cq_threshold(w[j], shared[j], place, n)
            for b in range(batch):
                R = np.float64(scales[b, i])
                if R == 0.0:
                    continue
                step = R / HALF
                xi, sum_b = x[b, i, t * TILE : t * TILE + m], total[b]
                if correlated:
                    for j in range(m):
                        sum_b[j] += R if _cq_up(xi[j], step, w[j], n) else -R
                else:
                    for j in range(m):
                        sum_b[j] += R if _iq_up(xi[j], step, w[j]) else -R
        for b in range(batch):
            part, sum_b = out[b, t * TILE : t * TILE + m], total[b]
            for j in range(m):
                part[j] = sum_b[j] / clients


# --- any blocks of Philox ------------------------------------------------------------------------


@guvectorize(
    ["(u8, u8, u8, u8, u8, u8, u8[:], u8[:], u8[:], u8[:])"],
    "(),(),(),(),(),()->(),(),(),()",
    cache=True,
)
def philox_blocks(c0, c1, c2, c3, k0, k1, w0, w1, w2, w3):
    """Compute one block for each element of arrays that broadcast against each other."""
    w0[0], w1[0], w2[0], w3[0] = philox(c0, c1, c2, c3, k0, k1)
