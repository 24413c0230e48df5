"""Philox4x32-10: the published test vectors, for all types of words in the project."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cqlib.philox import philox4x32
from tests import helpers

# kat_vectors of the Random123 distribution: counter, key, result.
KNOWN_ANSWERS = {
    "zeros": (
        (0x00000000, 0x00000000, 0x00000000, 0x00000000),
        (0x00000000, 0x00000000),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    "ones": (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    "pi": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}
WORDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31, 2**32 - 1]))
BACKENDS = {
    "int": lambda word: word,
    "numpy": lambda word: np.full((), word, dtype=np.uint64),
    "torch": lambda word: torch.tensor(word, dtype=torch.int64),
}


@pytest.mark.parametrize("convert", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS.values(), ids=KNOWN_ANSWERS)
def test_known_answers(convert, counter, key, expected):
    result = philox4x32(tuple(map(convert, counter)), tuple(map(convert, key)))
    assert tuple(map(int, result)) == expected


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS.values(), ids=KNOWN_ANSWERS)
def test_the_second_implementation_knows_the_answers_too(counter, key, expected):
    assert helpers.philox(counter, key) == expected


@given(st.tuples(WORDS, WORDS, WORDS, WORDS), st.tuples(WORDS, WORDS), st.integers(0, 12))
def test_backends_agree(counter, key, rounds):
    expected = helpers.philox(counter, key, rounds)
    for name, convert in BACKENDS.items():
        result = philox4x32(tuple(map(convert, counter)), tuple(map(convert, key)), rounds=rounds)
        assert tuple(map(int, result)) == expected, name


def test_backends_agree_on_many_words():
    rng = np.random.default_rng(1)
    counter = tuple(rng.integers(0, 2**32, (4, 20_000), dtype=np.uint64))
    key = tuple(rng.integers(0, 2**32, (2, 20_000), dtype=np.uint64))
    by_numpy = philox4x32(counter, key)
    as_torch = tuple(torch.from_numpy(c.astype(np.int64)) for c in (*counter, *key))
    by_torch = philox4x32(as_torch[:4], as_torch[4:])
    for a, b in zip(by_numpy, by_torch, strict=True):
        assert a.dtype == np.uint64 and b.dtype == torch.int64
        assert a.max() < 2**32
        np.testing.assert_array_equal(a, b.numpy())
    for i in range(0, 20_000, 1_000):
        one = helpers.philox(tuple(int(c[i]) for c in counter), tuple(int(k[i]) for k in key))
        assert tuple(int(w[i]) for w in by_numpy) == one


def test_counter_and_key_broadcast():
    block = np.arange(5, dtype=np.uint64)
    clients = np.arange(3, dtype=np.uint64)[:, None]
    zero = np.zeros((), dtype=np.uint64)
    result = philox4x32((block, zero, zero, zero), (clients, zero))
    for word, array in enumerate(result):
        assert array.shape == (3, 5)
        for (c, b), found in np.ndenumerate(array):
            assert found == helpers.philox((b, 0, 0, 0), (c, 0))[word]
