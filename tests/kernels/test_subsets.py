"""Random subsets and permutations against slow versions, and the uniform distribution.

The statistical tests below make fewer than 50 000 comparisons; see ``helpers`` for their level.
"""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from cqlib import Key
from cqlib.kernels.derived import subsets
from cqlib.keys import Stream
from tests.helpers import LEVEL, Z, philox, stream_key

DIMENSIONS = [1, 2, 3, 7, 8, 9, 127, 128, 129, 1000]


# --- twins ---------------------------------------------------------------------------------------


def word64(key, j):
    """Return 64-bit words: words 2 (j mod 2) and the next of block j div 2, the first one high."""
    words = philox((j // 2, 0, 0, 0), key)
    return words[2 * (j % 2)] * 2**32 + words[2 * (j % 2) + 1]


def ticket(key, j, d):
    """Return the word of coordinate j with its lowest ceil(log2 d) bits replaced by j."""
    low = 1
    while low < d:
        low *= 2
    return word64(key, j) // low * low + j


def permutation(key, d):
    return sorted(range(d), key=lambda j: ticket(key, j, d))


def subset(key, d, k):
    return sorted(permutation(key, d)[:k])


def streams(seed, count):
    """Return keys of independent streams, one per row."""
    return Key(seed).private(Stream.SUBSET, np.arange(count))


# --- against the twins ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 8, 501])
def test_words(count):
    keys = [(1, 2), (0xFFFFFFFF, 0x80000000)]
    one = subsets.words64(keys[0], count)
    rows = subsets.words64(tuple(np.array(keys, dtype=np.uint64).T), count)
    assert one.dtype == rows.dtype == np.uint64
    assert one.shape == (count,) and rows.shape == (2, count)
    np.testing.assert_array_equal(one, rows[0])
    for row, key in zip(rows.tolist(), keys, strict=True):
        assert row == [word64(key, j) for j in range(count)]


@pytest.mark.parametrize("d", DIMENSIONS)
def test_tickets(d):
    found = subsets._tickets((1, 2), d)
    assert found.tolist() == [ticket((1, 2), j, d) for j in range(d)]
    assert len(set(found.tolist())) == d


@pytest.mark.parametrize("d", DIMENSIONS)
def test_subsets_and_permutations_are_those_of_the_tickets(d):
    clients = [0, 5, 2**32 - 1]
    rows = Key(3, 4).private(Stream.SUBSET, clients)
    permutations = subsets.random_permutation(rows, d)
    assert permutations.dtype == np.int64
    chosen = {k: subsets.random_subset(rows, d, k) for k in {1, (d + 1) // 2, max(d - 1, 1), d}}
    for row, client in enumerate(clients):
        key = stream_key(3, 4, Stream.SUBSET, client)
        assert permutations[row].tolist() == permutation(key, d)
        for k, found in chosen.items():
            assert found.dtype == np.int64
            assert found[row].tolist() == subset(key, d, k)


@given(st.integers(1, 300), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_one_stream_is_a_row_of_many(d, share, seed):
    k = 1 + round(share * (d - 1))
    clients = np.array([7, 0, 7])
    rows = Key(seed).private(Stream.SUBSET, clients)
    for draw in (
        lambda key: subsets.words64(key, d),
        lambda key: subsets.random_subset(key, d, k),
        lambda key: subsets.random_permutation(key, d),
    ):
        together = draw(rows)
        assert len(together) == 3
        for row, client in enumerate(clients.tolist()):
            alone = draw(stream_key(seed, 0, Stream.SUBSET, client))
            np.testing.assert_array_equal(alone, together[row])


@given(st.integers(1, 500), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_subsets_are_distinct_and_ascending(d, share, seed):
    k = 1 + round(share * (d - 1))
    chosen = subsets.random_subset(streams(seed, 4), d, k)
    assert chosen.shape == (4, k)
    assert (np.diff(chosen, axis=1) > 0).all()
    assert ((chosen >= 0) & (chosen < d)).all()
    permuted = subsets.random_permutation(streams(seed, 4), d)
    np.testing.assert_array_equal(np.sort(permuted, axis=1), np.tile(np.arange(d), (4, 1)))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_all_coordinates_and_one(d):
    rows = streams(5, 3)
    everything = subsets.random_subset(rows, d, d)
    np.testing.assert_array_equal(everything, np.tile(np.arange(d), (3, 1)))
    first = subsets.random_permutation(rows, d)[:, :1]
    np.testing.assert_array_equal(subsets.random_subset(rows, d, 1), first)


def test_one_coordinate():
    key = stream_key(6, 0, Stream.SUBSET)
    assert subsets.random_subset(key, 1, 1).tolist() == [0]
    assert subsets.random_permutation(key, 1).tolist() == [0]


# --- against the uniform distribution ------------------------------------------------------------

DRAWS = 20_000


def assert_uniform(cells, count):
    """Test at LEVEL, by chi-square, that independent cells, numbered below count, are uniform."""
    counts = np.bincount(cells, minlength=count)
    expected = len(cells) / count
    assert len(counts) == count and expected > 20
    assert ((counts - expected) ** 2).sum() / expected < chi2.isf(LEVEL, count - 1)


def numbered(rows, cells):
    """Return the number of each row among the cells."""
    numbers = {cell: number for number, cell in enumerate(cells)}
    return np.array([numbers[tuple(row)] for row in rows.tolist()])


@pytest.mark.parametrize(("d", "k"), [(2, 1), (5, 1), (5, 2), (6, 3), (7, 5), (9, 8), (17, 2)])
def test_every_subset_is_as_likely(d, k):
    chosen = subsets.random_subset(streams(7, DRAWS), d, k)
    cells = list(itertools.combinations(range(d), k))
    assert_uniform(numbered(chosen, cells), len(cells))


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_every_permutation_is_as_likely(d):
    permuted = subsets.random_permutation(streams(8, DRAWS), d)
    assert_uniform(numbered(permuted, itertools.permutations(range(d))), math.factorial(d))


def kept(d, k):
    """Return a mask of the coordinates kept in each draw."""
    keeps = np.zeros((DRAWS, d))
    np.put_along_axis(keeps, subsets.random_subset(streams(9, DRAWS), d, k), 1, axis=1)
    return keeps


@pytest.mark.parametrize(("d", "k"), [(10, 5), (33, 4), (100, 10), (129, 128)])
def test_every_coordinate_is_kept_as_often(d, k):
    # The covariance of the indicators is k (d - k) / (d (d - 1)) times a projection.
    counts = kept(d, k).sum(axis=0)
    variance = DRAWS * k * (d - k) / (d * (d - 1))
    assert ((counts - DRAWS * k / d) ** 2).sum() / variance < chi2.isf(LEVEL, d - 1)


@pytest.mark.parametrize(("d", "k"), [(10, 5), (33, 20)])
def test_every_pair_is_kept_as_often(d, k):
    keeps = kept(d, k)
    counts = (keeps.T @ keeps)[np.triu_indices(d, 1)]
    chance = k * (k - 1) / (d * (d - 1))
    assert (np.abs(counts - DRAWS * chance) < Z * np.sqrt(DRAWS * chance * (1 - chance))).all()


@pytest.mark.parametrize("d", [6, 13, 20])
def test_every_pair_of_places_is_as_likely(d):
    permuted = subsets.random_permutation(streams(10, DRAWS), d)
    pairs = list(itertools.permutations(range(d), 2))
    for places in ([0, 1], [0, d - 1], [d // 2, 1]):
        assert_uniform(numbered(permuted[:, places], pairs), len(pairs))


def test_the_streams_of_the_clients_are_independent():
    first = subsets.random_subset(streams(11, DRAWS), 12, 1)[:, 0]
    assert_uniform(12 * first[::2] + first[1::2], 144)
