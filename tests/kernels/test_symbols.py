"""The compiled packing of symbols and the compiled rounding give the bits of the reference."""

import numpy as np
import pytest

from cqlib.kernels import cpu, reference
from cqlib.keys import Key, Stream

ALPHABETS = (1, 2, 3, 4, 5, 8, 15, 255, 256, 257, 1000, 2**17 + 1, 2**32, 2**33)
COUNTS = (1, 7, 1024, 1279, 1281, 5120, 12_345)


def symbols(count, alphabet, dtype=np.int64):
    return np.random.default_rng(count).integers(0, alphabet, count).astype(dtype)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("count", COUNTS)
def test_bytes_of_symbols_are_those_of_the_reference(alphabet, count):
    found = symbols(count, alphabet)
    codes = reference.pack(found, alphabet)
    np.testing.assert_array_equal(cpu.pack(found, alphabet), codes)
    unpacked = cpu.unpack(codes, count, alphabet)
    assert unpacked.dtype == reference.unpack(codes, count, alphabet).dtype
    np.testing.assert_array_equal(unpacked, found)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.uint32])
@pytest.mark.parametrize("alphabet", [2, 3, 4, 5])
def test_integers_of_any_kind_and_stride_are_packed(alphabet, dtype):
    found = symbols(6000, 2 if dtype is bool else alphabet, dtype)
    for part in (found, found[::2]):
        expected = reference.pack(part.astype(np.int64), alphabet)
        np.testing.assert_array_equal(cpu.pack(part, alphabet), expected)


@pytest.mark.parametrize("alphabet", [3, 5, 1000])
def test_what_is_malformed_is_refused_alike(alphabet):
    count = 6001
    codes = reference.pack(symbols(count, alphabet), alphabet)
    full, padded = np.full_like(codes, 255), codes.copy()
    padded[-1] = 255
    for data in (codes[:-1], full, padded):
        said = []
        for kernels in (reference, cpu):
            with pytest.raises(ValueError) as error:
                kernels.unpack(data, count, alphabet)
            said.append(str(error.value))
        assert said[0] == said[1]


@pytest.mark.parametrize("levels", [1, 7, 127, 128, 2**16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2500), (2, 3, 1030), (4, 1024)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_to_symbols_is_that_of_the_reference(levels, shape, dtype):
    y = np.random.default_rng(levels).uniform(-1, 1, shape).astype(dtype)
    y.reshape(-1)[::5] = 0.0
    y.reshape(-1)[1::7] = [1.0, -1.0][len(shape) % 2]
    key = reference.private_keys(Key(3, 4), Stream.ROUNDING, np.arange(2, 2 + shape[-2]))
    expected = reference.dither(y, key, levels=levels)
    found = cpu.dither(y, key, levels=levels)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert expected.max() <= 2 * levels
    level, negative = (expected.astype(np.int64) + 1) // 2, (expected > 0) & (expected % 2 == 0)
    assert (np.abs(level / levels - np.abs(y)) <= 1 / levels).all()
    assert (y[negative] < 0).all() and (level[y == 0] == 0).all()


def test_integers_and_too_many_levels_are_refused():
    key = reference.private_keys(Key(0), Stream.ROUNDING, [0])
    for kernels in (reference, cpu):
        with pytest.raises(ValueError, match="float32 or float64, got int64"):
            kernels.dither(np.ones((1, 3), dtype=np.int64), key, levels=1)
        with pytest.raises(ValueError, match="levels"):
            kernels.dither(np.ones((1, 3)), key, levels=0)
