"""The compiled kernels give the bits of the reference, for all sizes, numbers and threads.

Tests with the fixture ``backend`` check the same for all compressors.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numba import njit

from cqlib import Key, compressors
from cqlib.kernels import cpu, dispatch, reference
from cqlib.kernels.api.shares import Shares
from cqlib.kernels.cpu import threads
from cqlib.kernels.cpu.compiled import one_bit, one_bit_encode, words
from cqlib.kernels.derived import rotation
from cqlib.kernels.reference import packing, rounding
from cqlib.keys import Stream
from tests.helpers import peak_memory

SIZES = [1, 5, 8, 123, 1023, 1024, 1025, 4096, 5001, 70_000]
CLIENTS = [1, 2, 3, 5, 16, 127, 128, 129, 1000, 10**6, 2**31 - 1, 2**31, 2**32 - 1]
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
iq_or_cq = pytest.mark.parametrize("correlated", [False, True], ids=["iq", "cq"])


def vectors(*shape, dtype=np.float64, seed=0):
    """Return numbers of very different size, some of them zero."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)
    return np.where(rng.random(shape) < 0.1, 0.0, x).astype(dtype)


def same(a, b):
    """Return True if two arrays agree in dtype, shape and every bit."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# --- words, ranks, norms -------------------------------------------------------------------------


@pytest.mark.parametrize("d", SIZES)
def test_words(d):
    many = Key(3, 4).private(Stream.ROUNDING, np.arange(3))
    assert same(cpu.stream_words(many, d), reference.stream_words(many, d))
    one = Key(3, 4).shared(Stream.SHIFT)
    assert same(cpu.stream_words(one, d), reference.stream_words(one, d))


def test_blocks_broadcast():
    counter = (np.arange(5, dtype=np.uint64), np.uint64(2**32 - 1), 7, np.uint64(0))
    key = np.arange(2, dtype=np.uint64)[:, None], np.uint64(9)
    for a, b in zip(cpu.philox4x32(counter, key), reference.philox4x32(counter, key), strict=True):
        assert (a == b).all() and a.shape == b.shape == (2, 5)


@pytest.mark.parametrize("n", CLIENTS)
def test_places_and_ranks(n):
    some = [[0], [n - 1], [0, n // 2, n - 1], range(min(n, 200))]
    for clients in map(np.array, some):
        who = {"clients": clients, "n_clients": n}
        for tiles in (1, 3, 130):
            expected = reference.sigma(Key(1, 2), tiles=tiles, **who)
            assert same(cpu.sigma(Key(1, 2), tiles=tiles, **who), expected)
        assert same(
            cpu.permuted_clients(Key(1), clients, n), reference.permuted_clients(Key(1), clients, n)
        )
        for d in (1, 3000):
            expected = reference.shift_ranks(Key(5), d=d, **who)
            assert same(cpu.shift_ranks(Key(5), d=d, **who), expected)


@both_dtypes
@pytest.mark.parametrize("d", [*SIZES, 2**14 - 1, 2**14 + 1, 40_000])
def test_norms(d, dtype):
    x = vectors(2, 3, d, dtype=dtype)
    x[0, 0], x[0, 1], x[1, 2, -1] = 0, 1e-40, 1e37
    assert same(cpu.l2_scale(x), reference.l2_scale(x))
    assert same(cpu.l2_scale(x[:, ::2]), reference.l2_scale(x[:, ::2]))


def test_norms_that_exceed_what_a_float_holds():
    x = np.array([[1e200, 1e200], [np.inf, 0.0], [np.nan, 1.0], [1e-200, 0.0]])
    with np.errstate(over="ignore", invalid="ignore"):
        assert same(cpu.l2_scale(x), reference.l2_scale(x))


# --- one bit a coordinate ------------------------------------------------------------------------


@njit
def iq_decisions(x, step, word):
    out = np.empty(len(x), np.bool_)
    for j in range(len(x)):
        out[j] = one_bit._iq_up(x[j], step[j], word[j])
    return out


@njit
def cq_decisions(x, step, word, shared, place, n):
    out = np.empty(len(x), np.bool_)
    for j in range(len(x)):
        threshold = one_bit.cq_threshold(word[j], shared[j], place[j] << words.WORD, n)
        out[j] = one_bit.correlated_up(x[j], step[j], threshold, n)
    return out


def near_ties(dtype, count=200_000):
    """Return coordinates, ranges, and words with thresholds equal or next to the coordinate."""
    rng = np.random.default_rng(8)
    R = np.ldexp(rng.uniform(0.5, 1.0, count), rng.integers(-20, 20, count)).astype(np.float32)
    m = rng.integers(-(2**30), 2**30 + 1, count)
    m[:1000], m[1000:2000] = 2**30, -(2**30)
    x = (m * (R.astype(np.float64) / 2**30)).astype(dtype)  # as close to the grid as possible
    x = np.where(rng.random(count) < 0.5, x, np.nextafter(x, dtype(np.inf)))
    x = np.clip(x, -R, R).astype(dtype)
    g = rounding.grid(x[:, None], R)[:, 0]
    return x, R, g, rng


@both_dtypes
def test_iq_at_the_edge_of_the_grid(dtype):
    x, R, g, rng = near_ties(dtype)
    half_word = np.clip(g + rng.integers(-1, 2, len(g)), 0, 2**31 - 1)
    word = 2 * half_word + rng.integers(0, 2, len(g))
    up = iq_decisions(x, R.astype(np.float64) / 2**30, word.astype(np.uint64))
    expected = rounding.round_independent(g, word)
    assert 0.2 < expected.mean() < 0.8
    assert (up == expected).all()


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 2**31 - 1])
@both_dtypes
def test_cq_at_the_edge_of_the_grid(dtype, n):
    x, R, g, rng = near_ties(dtype)
    place = rng.integers(0, n, len(g))
    # The threshold rank 2^31 + word div 2 is n g or next to it.
    threshold = np.clip(n * g + rng.integers(-1, 2, len(g)), 0, n * 2**31 - 1)
    rank, half_word = threshold >> 31, threshold & (2**31 - 1)
    shift = (rank - place) % n
    shared = -((-shift << 32) // n)  # the smallest word with this shift
    word = 2 * half_word + rng.integers(0, 2, len(g))
    unsigned = [v.astype(np.uint64) for v in (word, shared, place)]
    up = cq_decisions(x, R.astype(np.float64) / 2**30, *unsigned, np.uint64(n))
    expected = rounding.round_correlated(g, word, rank, n)
    assert 0.2 < expected.mean() < 0.8
    assert (up == expected).all()


@njit
def float32_distances(x, reciprocal, threshold, factor):
    out = np.empty(len(x), np.float32)
    for j in range(len(x)):
        out[j] = one_bit_encode._distance(x[j], reciprocal[j], threshold[j], factor)
    return out


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 2**31 - 1])
@both_dtypes
def test_what_float32_decides_is_far_from_a_tie(dtype, n):
    x, R, g, rng = near_ties(dtype)
    top = n << 32
    random = rng.integers(0, 2**32, len(g)).astype(np.uint64)
    thresholds = np.minimum(g.astype(np.uint64) * np.uint64(2 * n) + random, np.uint64(top - 1))
    for threshold in (thresholds, rng.integers(0, top, len(g), dtype=np.uint64)):
        step = R.astype(np.float64) / 2**30
        found = float32_distances(
            x.astype(np.float32),
            (-1.0 / step).astype(np.float32),
            threshold.astype(np.float32),
            np.float32(0.5 / n),
        )
        whole = (threshold // np.uint64(2 * n)).astype(np.int64) - 2**30
        rest = (threshold % np.uint64(2 * n)).astype(np.float64) / (2 * n)
        exact = (whole - np.floor(x / step)) + rest - (x / step - np.floor(x / step))
        assert np.abs(found - exact).max() < one_bit_encode.NEAR / 2


@iq_or_cq
@both_dtypes
@pytest.mark.parametrize("n", [1, 3, 16, 2**31 - 1, 2**31, 2**32 - 1])
def test_encode_and_decode(n, dtype, correlated):
    for d in SIZES:
        x = vectors(d, dtype=dtype, seed=d)
        scale = reference.l2_scale(x)
        who = {"key": Key(d, n), "client": n // 2, "n_clients": n, "correlated": correlated}
        expected = reference.encode_one_bit(x, scale, **who)
        assert same(cpu.encode_one_bit(x, scale, **who), expected)
        values = reference.decode_one_bit(expected, scale, d=d)
        assert same(cpu.decode_one_bit(expected, scale, d=d), values)


@iq_or_cq
def test_a_zero_vector(correlated):
    who = {"key": Key(1), "client": 0, "n_clients": 2, "correlated": correlated}
    for kernels in (cpu, reference):
        codes = kernels.encode_one_bit(np.zeros(12), np.float32(0), **who)
        assert codes.tolist() == [0, 0]
        values = kernels.decode_one_bit(codes, np.float32(0), d=12)
        assert same(values, np.zeros(12, np.float32))  # not -0


@pytest.mark.parametrize("same_scale", [True, False])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 9), (16, 1024), (17, 3000), (300, 1100)])
def test_mean_of_messages(n, d, same_scale):
    rng = np.random.default_rng(n)
    who = {"n_clients": n, "correlated": True, "key": Key(7)}
    X = vectors(n, d, seed=n)
    scales = reference.l2_scale(X)
    if same_scale:
        scales[:] = scales.max()
    codes = np.stack(
        [
            reference.encode_one_bit(x, R, client=i, **who)
            for i, (x, R) in enumerate(zip(X, scales, strict=True))
        ]
    )
    order = rng.permutation(n)
    for dtype in (np.float32, np.float64):
        a, b = np.empty(d, dtype), np.empty(d, dtype)
        cpu.average_one_bit(codes[order], scales[order], d=d, out=a)
        reference.average_one_bit(codes[order], scales[order], d=d, out=b)
        assert same(a, b)


@iq_or_cq
@both_dtypes
@pytest.mark.parametrize(("b", "n", "d"), [(1, 1, 1), (2, 3, 9), (1, 16, 1024), (3, 130, 2100)])
def test_mean_of_all_at_once(b, n, d, dtype, correlated):
    X = vectors(b, n, d, dtype=dtype, seed=d)
    X[0, 0] = 0
    scales = reference.l2_scale(X)
    how = {"key": Key(d, 6), "correlated": correlated}
    expected = reference.simulate_one_bit(X, scales, **how)
    assert same(cpu.simulate_one_bit(X, scales, **how), expected)
    for i in range(b):  # it is the mean of the messages
        codes = np.stack(
            [
                cpu.encode_one_bit(X[i, j], scales[i, j], client=j, n_clients=n, **how)
                for j in range(n)
            ]
        )
        assert same(cpu.average_one_bit(codes, scales[i], d=d), expected[i])


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_vectors_and_messages_that_there_are_not(kernels):
    who = {"key": Key(1), "client": 0, "n_clients": 2, "correlated": True}
    one = np.float32(9)
    for bad in (np.ones(3, np.float16), np.ones(3, ">f4"), np.ones(3, np.int64)):
        with pytest.raises(ValueError, match="x must be float32 or float64, got"):
            kernels.encode_one_bit(bad, one, **who)
    for bad in (np.ones((1, 3)), np.ones(0)):
        with pytest.raises(ValueError, match=r"x must have shape \(d,\) with d > 0, got"):
            kernels.encode_one_bit(bad, one, **who)
        with pytest.raises(ValueError, match=r"x must have shape \(d,\) with d > 0, got"):
            kernels.encode_levels(bad, one, levels=3, key=Key(1), client=0)
        with pytest.raises(ValueError, match=r"x must have shape \(d,\) with d > 0, got"):
            kernels.encode_drive(bad, 3.0, unbiased=True, key=Key(1), client=0)
    with pytest.raises(ValueError, match=r"client must be in \[0, 2\), got 2"):
        kernels.encode_one_bit(np.ones(3), one, **who | {"client": 2})
    codes = np.zeros((3, 2), np.uint8)
    for scales in (np.ones(2, np.float32), np.ones(4, np.float32)):
        with pytest.raises(ValueError, match="one or more messages and a scale for each, got 3"):
            kernels.average_one_bit(codes, scales, d=16)
    with pytest.raises(ValueError, match="one or more messages and a scale for each, got 0"):
        kernels.average_one_bit(codes[:0], np.ones(0, np.float32), d=16)
    with pytest.raises(ValueError, match=r"levels must be in \[1, 65536\], got 0"):
        kernels.decode_levels(codes[0], one, d=16, levels=0)
    locked = np.empty(16, np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out must be"):
        kernels.decode_one_bit(codes[0], one, d=16, out=locked)
    scales = np.array([0.1, 0.2, 0.3])
    expected = kernels.average_one_bit(codes, scales.astype(np.float32), d=16)
    assert same(kernels.average_one_bit(codes, scales, d=16), expected)


@iq_or_cq
@pytest.mark.parametrize("d", [5, 1500])
def test_what_exceeds_the_range_is_taken_to_its_end(d, correlated):
    for beyond in (np.nextafter(1.0, 2), 2.0, 5.0, 1e9):
        x = beyond * (1.0 - 2.0 * (np.arange(d) % 3 == 0))
        who = {"key": Key(1), "client": 1, "n_clients": 3, "correlated": correlated}
        expected = reference.encode_one_bit(x, 1.0, **who)
        assert same(cpu.encode_one_bit(x, 1.0, **who), expected)
        assert (packing.unpack_bits(expected, d) == (x > 0)).all()
        X, ones = np.stack([x] * 3), np.ones(3, np.float32)
        how = {"key": Key(1), "correlated": correlated}
        joint = reference.simulate_one_bit(X, ones, **how)
        assert same(cpu.simulate_one_bit(X, ones, **how), joint)


@iq_or_cq
def test_ranges_whose_reciprocal_exceeds_a_float(correlated):
    d = 200_000
    x = vectors(d, seed=4) * 1e-36
    scale = reference.l2_scale(x)
    assert float(scale) * 2.0**-30 < 2.0**-126
    who = {"key": Key(1), "client": 1, "n_clients": 3, "correlated": correlated}
    expected = reference.encode_one_bit(x, scale, **who)
    assert same(cpu.encode_one_bit(x, scale, **who), expected)


@iq_or_cq
@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_one_bit_at_a_tie(kernels, correlated):
    d, key = 3000, Key(11)
    half_words = reference.stream_words(key.private(Stream.ROUNDING, np.array([0])), d)[0] >> 1
    above = np.arange(d) % 2  # up only where the place on the grid exceeds the word
    x = (half_words + above) / 2.0**30 - 1
    who = {"key": key, "client": 0, "n_clients": 1, "correlated": correlated}
    codes = kernels.encode_one_bit(x, np.float32(1), **who)
    assert (packing.unpack_bits(codes, d) == above).all()


# --- signed levels -------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("levels", [1, 2, 7, 127, 128, 1000, 2**16])
@pytest.mark.parametrize("d", [1, 9, 123, 1023, 1024, 1025, 1281, 5119, 5120, 12_345])
def test_levels(d, levels, dtype):
    x = vectors(d, dtype=dtype, seed=d)
    for p in (2, np.inf):
        scale = reference.norm_scale(x, p)
        how = {"levels": levels, "key": Key(d, 5), "client": 3}
        signed = reference.quantize_levels(x, scale, **how)
        assert same(cpu.quantize_levels(x, scale, **how), signed)
        codes = reference.encode_levels(x, scale, **how)
        assert same(cpu.encode_levels(x, scale, **how), codes)
        values = reference.decode_levels(codes, scale, d=d, levels=levels)
        assert same(cpu.decode_levels(codes, scale, d=d, levels=levels), values)
        assert np.allclose(values, signed * (float(scale) / levels), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_levels_at_a_tie(kernels):
    d, key = 3000, Key(11)
    half_words = reference.stream_words(key.private(Stream.ROUNDING, np.array([2])), d)[0] >> 1
    above = np.arange(d) % 2  # it is rounded up only if the probability exceeds the word
    x = (half_words + above) / 2.0**31
    found = kernels.quantize_levels(x, np.float32(1), levels=1, key=key, client=2)
    assert (found == above).all()


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_levels_of_a_zero_vector(kernels):
    how = {"levels": 7, "key": Key(1), "client": 0}
    zero = np.float32(0)
    assert kernels.quantize_levels(np.zeros(9), zero, **how).tolist() == [0] * 9
    codes = kernels.encode_levels(np.zeros(9), zero, **how)
    assert not codes.any()
    assert same(kernels.decode_levels(codes, zero, d=9, levels=7), np.zeros(9, np.float32))


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_levels_that_nobody_sends_are_refused(kernels):
    def decode(data, d, levels):
        kernels.decode_levels(np.array(data, np.uint8), np.float32(1), d=d, levels=levels)

    with pytest.raises(ValueError, match="at most 242, got 255"):
        decode([0, 255], 10, 1)
    with pytest.raises(ValueError, match="padding digits"):
        decode([3], 1, 1)
    with pytest.raises(ValueError, match="padding bits"):
        decode([16], 1, 7)
    with pytest.raises(ValueError, match="symbols must be below 15, got 15"):
        decode([15], 1, 7)
    full = np.zeros(4 * 128, np.uint8)
    full[::128] = 1  # all four planes of the first coordinate
    with pytest.raises(ValueError, match="symbols must be below 15, got 15"):
        decode(full, 1024, 7)
    with pytest.raises(ValueError, match="expected 1 code bytes, got 2"):
        decode([0, 0], 1, 7)
    how = {"key": Key(1), "client": 0}
    with pytest.raises(ValueError, match=r"levels must be in \[1, 65536\], got 65537"):
        kernels.encode_levels(np.ones(3), np.float32(1), levels=2**16 + 1, **how)
    with pytest.raises(ValueError, match="of int16, int32 for 200 levels, got int8"):
        kernels.quantize_levels(
            np.ones(3), np.float32(1), levels=200, out=np.empty(3, np.int8), **how
        )
    assert kernels.quantize_levels(np.ones(3), np.float32(1), levels=127, **how).dtype == np.int8


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_what_does_not_fit_is_refused(kernels):
    x, who = np.ones(12), {"key": Key(1), "client": 0, "n_clients": 2, "correlated": True}
    codes = kernels.encode_one_bit(x, np.float32(4), **who)
    for bad in (np.empty(3, np.uint8), np.empty(2, np.int8), np.empty(4, np.uint8)[::2]):
        with pytest.raises(ValueError, match="out must be a contiguous uint8 array of shape"):
            kernels.encode_one_bit(x, np.float32(4), out=bad, **who)
    for bad in (np.empty(11), np.empty(12, np.int64), np.empty(24)[::2]):
        with pytest.raises(ValueError, match="out must be a contiguous float32 or float64"):
            kernels.decode_one_bit(codes, np.float32(4), d=12, out=bad)
        with pytest.raises(ValueError, match="out must be a contiguous float32 or float64"):
            kernels.average_one_bit(codes[None], np.ones(1, np.float32), d=12, out=bad)
    with pytest.raises(ValueError, match="expected 2 code bytes, got 3"):
        kernels.decode_one_bit(np.zeros(3, np.uint8), np.float32(4), d=12)
    with pytest.raises(ValueError, match="padding bits"):
        kernels.decode_one_bit(np.full(2, 255, np.uint8), np.float32(4), d=12)
    with pytest.raises(ValueError, match="padding bits"):
        kernels.average_one_bit(np.full((1, 2), 255, np.uint8), np.ones(1, np.float32), d=12)


# --- the Walsh-Hadamard transform, and DRIVE -----------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("m", [*range(14), 15, 16, 17, 18])
def test_transform(m, dtype):
    x = (1000 * np.random.default_rng(m).standard_normal((2, 2**m))).astype(dtype)
    expected = reference.transform(x)
    assert same(cpu.transform(x), expected)
    assert cpu.transform(x, out=x) is x and same(x, expected)


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_what_cannot_be_transformed_is_refused(kernels):
    with pytest.raises(ValueError, match="a power of two, got 12 coordinates"):
        kernels.transform(np.ones(12))
    with pytest.raises(ValueError, match="float32, float64 or int32, got int64"):
        kernels.transform(np.ones(4, np.int64))
    for bad in (np.ones(8), np.ones(4, np.float32), np.ones(8)[::2]):
        with pytest.raises(ValueError, match="out must be a contiguous float64 array of shape"):
            kernels.transform(np.ones(4), out=bad)


DRIVE_SIZES = [*range(1, 10), 123, 128, 1023, 1025, 3000, 4097, 2**15, 2**15 + 1, 70_000, 200_000]


@pytest.mark.parametrize("unbiased", [True, False])
@both_dtypes
@pytest.mark.parametrize("d", DRIVE_SIZES)
def test_drive(d, dtype, unbiased):
    x = vectors(d, dtype=dtype, seed=d)
    squares = reference.sums_of_squares(x)
    who = {"key": Key(d, 9), "client": 5}
    codes, S = reference.encode_drive(x, squares, unbiased=unbiased, **who)
    found, scale = cpu.encode_drive(x, squares, unbiased=unbiased, **who)
    assert same(found, codes) and same(np.asarray(scale), np.asarray(S))
    for out in (np.empty(d, np.float32), np.empty(d)):
        values = reference.decode_drive(codes, S, d=d, **who)
        assert (cpu.decode_drive(codes, S, d=d, out=out, **who) == values).all()
    # By definition: signs after a random rotation, times S, rotated back.
    k = tuple(int(k[0]) for k in who["key"].private(Stream.ROTATION, np.array([5])))
    D = 8 * len(codes) if d > 4 else 1 << (d - 1).bit_length()
    y = rotation.hadamard_rotate(np.pad(x.astype(np.float64), (0, D - d)), k)
    by_hand = squares / np.abs(y).sum() if unbiased else np.abs(y).sum() / D
    assert S == pytest.approx(by_hand, rel=1e-6)
    read = rotation.hadamard_rotate_back(np.where(packing.unpack_bits(codes, D), S, -S), k)[:d]
    np.testing.assert_allclose(values, read, rtol=0, atol=1e-5 * float(S) * D**0.5)
    assert (packing.unpack_bits(codes, D) != (y >= 0)).mean() < 1e-3 + (d < 10)


def test_drive_at_the_ends_of_what_floats_hold():
    for dtype, sizes in ((np.float32, (1e-44, 1e-30, 1e30, 1e38)), (np.float64, (1e-320, 1e-40))):
        for size in sizes:
            x = (size * np.ones(100)).astype(dtype)
            squares, who = reference.sums_of_squares(x), {"key": Key(1), "client": 0}
            codes, S = reference.encode_drive(x, squares, unbiased=True, **who)
            found, scale = cpu.encode_drive(x, squares, unbiased=True, **who)
            assert same(found, codes) and scale == S
            assert (S > 0) == (size > 1e-300) and (S > 0 or not codes.any())
    for kernels in (cpu, reference):
        with pytest.raises(ValueError, match="at most 1073741824 coordinates, got 1073741825"):
            kernels.decode_drive(np.zeros(1, np.uint8), 1.0, d=2**30 + 1, **who)


# --- threads and memory --------------------------------------------------------------------------


def test_threads_do_not_change_the_bits(monkeypatch):
    d, n = 300_000, 5
    X = vectors(n, d, dtype=np.float32)
    scales = reference.l2_scale(X)
    who = {"key": Key(2), "client": 1, "n_clients": n, "correlated": True}

    def results():
        codes = cpu.encode_one_bit(X[1], scales[1], **who)
        rows = np.stack([codes] * n)
        return (
            codes,
            cpu.decode_one_bit(codes, scales[1], d=d),
            cpu.average_one_bit(rows, scales, d=d),
            cpu.average_one_bit(rows, scales[:1].repeat(n), d=d),
            cpu.simulate_one_bit(X, scales, key=Key(2), correlated=True),
        )

    big = X.reshape(-1)[: 2**20 + 1]

    def rotated():
        codes, S = cpu.encode_drive(big, 1.0, unbiased=False, key=Key(2), client=1)
        values = cpu.decode_drive(codes, S, d=big.size, key=Key(2), client=1)
        levels = cpu.encode_levels(big, np.float32(1e9), levels=7, key=Key(2), client=1)
        read = cpu.decode_levels(levels, np.float32(1e9), d=big.size, levels=7)
        return codes, np.asarray(S), values, levels, read

    pools = []

    class CountedPool(ThreadPoolExecutor):
        def __init__(self, workers):
            pools.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(threads, "TILES_A_THREAD", 32)
    monkeypatch.setattr(threads, "ThreadPoolExecutor", CountedPool)
    alone, alone_rotated = results(), rotated()
    assert not pools
    for workers in (2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda workers=workers: workers)
        assert all(same(a, b) for a, b in zip(results(), alone, strict=True))
        assert all(same(a, b) for a, b in zip(rotated(), alone_rotated, strict=True))
        assert pools.count(workers) >= 10


@pytest.mark.parametrize("name", ["iq", "cq", "terngrad", "standard_dithering"])
def test_nothing_of_the_size_of_the_vector_is_allocated_besides_the_result(name):
    d = 2**21
    c, x, who = compressors.make(name), torch.randn(d), {"client": 1, "n_clients": 4, "key": Key(1)}
    payload = c.encode(x, **who)
    assert peak_memory(lambda: c.encode(x, **who)) < payload.codes.numel() + 2**18
    assert peak_memory(lambda: c.decode(payload, d=payload.d, **who)) < 4 * d + 2**18


# --- which backend -------------------------------------------------------------------------------


def test_the_environment_forces_a_backend(monkeypatch):
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    assert dispatch.host() is cpu
    assert dispatch.choose("cpu").backend == "cpu"
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
    assert dispatch.host() is reference
    assert dispatch.choose("cpu") == ("cpu", "reference", "CQLIB_BACKEND=reference")
    monkeypatch.setenv(dispatch.VARIABLE, "fast")
    with pytest.raises(ValueError, match="must be one of reference, cpu, gpu, got 'fast'"):
        dispatch.host()


def test_triton_is_not_chosen_where_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert dispatch.available() == ["reference", "cpu"]
    monkeypatch.setenv(dispatch.VARIABLE, "gpu")
    with pytest.raises(ValueError, match=r"gpu does not serve tensors on 'cpu'.*Triton"):
        compressors.make("cq").mean(torch.ones(2, 3), key=Key(1))
    monkeypatch.delenv(dispatch.VARIABLE)
    if not torch.cuda.is_available():
        monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: name)
        assert dispatch.choose("cuda").why == (
            "copied to main memory and back: there is no CUDA device"
        )
    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'cqlib[gpu]'" in dispatch.choose("cuda").why


# --- keys of several members ----------------------------------------------------------------------

SOME_KEYS = [Key(1), Key(2, 5), Key(2**63, 2**40)]
ENDS = [2, 3, 5]
EACH = [SOME_KEYS[0]] * 2 + [SOME_KEYS[1]] + [SOME_KEYS[2]] * 2


@iq_or_cq
@both_dtypes
@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 9), (17, 1024), (130, 2100)])
def test_means_with_keys_of_several_members(n, d, dtype, correlated):
    X = vectors(5, n, d, dtype=dtype, seed=d)
    X[1, 0] = 0
    scales = reference.l2_scale(X)
    found = cpu.simulate_one_bit(X, scales, key=EACH, correlated=correlated)
    assert same(found, reference.simulate_one_bit(X, scales, key=EACH, correlated=correlated))
    for x, scale, key, mean in zip(X, scales, EACH, found, strict=True):
        assert same(mean, cpu.simulate_one_bit(x, scale, key=key, correlated=correlated))


@both_dtypes
@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 9), (4, 64), (2, 300), (3, 5000), (2, 40_000)])
def test_means_of_drive_with_keys_of_several_members(n, d, dtype, unbiased):
    X = vectors(5, n, d, dtype=dtype, seed=d)
    X[1, 0] = 0
    X[2] *= 1e-20
    squares = reference.sums_of_squares(X)
    found = cpu.simulate_drive(X, squares, unbiased=unbiased, key=EACH)
    wanted = reference.simulate_drive(X, squares, unbiased=unbiased, key=EACH)
    assert same(found[0], wanted[0]) and same(found[1], wanted[1])
    one = cpu.simulate_drive(X[3:], squares[3:], unbiased=unbiased, key=EACH[3])
    assert same(one[0], found[0][3:]) and same(one[1], found[1][3:])


@both_dtypes
@pytest.mark.parametrize(
    ("n", "d", "parts"), [(1, 1, 1), (4, 9, 2), (6, 3, 6), (12, 64, 4), (4, 3000, 2)]
)
def test_means_of_shares_with_keys_of_several_members(n, d, parts, dtype):
    rng = np.random.default_rng(d)
    X = vectors(5, n, d, dtype=dtype, seed=d)
    X[1, 0] = 0
    turn = np.stack([rng.permutation(n) for _ in SOME_KEYS])
    order = np.stack([rng.permutation(d) for _ in SOME_KEYS])
    shares = Shares(*np.divmod(turn, n // parts), order, parts)
    found = cpu.simulate_shares(X, shares, keys=SOME_KEYS, ends=ENDS)
    wanted = reference.simulate_shares(X, shares, keys=SOME_KEYS, ends=ENDS)
    assert same(found[0], wanted[0]) and same(found[1], wanted[1])
