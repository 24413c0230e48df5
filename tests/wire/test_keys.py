"""Keys: streams are derived as in the design, and there is no other randomness."""

import itertools
import pickle
import random
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cqlib import Key, compressors, data, methods, problems
from cqlib.keys import Stream
from tests.helpers import global_generators_untouched, philox, stream_key

SIXTY_FOUR_BITS = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
)
CLIENTS = st.integers(0, 2**32 - 1)
STREAMS = st.sampled_from(list(Stream))
NOT_64_BITS = [-1, 2**64, 1.0, 0.5, True, False, "7", None, np.float64(3), np.int64(-1)]


def test_stream_numbers_are_part_of_the_wire_format():
    assert {s.name: s.value for s in Stream} == {
        "ROUNDING": 0,
        "SHIFT": 1,
        "SIGMA": 2,
        "PERMUTATION": 3,
        "COIN": 4,
        "SUBSET": 5,
        "COLUMNS": 6,
        "ROWS": 7,
        "ROTATION": 8,
        "COMMON_ROTATION": 9,
        "LEVELS": 10,
        "DRAW": 11,
        "OUTPUT": 12,
        "REDUCTION": 13,
        "FOLD": 0xF01D,
    }


def test_streams_are_pinned():
    # Literal words, to detect a change that is made in both implementations.
    key = Key(seed=0x0123456789ABCDEF, round=0xFEDCBA9876543210)
    assert [hex(w) for w in key.shared(Stream.SHIFT)] == ["0x2b19200b", "0x5bee5d38"]
    private = [hex(int(w)) for w in key.private(Stream.ROUNDING, 7)]
    assert private == ["0xd1b33e57", "0x412ce26a"]
    words = [hex(w) for w in key.words(Stream.COIN, block=3)]
    assert words == ["0x553c7087", "0xc546fbfb", "0x8a0b8df2", "0xdb1b9f47"]
    assert hex(key.fold(5).seed) == "0xe75acfa2e66cd16d"


@given(SIXTY_FOUR_BITS, SIXTY_FOUR_BITS, STREAMS, CLIENTS)
def test_streams_are_derived_as_designed(seed, round, stream, client):
    key = Key(seed, round)
    assert key.shared(stream) == stream_key(seed, round, stream)
    assert tuple(map(int, key.private(stream, client))) == stream_key(seed, round, stream, client)


@given(SIXTY_FOUR_BITS, SIXTY_FOUR_BITS, STREAMS, CLIENTS)
def test_words_and_uniform(seed, round, stream, block):
    key = Key(seed, round)
    words = philox((block, 0, 0, 0), stream_key(seed, round, stream))
    assert key.words(stream, block) == words
    assert key.uniform(stream) == philox((0, 0, 0, 0), stream_key(seed, round, stream))[0] / 2**32
    assert 0 <= key.uniform(stream) < 1


def test_private_streams_of_many_clients_at_once():
    clients = np.array([[0, 1, 2], [5, 2**31, 2**32 - 1]])
    k0, k1 = Key(3, 4).private(Stream.ROUNDING, clients)
    assert k0.dtype == k1.dtype == np.uint64
    assert k0.shape == k1.shape == (2, 3)
    for index, client in np.ndenumerate(clients):
        expected = stream_key(3, 4, Stream.ROUNDING, int(client))
        assert (int(k0[index]), int(k1[index])) == expected


def test_streams_are_apart():
    # Client 0's private stream equals the shared one, so no stream is used as both. Otherwise
    # different streams, clients, rounds and seeds have different keys.
    grid = itertools.product((0, 1, 2**32), (0, 1, 2**32), Stream, range(20))
    keys = [tuple(map(int, Key(s, r).private(stream, c))) for s, r, stream, c in grid]
    assert len(set(keys)) == len(keys) == 3 * 3 * len(Stream) * 20
    for stream in Stream:
        assert tuple(map(int, Key(9).private(stream, 0))) == Key(9).shared(stream)
        assert tuple(map(int, Key(9).private(stream, 1))) != Key(9).shared(stream)


