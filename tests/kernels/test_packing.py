"""The layout of codes against slow versions in Python integers, written from its description.

The slow versions place one symbol at a time and share no code with the package. More tests of
one-bit codes are in ``test_reference``.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqlib.kernels.reference import packing
from tests.helpers import peak_memory

LENGTHS = [1, 4, 5, 6, 7, 1023, 1024, 1025, 1279, 1280, 1281, 2600]
ALPHABETS = [2, 3, 4, 5, 8, 9, 15, 255, 256, 257, 600]


# --- twins ---------------------------------------------------------------------------------------


def pack_digits(symbols, base, digits, tile):
    """Pack tiles of L bytes: digit k of byte l is symbol L k + l."""
    codes = bytearray()
    for start in range(0, len(symbols), tile):
        part = symbols[start : start + tile]
        length = math.ceil(len(part) / digits)
        values = [0] * length
        for place, symbol in enumerate(part):
            k, l = divmod(place, length)
            values[l] += symbol * base**k
        codes += bytes(values)
    return bytes(codes)


def pack_bits(bits):
    return pack_digits(bits, base=2, digits=8, tile=1024)


def pack_trits(trits):
    return pack_digits(trits, base=3, digits=5, tile=1280)


def pack_integers(values, width):
    """Pack tiles of 1024 integers, each as a string of bits, plane by plane from the lowest."""
    codes = b""
    for start in range(0, len(values), 1024):
        part = values[start : start + 1024]
        codes += pack_bits([value >> plane & 1 for plane in range(width) for value in part])
    return codes


def width_of(alphabet):
    """Return the smallest number of bits for all symbols."""
    width = 0
    while 2**width < alphabet:
        width += 1
    return width


def pack(symbols, alphabet):
    if alphabet == 2:
        return pack_bits(symbols)
    if alphabet == 3:
        return pack_trits(symbols)
    return pack_integers(symbols, width_of(alphabet))


def random_symbols(count, alphabet, seed=0):
    return np.random.default_rng([seed, count, alphabet]).integers(0, alphabet, count)


def as_array(codes):
    return np.frombuffer(codes, dtype=np.uint8)


# --- the three codes -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", LENGTHS)
def test_packed_trits(d):
    trits = random_symbols(d, 3)
    codes = packing.pack_trits(trits)
    assert codes.dtype == np.uint8
    assert codes.tobytes() == pack_trits(trits.tolist())
    unpacked = packing.unpack_trits(codes, d)
    assert unpacked.dtype == np.int64
    np.testing.assert_array_equal(unpacked, trits)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 9, 16, 31, 32])
@pytest.mark.parametrize("d", LENGTHS)
def test_packed_integers(d, width):
    values = random_symbols(d, 2**width)
    codes = packing.pack_integers(values, width)
    assert codes.dtype == np.uint8
    assert codes.tobytes() == pack_integers(values.tolist(), width)
    assert len(codes) == packing.integer_bytes(d, width)
    unpacked = packing.unpack_integers(codes, d, width)
    assert unpacked.dtype == np.int64
    np.testing.assert_array_equal(unpacked, values)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("count", LENGTHS)
def test_packed_symbols_of_an_alphabet(count, alphabet):
    symbols = random_symbols(count, alphabet)
    codes = packing.pack(symbols, alphabet)
    assert codes.dtype == np.uint8
    assert codes.tobytes() == pack(symbols.tolist(), alphabet)
    unpacked = packing.unpack(codes, count, alphabet)
    assert unpacked.dtype == (bool if alphabet == 2 else np.int64)
    np.testing.assert_array_equal(unpacked, symbols)


@given(st.integers(1, 3000), st.integers(2, 600), st.integers(0, 2**32 - 1))
def test_packing_is_undone(count, alphabet, seed):
    symbols = random_symbols(count, alphabet, seed)
    symbols[seed % count] = alphabet - 1
    codes = packing.pack(symbols, alphabet)
    assert len(codes) == packing.code_bytes(count, alphabet)
    np.testing.assert_array_equal(packing.unpack(codes, count, alphabet), symbols)


@given(st.data(), st.integers(2, 600))
def test_few_symbols_of_any_alphabet(data, alphabet):
    symbols = data.draw(st.lists(st.integers(0, alphabet - 1), min_size=1, max_size=20))
    codes = packing.pack(np.array(symbols), alphabet)
    assert codes.tobytes() == pack(symbols, alphabet)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64])
def test_small_integers_are_not_shortened(dtype):
    for alphabet in (2, 3, 100):
        symbols = random_symbols(1300, alphabet).astype(dtype)
        assert packing.pack(symbols, alphabet).tobytes() == pack(symbols.tolist(), alphabet)


def test_codes_that_are_read_from_bytes_are_left_alone():
    for alphabet in (2, 3, 15):
        codes = as_array(pack(random_symbols(1300, alphabet).tolist(), alphabet))
        assert not codes.flags.writeable
        packing.unpack(codes, 1300, alphabet)


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_bytes_of_the_symbols(alphabet):
    for count in [*LENGTHS, *range(8, 40)]:
        assert packing.code_bytes(count, alphabet) == len(pack([0] * count, alphabet))


def test_a_symbol_counts_its_share_of_a_full_tile():
    for alphabet in range(2, 601):
        bits = packing.symbol_bits(alphabet)
        if alphabet == 3:
            assert bits == math.log2(3)
            assert bits < 8 * packing.code_bytes(1280, 3) / 1280 < bits * (1 + 1 / 64)
        else:
            assert bits == width_of(alphabet) == 8 * packing.code_bytes(1024, alphabet) / 1024
        assert 2**bits >= alphabet * (1 - 1e-15)


def test_bytes_of_very_many_symbols():
    assert packing.code_bytes(2**40, 2) == 2**37
    assert packing.code_bytes(2**40, 256) == 2**40
    assert packing.code_bytes(5 * 2**40, 3) == 2**40
    assert packing.integer_bytes(2**40 + 1, 3) == 3 * 2**37 + 1


def test_one_symbol_alone_takes_nothing():
    assert packing.symbol_bits(1) == 0
    assert packing.code_bytes(1300, 1) == 0
    codes = packing.pack(np.zeros(1300, dtype=np.int64), 1)
    assert codes.shape == (0,)
    np.testing.assert_array_equal(packing.unpack(codes, 1300, 1), np.zeros(1300, dtype=np.int64))


# --- what is refused -----------------------------------------------------------------------------


def padding_places(count, alphabet):
    """Return the padding bits as (byte, bit)."""
    ones = 2 ** width_of(alphabet) - 1
    used = pack([ones] * count, alphabet)
    return [(l, k) for l, byte in enumerate(used) for k in range(8) if not byte >> k & 1]


@pytest.mark.parametrize("alphabet", [2, 5, 15, 600])
@pytest.mark.parametrize("count", [1, 5, 7, 1023, 1025, 2601])
def test_every_padding_bit_is_refused(count, alphabet):
    clear = packing.pack(np.zeros(count, dtype=np.int64), alphabet)
    places = padding_places(count, alphabet)
    assert len(places) == -count * width_of(alphabet) % 8
    for byte, bit in places:
        codes = clear.copy()
        codes[byte] |= 1 << bit
        with pytest.raises(ValueError, match="padding bits"):
            packing.unpack(codes, count, alphabet)


@pytest.mark.parametrize("count", [1, 4, 5, 6, 7, 1279, 1280, 1281, 2601])
def test_every_padding_digit_is_refused(count):
    codes = as_array(pack_trits([2] * count))
    padding = [(l, k) for l, byte in enumerate(codes) for k in range(5) if not byte // 3**k % 3]
    assert len(padding) == -(count % 1280) % 5
    for byte, digit in padding:
        for value in (1, 2):
            wrong = codes.copy()
            wrong[byte] += value * 3**digit
            with pytest.raises(ValueError, match="padding digits"):
                packing.unpack(wrong, count, 3)


def test_bytes_that_are_not_five_trits_are_refused():
    np.testing.assert_array_equal(packing.unpack(as_array(b"\xf2"), 5, 3), [2] * 5)
    for count in (5, 1280, 1290):
        for byte in range(243, 256):
            for place in {0, count // 5 - 1}:
                codes = packing.pack_trits(np.zeros(count, dtype=np.int64))
                codes[place] = byte
                with pytest.raises(ValueError, match=rf"at most 242, got {byte}$"):
                    packing.unpack(codes, count, 3)


@pytest.mark.parametrize("alphabet", [5, 6, 7, 9, 15, 255, 257, 600])
def test_symbols_outside_the_alphabet_are_refused(alphabet):
    width = width_of(alphabet)
    for count in (1, 6, 1030):
        for symbol in {alphabet, 2**width - 1}:
            symbols = [0] * (count - 1) + [symbol]
            codes = as_array(pack_integers(symbols, width))
            with pytest.raises(ValueError, match=f"below {alphabet}, got {symbol}"):
                packing.unpack(codes, count, alphabet)
            packing.unpack(codes, count, symbol + 1)


@pytest.mark.parametrize("alphabet", [2, 3, 4, 15, 600])
def test_any_other_length_is_refused(alphabet):
    for count in LENGTHS:
        codes = packing.pack(random_symbols(count, alphabet), alphabet)
        packing.check_length(codes, len(codes))
        for wrong in (codes[:-1], np.append(codes, np.uint8(0)), np.repeat(codes, 2)):
            with pytest.raises(ValueError, match=f"expected {len(codes)} .*got {len(wrong)}$"):
                packing.unpack(wrong, count, alphabet)


@pytest.mark.parametrize("alphabet", [2, 3, 4, 15, 600])
def test_nothing_is_allocated_for_symbols_that_did_not_arrive(alphabet):
    codes = packing.pack(random_symbols(100, alphabet), alphabet)

    def unpack():
        with pytest.raises(ValueError, match="code bytes"):
            packing.unpack(codes, 2**40, alphabet)

    assert peak_memory(unpack) < 100_000