def test_next_advances_the_round_and_wraps():
    assert Key(7).next() == Key(7, 1)
    assert Key(7, 2**32 - 1).next() == Key(7, 2**32)
    assert Key(7, 2**64 - 1).next() == Key(7, 0)


@given(SIXTY_FOUR_BITS, SIXTY_FOUR_BITS, SIXTY_FOUR_BITS)
def test_fold_is_derived_as_designed(seed, round, i):
    lo, hi, _, _ = philox((i % 2**32, i // 2**32, 0xF01D, 0), (seed % 2**32, seed // 2**32))
    assert Key(seed, round).fold(i) == Key(lo + 2**32 * hi, round)


def test_folds_are_apart():
    parts = [*range(50), 2**32, 2**32 + 1, 2**64 - 1]
    seeds = {Key(s, 5).fold(i).seed for s in (0, 1) for i in parts}
    assert len(seeds) == 2 * len(parts)
    assert Key(1).fold(0).fold(1) != Key(1).fold(1).fold(0)


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.int32, np.uint8])
def test_numpy_integers_are_integers(kind):
    key = Key(kind(7), kind(9))
    assert key == Key(7, 9)
    assert type(key.seed) is type(key.round) is int
    assert repr(key) == "Key(seed=7, round=9)"  # the repr is part of the tag
    assert key.fold(kind(3)) == Key(7, 9).fold(3)


@pytest.mark.parametrize("bad", NOT_64_BITS)
def test_seed_round_and_part_must_be_64_bits(bad):
    with pytest.raises(ValueError, match=r"seed must be .*\[0, 2\^64\)"):
        Key(bad)
    with pytest.raises(ValueError, match=r"round must be .*\[0, 2\^64\)"):
        Key(0, bad)
    with pytest.raises(ValueError, match=r"i must be .*\[0, 2\^64\)"):
        Key(0).fold(bad)


@pytest.mark.parametrize("bad", [-1, 2**32, [0, -1], np.array([-1]), [1.5], [True], 2**70])
def test_client_ids_must_be_32_bits(bad):
    with pytest.raises(ValueError, match=r"clients must be integers in \[0, 2\^32\)"):
        Key(0).private(Stream.ROUNDING, bad)


def test_a_key_is_a_value():
    key = Key(7, 3)
    with pytest.raises(FrozenInstanceError):
        key.seed = 8
    assert key == Key(7, 3) and hash(key) == hash(Key(7, 3))
    assert key != Key(7, 4) and key != Key(8, 3)
    assert pickle.loads(pickle.dumps(key)) == key


def everything_random(problem):
    """Yield the results of all public functions that use random numbers."""
    key = Key(5, 6)
    yield from key.words(Stream.COIN)
    yield key.uniform(Stream.COIN)
    yield from key.fold(2).shared(Stream.SIGMA)
    yield from map(int, key.private(Stream.ROUNDING, 3))
    yield methods.gd(problem, stepsize=0.1, rounds=3).value.tolist()
    X = problem.gradients(problem.x0)
    for name in compressors.names():
        c = compressors.make(name)
        yield c.compress(X, key=key).tolist()
        yield c.mean(X, key=key).tolist()
        yield methods.marina(problem, c, p=0.3, stepsize=0.1, rounds=5, seed=8).value.tolist()


def test_global_generators_are_neither_moved_nor_read():
    # Outside the guard, since some library draws a random number at its first import.
    problem = problems.logistic(data.load("breast_cancer"), n_clients=5, reg=0.1)
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        with global_generators_untouched():
            results.append(list(everything_random(problem)))
    assert results[0] == results[1]


@pytest.mark.parametrize("draw", [random.random, np.random.random, lambda: torch.rand(1)])
def test_the_guard_notices_a_draw(draw):
    with pytest.raises(AssertionError, match="global"), global_generators_untouched():
        draw()
