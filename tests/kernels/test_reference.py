"""The normative kernels against slow versions in Python integers, written from the design.

The slow versions compute one coordinate of one client at a time and share no code with the package.
The statistical tests below make fewer than 50 000 comparisons; see ``helpers`` for their level.
"""

import itertools
import math
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import chi2

from cqlib import Key, compressors, theory
from cqlib.kernels import reference
from cqlib.kernels.reference import norms, packing, ranks, rounding
from cqlib.keys import Stream
from tests.helpers import LEVEL, Z, philox, standard_error, stream_key

DIMENSIONS = [1, 2, 7, 8, 9, 16, 17, 1023, 1024, 1025, 2500]
FLOAT32_MAX = float(np.finfo(np.float32).max)


# --- twins ---------------------------------------------------------------------------------------


def place(j, d):
    """Return tile, bit and byte within the tile of coordinate j of d."""
    tile, in_tile = divmod(j, 1024)
    coordinates = min(1024, d - 1024 * tile)
    length = math.ceil(coordinates / 8)
    bit, byte = divmod(in_tile, length)
    return tile, bit, byte


def word(key, j, d):
    """Return the random word of coordinate j of a stream."""
    tile, bit, byte = place(j, d)
    return philox((256 * tile + 128 * (bit // 4) + byte, 0, 0, 0), key)[bit % 4]


def pack(bits):
    """Return the bytes of a list of bits."""
    d = len(bits)
    codes = bytearray(math.ceil(d / 8))
    for j, up in enumerate(bits):
        tile, bit, byte = place(j, d)
        codes[128 * tile + byte] |= int(up) << bit
    return bytes(codes)


def tree_sum(values):
    """Add rows of 64 entries, neighbours first; then fold the row in halves."""
    rows = [[*values[i : i + 64], *[0.0] * 64][:64] for i in range(0, len(values), 64)]
    while len(rows) > 1:
        rows += [[0.0] * 64] * (len(rows) % 2)
        rows = [
            [a + b for a, b in zip(*pair, strict=True)]
            for pair in zip(rows[::2], rows[1::2], strict=True)
        ]
    (row,) = rows
    while len(row) > 1:
        half = len(row) // 2
        row = [a + b for a, b in zip(row[:half], row[half:], strict=True)]
    return row[0]


def l2_scale(x):
    """Return the norm of a list of floats, rounded up to float32, at least 2^-126; 0 for zeros."""
    if not any(x):
        return 0.0
    norm = math.sqrt(tree_sum([v * v for v in x]))
    scale = np.float32(norm)
    while float(scale) < norm:
        scale = np.nextafter(scale, np.float32(np.inf))
    return max(float(scale), 2.0**-126)


def grid(x, scale):
    """Return the grid position of a coordinate: 0 at -scale, 2^31 at +scale."""
    if scale == 0:
        return 2**30
    return min(max(math.floor(x * 2**30 / scale), -(2**30)), 2**30) + 2**30


def sigma(key, tile, client, n):
    """Return the image of a client under the tile's permutation: 32 swap-or-not rounds."""
    x = client
    for r in range(32):
        offset = philox((r // 4, tile, 0, 0), key)[r % 4] * n >> 32
        partner = (offset - x) % n
        decider = max(x, partner)
        words = philox((decider // 128, tile, 1 + r, 0), key)
        if words[decider // 32 % 4] >> decider % 32 & 1:
            x = partner
    return x


def shift_rank(seed, round, j, d, client, n):
    """Return the rank of a client at a coordinate: (shift + sigma) mod n."""
    shift = word(stream_key(seed, round, Stream.SHIFT), j, d) * n >> 32
    return (shift + sigma(stream_key(seed, round, Stream.SIGMA), j // 1024, client, n)) % n


def permutation_rank(seed, round, j, client, n):
    """Return the rank of a client at a coordinate: clients with a smaller ticket, ties by id."""
    key = stream_key(seed, round, Stream.PERMUTATION)

    def ticket(i):
        words = philox((i // 2, j, 0, 0), key)
        return words[2 * (i % 2)] * 2**32 + words[2 * (i % 2) + 1], i

    return sum(ticket(i) < ticket(client) for i in range(n))


def encode(name, x, seed, round, client, n):
    """Return scale and code bytes of a client's vector under IQ or CQ."""
    d = len(x)
    scale = l2_scale(x)
    bits = []
    for j in range(d):
        g = grid(x[j], scale)
        u = word(stream_key(seed, round, Stream.ROUNDING, client), j, d) >> 1
        if name == "iq":
            bits.append(u < g)
        elif name == "cq-shift":
            bits.append(shift_rank(seed, round, j, d, client, n) * 2**31 + u < n * g)
        else:
            bits.append(permutation_rank(seed, round, j, client, n) * 2**31 + u < n * g)
    return scale, pack(bits)


# --- layout --------------------------------------------------------------------------------------


def test_tiles_cover_the_vector_once():
    for d in range(1, 5000, 7):
        tiles = []
        for first, count, m in packing.tile_shapes(d):
            assert first == len(tiles)
            tiles += [m] * count
        assert tiles == [min(1024, d - start) for start in range(0, d, 1024)]


@pytest.mark.parametrize("d", DIMENSIONS)
def test_packed_bits(d):
    bits = np.random.default_rng(d).random((2, 3, d)) < 0.5
    codes = packing.pack_bits(bits)
    assert codes.dtype == np.uint8
    assert codes.shape == (2, 3, math.ceil(d / 8))
    for index in np.ndindex(2, 3):
        assert codes[index].tobytes() == pack(bits[index].tolist())
    unpacked = packing.unpack_bits(codes, d)
    assert unpacked.dtype == bool
    np.testing.assert_array_equal(unpacked, bits)


@given(st.integers(1, 3000), st.integers(0, 2**32 - 1))
def test_packing_is_undone(d, seed):
    bits = np.random.default_rng(seed).random(d) < 0.5
    np.testing.assert_array_equal(packing.unpack_bits(packing.pack_bits(bits), d), bits)


@pytest.mark.parametrize("d", [1, 7, 9, 100, 1023, 1025])
def test_every_padding_bit_is_refused(d):
    clear = packing.pack_bits(np.zeros(d, bool))
    used = int.from_bytes(pack([True] * d), "little")
    padding = [bit for bit in range(8 * len(clear)) if not used >> bit & 1]
    assert len(padding) == -d % 8
    for bit in padding:
        codes = clear.copy()
        codes[bit // 8] |= 1 << bit % 8
        with pytest.raises(ValueError, match="padding"):
            packing.unpack_bits(codes, d)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_words_of_the_coordinates(d):
    keys = [(1, 2), (0xFFFFFFFF, 0x80000000)]
    one = reference.stream_words(keys[0], d)
    rows = reference.stream_words(tuple(np.array(keys, dtype=np.uint64).T), d)
    assert one.dtype == rows.dtype == np.int64
    assert one.shape == (d,) and rows.shape == (2, d)
    np.testing.assert_array_equal(one, rows[0])
    step = 1 if d < 1000 else 3  # coprime to the layout, so that every bit and byte occurs
    for row, key in zip(rows, keys, strict=True):
        for j in range(0, d, step):
            assert row[j] == word(key, j, d)


def test_no_two_coordinates_share_a_word():
    for d in DIMENSIONS:
        words = {
            (256 * t + 128 * (k // 4) + b, k % 4) for t, k, b in (place(j, d) for j in range(d))
        }
        assert len(words) == d


# --- scales --------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=70))
def test_tree_sum_adds_in_one_order(values):
    found = norms.tree_sum(np.array(values))
    assert float(found) == tree_sum(values)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_tree_sum_does_not_see_the_layout(d):
    values = np.exp(20 * np.random.default_rng(d).standard_normal((3, 2, d)))
    expected = [[tree_sum(v.tolist()) for v in row] for row in values]
    strided = np.repeat(values, 2, axis=-1)[..., ::2]
    for layout in (values, np.asfortranarray(values), strided):
        np.testing.assert_array_equal(norms.tree_sum(layout), expected)


FINITE32 = st.floats(-(2.0**60), 2.0**60, width=32)
FINITE64 = st.floats(-1e38, 1e38)


@given(st.lists(FINITE32, min_size=1, max_size=40), st.lists(FINITE64, min_size=1, max_size=40))
def test_scale_is_the_norm_rounded_up(single, double):
    for values, dtype in ((single, np.float32), (double, np.float64)):
        x = np.array(values, dtype=dtype)
        scale = reference.l2_scale(x)
        assert scale.dtype == np.float32
        assert float(scale) == l2_scale(x.tolist())
        assert (np.abs(x) <= scale).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_against_the_exact_norm(dtype):
    # In rational arithmetic. Random norms are not close to a float32, so the rounded float64 sum is
    # the smallest float32 that is at least the exact norm.
    rng = np.random.default_rng(2)
    for d in (2, 3, 5, 17, 100, 1025):
        x = (rng.standard_normal((20, d)) * 10.0 ** rng.integers(-15, 15, (20, 1))).astype(dtype)
        for row, scale in zip(x, reference.l2_scale(x), strict=True):
            square = sum(Fraction(float(v)) ** 2 for v in row)
            below = np.nextafter(scale, np.float32(0))
            assert Fraction(float(below)) ** 2 < square <= Fraction(float(scale)) ** 2


def test_scale_rounds_the_float64_norm():
    # 1 + 2^-60 is 1 in float64. So the scale is below the exact norm, by less than the spacing of
    # float64, but no coordinate exceeds it.
    x = np.array([1.0, 2.0**-30])
    assert reference.l2_scale(x) == 1
    assert reference.l2_scale(np.array([1.0, 2.0**-25])) == np.nextafter(
        np.float32(1), np.float32(2)
    )


@pytest.mark.parametrize(
    ("x", "scale"),
    [
        ([0.0, -0.0], 0.0),
        ([3.0, 4.0], 5.0),
        ([1e-45], 2.0**-126),
        ([2.0**-126], 2.0**-126),
        ([5e-324, 0.0], 2.0**-126),
        ([1e-200, 1e-300], 2.0**-126),
        ([FLOAT32_MAX], FLOAT32_MAX),
        ([FLOAT32_MAX, FLOAT32_MAX], math.inf),
        ([np.nextafter(FLOAT32_MAX, math.inf)], math.inf),
        ([1e300], math.inf),
    ],
)
def test_scale_at_the_ends_of_the_range(x, scale):
    found = reference.l2_scale(np.array(x))
    assert float(found) == scale
    assert not np.signbit(found)


def test_scale_of_a_batch_is_that_of_each_row():
    x = np.random.default_rng(3).standard_normal((2, 3, 50))
    x[1, 2] = 0
    scales = reference.l2_scale(x)
    assert scales.shape == (2, 3)
    for index in np.ndindex(2, 3):
        assert float(scales[index]) == l2_scale(x[index].tolist())


# --- the grid and the two decisions --------------------------------------------------------------


@given(st.lists(FINITE64, min_size=1, max_size=20))
@example([0.0, -0.0])
@example([1e-310, -5e-324])
@example([-1.0, 2.0**-30, -(2.0**-31)])
def test_grid(values):
    x = np.array(values)
    scale = reference.l2_scale(x)
    g = rounding.grid(x, scale)
    assert g.dtype == np.int64
    assert g.tolist() == [grid(v, float(scale)) for v in values]
    assert ((g >= 0) & (g <= 2**31)).all()
    radius = Fraction(float(scale))
    for v, step in zip(values, g.tolist(), strict=True):
        # The expected decoded coordinate is too low by at most one step R 2^-30, plus the
        # rounding, or underflow, of a float64 division.
        low = Fraction(v) - radius * Fraction(step - 2**30, 2**30)
        error = abs(Fraction(v)) / 2**52 + radius / 2**1060
        assert -error <= low <= radius / 2**30 + error


def test_grid_at_its_ends():
    one = np.float32(1)
    x = np.array([-1.0, 1.0, 0.0, -0.0, -2.0, 2.0, 2.0**-30, -(2.0**-30), 2.0**-31, -(2.0**-31)])
    half = 2**30
    steps = [0, 2**31, half, half, 0, 2**31, half + 1, half - 1, half, half - 1]
    assert rounding.grid(x, one).tolist() == steps
    assert rounding.grid(np.zeros(2), np.float32(0)).tolist() == [half, half]


@pytest.mark.parametrize(
    ("g", "u", "up"),
    [
        (0, 0, False),
        (1, 0, True),
        (1, 1, False),
        (2**30, 2**30 - 1, True),
        (2**30, 2**30, False),
        (2**31 - 1, 2**31 - 2, True),
        (2**31 - 1, 2**31 - 1, False),
        (2**31, 2**31 - 1, True),
    ],
)
def test_iq_decides_at_the_step(g, u, up):
    words = np.array([2 * u, 2 * u + 1])  # the last bit of a word is not used
    assert rounding.round_independent(np.array([g, g]), words).tolist() == [up, up]


@given(st.integers(0, 2**31), st.integers(0, 2**32 - 1))
def test_iq_decision(g, w):
    assert bool(rounding.round_independent(np.array(g), np.array(w))) == (w // 2 < g)


@given(
    st.one_of(st.integers(1, 50), st.integers(1, 2**32 - 1), st.just(2**32 - 1)),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.integers(-2, 2),
)
@example(2**32 - 1, 1.0, 2**32 - 1, 2)
def test_cq_decision_about_the_threshold(n, where, w, steps):
    rank = min(int(where * n), n - 1)
    threshold = rank * 2**31 + w // 2
    # The g closest to the threshold (a tie if n divides it), and its neighbours.
    g = min(max(threshold // n + steps, 0), 2**31)
    found = rounding.round_correlated(np.array(g), np.array(w), np.array(rank), n)
    assert bool(found) == (threshold < n * g)


def test_cq_ties_round_down():
    ties = 0  # rank 2^31 + u = n g exactly
    for n in (1, 2, 3, 5, 8):
        for rank in range(n):
            for g in range(rank * 2**31 // n, rank * 2**31 // n + 100):
                u = n * g - rank * 2**31
                if 1 <= u < 2**31:
                    words = np.array([2 * u - 1, 2 * u, 2 * u + 1])
                    up = rounding.round_correlated(np.array(g), words, np.array(rank), n)
                    assert up.tolist() == [True, False, False]
                    ties += 1
    assert ties > 1500


@given(st.integers(1, 60), st.integers(0, 2**31), st.integers(0, 2**32 - 1))
def test_equal_clients_leave_one_undecided(n, g, seed):
    words = np.random.default_rng(seed).integers(0, 2**32, n)
    ups = int(rounding.round_correlated(np.full(n, g), words, np.arange(n), n).sum())
    assert n * g // 2**31 <= ups <= -(-n * g // 2**31)


# --- sigma ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [*range(1, 41), 127, 128, 129, 1000])
def test_sigma_is_a_permutation(n):
    images = reference.sigma(Key(4, n), tiles=3, clients=np.arange(n), n_clients=n)
    assert images.dtype == np.int64
    assert images.shape == (3, n)
    np.testing.assert_array_equal(np.sort(images, axis=1), np.tile(np.arange(n), (3, 1)))
    for tile in range(3):
        for client in {0, n // 2, n - 1}:
            assert images[tile, client] == sigma(stream_key(4, n, Stream.SIGMA), tile, client, n)


@pytest.mark.parametrize("n", [4097, 5000, 70_001])
def test_sigma_pointwise_and_by_table(n):
    # For all clients there is a table of swap bits; a few of many clients compute their words.
    everyone = reference.sigma(Key(6), tiles=2, clients=np.arange(n), n_clients=n)
    np.testing.assert_array_equal(np.sort(everyone, axis=1), np.tile(np.arange(n), (2, 1)))
    for client in (0, 1, n // 3, n - 1):
        alone = reference.sigma(Key(6), tiles=2, clients=np.array([client]), n_clients=n)
        np.testing.assert_array_equal(alone[:, 0], everyone[:, client])
    few = np.array([n - 1, 5, 77])
    some = reference.sigma(Key(6), tiles=2, clients=few, n_clients=n)
    np.testing.assert_array_equal(some, everyone[:, few])


@pytest.mark.parametrize("n", [2**20 + 7, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1])
def test_sigma_of_very_many_clients(n):
    clients = np.array([0, 1, 12345, n // 2, n - 2, n - 1])
    images = reference.sigma(Key(8), tiles=2, clients=clients, n_clients=n)
    assert ((images >= 0) & (images < n)).all()
    key = stream_key(8, 0, Stream.SIGMA)
    for tile in range(2):
        assert len(set(images[tile])) == len(clients)
        assert images[tile].tolist() == [sigma(key, tile, c, n) for c in clients.tolist()]


def swap_or_not_pairs(n, rounds):
    """Return the exact law of (sigma(0), sigma(1)) for ideal offsets and swap bits."""
    chance = np.zeros((n, n))
    chance[0, 1] = 1
    x, y = np.indices((n, n))
    for _ in range(rounds):
        after = np.zeros((n, n))
        for offset in range(n):
            to_x, to_y = (offset - x) % n, (offset - y) % n
            partners = to_x == y  # then one bit decides for both
            for move_x, move_y in np.ndindex(2, 2):
                weight = np.where(partners, 0.5 * (move_x == move_y), 0.25)
                target = np.where(move_x, to_x, x), np.where(move_y, to_y, y)
                np.add.at(after, target, chance * weight / n)
        chance = after
    return chance


@pytest.mark.parametrize("n", range(2, 17))
def test_ideal_swap_or_not_is_nearly_uniform_on_pairs(n):
    def distance(rounds):
        chance = swap_or_not_pairs(n, rounds)
        uniform = (1 - np.eye(n)) / (n * (n - 1))
        assert chance.sum() == pytest.approx(1, abs=1e-12)
        return np.abs(chance - uniform).sum() / 2

    assert distance(ranks.SIGMA_ROUNDS) < 1e-6
    assert distance(ranks.SIGMA_ROUNDS // 2) > 1e-6 or n < 4  # half as many rounds are too few


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_sigma_is_uniform_on_pairs(n):
    tiles = 20_000
    images = reference.sigma(Key(10), tiles=tiles, clients=np.array([0, n - 1]), n_clients=n)
    assert_uniform(n * images[:, 0] + images[:, 1], [n * a + b for a, b in ordered_pairs(n)])


def ordered_pairs(n):
    return [(a, b) for a in range(n) for b in range(n) if a != b]


def assert_uniform(outcomes, cells):
    """Test at LEVEL, by chi-square, that independent outcomes are uniform over cells."""
    values, counts = np.unique(outcomes, return_counts=True)
    assert set(values.tolist()) <= set(cells)
    expected = len(outcomes) / len(cells)
    assert expected > 20
    missing = len(cells) - len(values)
    statistic = ((counts - expected) ** 2).sum() / expected + missing * expected
    assert statistic < chi2.isf(LEVEL, len(cells) - 1)


# --- ranks ---------------------------------------------------------------------------------------

RANKS = {"shift": reference.shift_ranks, "permutation": reference.permutation_ranks}


def rank_twin(name, seed, round, j, d, client, n):
    if name == "shift":
        return shift_rank(seed, round, j, d, client, n)
    return permutation_rank(seed, round, j, client, n)


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("d", [1, 9, 1023, 2500])
def test_ranks_are_a_permutation_at_each_coordinate(name, n, d):
    clients = np.arange(n)
    ranks = RANKS[name](Key(11, 12), d=d, clients=clients, n_clients=n)
    assert ranks.dtype == np.int64
    np.testing.assert_array_equal(np.sort(ranks, axis=0), np.tile(clients[:, None], (1, d)))
    for j in sorted({0, d // 2, d - 1, min(1024, d - 1)}):
        for client in {0, n - 1}:
            assert ranks[client, j] == rank_twin(name, 11, 12, j, d, client, n)
    for client in range(n):
        alone = RANKS[name](Key(11, 12), d=d, clients=np.array([client]), n_clients=n)
        np.testing.assert_array_equal(alone[0], ranks[client])


@pytest.mark.parametrize("n", [2**31 - 1, 2**31 + 5, 2**32 - 1])
def test_shift_ranks_of_very_many_clients(n):
    # word * n has up to 64 bits, too many for a signed integer.
    clients = np.array([3, n - 1])
    ranks = reference.shift_ranks(Key(13), d=12, clients=clients, n_clients=n)
    for (row, j), rank in np.ndenumerate(ranks):
        assert rank == shift_rank(13, 0, j, 12, int(clients[row]), n)


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_ranks_are_uniform(name, n):
    # sigma is constant within a tile, so that each (round, tile) gives one independent sample.
    tiles, rounds = 100, 12
    ranks = np.concatenate(
        [
            RANKS[name](Key(14, r), d=1024 * tiles, clients=np.array([0, n - 1]), n_clients=n)
            for r in range(rounds)
        ],
        axis=1,
    )
    for offset in (0, 1023):
        first, last = ranks[:, offset::1024]
        assert_uniform(first, list(range(n)))
        assert_uniform(last, list(range(n)))
        assert_uniform(n * first + last, [n * a + b for a, b in ordered_pairs(n)])
    # One client's ranks at neighbouring coordinates are independent.
    assert_uniform(n * ranks[0, ::2] + ranks[0, 1::2], list(range(n * n)))


def test_sigma_is_redrawn_per_tile_and_round():
    n, tiles = 16, 40
    clients = np.arange(n)
    seen = set()
    for r in range(3):
        ranks = reference.shift_ranks(Key(15, r), d=1024 * tiles, clients=clients, n_clients=n)
        relative = (ranks - ranks[0]) % n  # the shift cancels: sigma(i) - sigma(0)
        by_tile = relative.reshape(n, tiles, 1024)
        np.testing.assert_array_equal(by_tile, np.repeat(by_tile[:, :, :1], 1024, axis=2))
        seen |= {tuple(by_tile[:, t, 0].tolist()) for t in range(tiles)}
    assert len(seen) == 3 * tiles
    assert tuple(range(n)) not in seen


@pytest.mark.parametrize("name", RANKS)
def test_a_trend_over_the_clients_would_show_a_missing_sigma(name):
    # Clients are sorted by their values. Without sigma, neighbours would have neighbouring ranks,
    # and the error would be several times that of the theory.
    n, tiles = 16, 300
    y = (np.arange(n) + 0.5) / n * 0.6 + 0.1
    g = np.floor(y * 2**31).astype(np.int64)[:, None]
    d = 1024 * tiles
    words = reference.stream_words(Key(16).private(Stream.ROUNDING, np.arange(n)), d)

    def squared_errors(ranks):
        ups = rounding.round_correlated(g, words, ranks, n)
        return ((ups.mean(axis=0) - y.mean()) ** 2).reshape(tiles, 1024).mean(axis=1)

    errors = squared_errors(RANKS[name](Key(16), d=d, clients=np.arange(n), n_clients=n))
    expected = theory.cq_variance(y)
    assert abs(errors.mean() - expected) < Z * standard_error(errors)
    shift = reference.stream_words(Key(16).shared(Stream.SHIFT), d) * n >> 32
    without = squared_errors((shift + np.arange(n)[:, None]) % n)
    assert without.mean() > 3 * expected


# --- the whole path ------------------------------------------------------------------------------

COMPRESSORS = {
    "iq": compressors.make("iq"),
    "cq-shift": compressors.make("cq"),
    "cq-permutation": compressors.make("cq", ranks="permutation"),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 10), (2, 7), (3, 64), (5, 33), (2, 1030)])
@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_client_sends_what_the_design_says(name, n, d, dtype):
    seed, round = 2**63 + 17, 2**40 + d
    X = torch.from_numpy(np.random.default_rng(d).standard_normal((n, d))).to(dtype)
    for client in range(n) if d < 1000 else [n - 1]:  # the slow versions take long
        x = X[client]
        payload = COMPRESSORS[name].encode(x, client=client, n_clients=n, key=Key(seed, round))
        scale, codes = encode(name, x.tolist(), seed, round, client, n)
        assert payload.scales.tolist() == [scale]
        assert payload.codes.numpy().tobytes() == codes
        decoded = COMPRESSORS[name].decode(
            payload, d=d, client=client, n_clients=n, key=Key(seed, round)
        )
        for j, value in enumerate(decoded.tolist()):
            tile, bit, byte = place(j, d)
            assert value == (scale if codes[128 * tile + byte] >> bit & 1 else -scale)


# --- other norms ---------------------------------------------------------------------------------


def to_the_power(values, p):
    """Return the sum of |v|^p, with 60 digits."""
    with localcontext(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN):
        return sum((abs(Decimal(float(v))) ** Decimal(p) for v in values), Decimal(0))


def assert_norm(x, p):
    """Check that the scale is at least the exact p-norm, and two float32 lower is below it."""
    scale = reference.norm_scale(x, p)
    assert scale.dtype == np.float32
    two_below = scale
    for _ in range(2):
        two_below = np.nextafter(two_below, np.float32(-np.inf))
    if p == math.inf:
        largest = max(abs(Fraction(float(v))) for v in x)
        assert Fraction(float(two_below)) < largest <= Fraction(float(scale))
    elif p == 1:
        total = sum(abs(Fraction(float(v))) for v in x)
        assert Fraction(float(two_below)) < total <= Fraction(float(scale))
    else:
        total = to_the_power(x, p)
        assert to_the_power([two_below], p) < total <= to_the_power([scale], p)
    assert (np.abs(x) <= scale).all()


OTHER_NORMS = [1, 1.25, 3.5, 100, math.inf]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", OTHER_NORMS)
def test_other_norms_are_not_below_the_exact_norm(p, dtype):
    rng = np.random.default_rng(17)
    for d in (1, 2, 3, 17, 100):
        x = rng.standard_normal((8, d)) * 10.0 ** rng.integers(-15, 15, (8, 1))
        heavy = rng.standard_normal((3, d)) ** 5
        for row in [*x, *heavy, np.ones(d), np.full(d, 0.1), np.eye(d)[0]]:
            assert_norm(row.astype(dtype), p)


@given(st.lists(FINITE32, min_size=1, max_size=12), st.sampled_from(OTHER_NORMS))
@example([1.0, 2.0**-60], 1)  # just above a float32
@example([1.0, 2.0**-24], 1)
@example([3.0, 3.0, 3.0], 3.5)
def test_any_other_norm(values, p):
    x = np.array(values)
    if np.abs(x).max() < 2.0**-126:
        assert reference.norm_scale(x, p) <= np.float32(2.0**-122)
    else:
        assert_norm(x, p)


@given(st.lists(FINITE64, min_size=1, max_size=40))
def test_the_2_norm_is_the_scale_of_iq(values):
    x = np.array(values)
    assert reference.norm_scale(x, 2).tobytes() == reference.l2_scale(x).tobytes()


@given(st.lists(FINITE64, min_size=1, max_size=40), st.sampled_from([np.float32, np.float64]))
def test_the_largest_entry_is_rounded_up(values, dtype):
    x = np.array(values, dtype=dtype)
    largest = float(np.abs(x).max())
    scale = float(reference.norm_scale(x, math.inf))
    if largest == 0 or largest >= 2.0**-126:
        assert scale >= largest
        assert scale == largest or float(np.nextafter(np.float32(scale), np.float32(0))) < largest
    else:
        assert scale == 2.0**-126


@pytest.mark.parametrize("p", [1, 1.25, 2, 3.5, 100, math.inf])
@pytest.mark.parametrize(
    ("x", "scale"),
    [
        ([0.0, -0.0], 0.0),
        ([0.0], 0.0),
        ([1e-45], 2.0**-126),
        ([5e-324, 0.0, 5e-324], 2.0**-126),
        ([1e-200, -1e-300], 2.0**-126),
        ([-FLOAT32_MAX, FLOAT32_MAX] * 64, {math.inf: FLOAT32_MAX}),
        ([np.nextafter(FLOAT32_MAX, math.inf)], math.inf),
        ([1e300], math.inf),
        ([1e300, -1e300, 1e-300], math.inf),
        ([1.7e308, 1.7e308], math.inf),
    ],
)
def test_other_norms_at_the_ends_of_the_range(x, scale, p):
    found = reference.norm_scale(np.array(x), p)
    assert float(found) == (scale.get(p, math.inf) if isinstance(scale, dict) else scale)
    assert not np.signbit(found)


@pytest.mark.parametrize("p", [1, 2, 3.5, math.inf])
def test_other_norms_of_a_batch_are_those_of_each_row(p):
    x = np.random.default_rng(18).standard_normal((2, 3, 50)) * 10.0 ** np.arange(3)[:, None]
    x[1, 2] = 0
    scales = reference.norm_scale(x, p)
    assert scales.shape == (2, 3)
    for index in np.ndindex(2, 3):
        assert scales[index].tobytes() == reference.norm_scale(x[index], p).tobytes()


# --- rounding to more than two levels ------------------------------------------------------------

WORDS = st.integers(0, 2**32 - 1)
POSITIONS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1 / 3, 5e-324, 1.0]))


def chance_rounds_up(chance, word):
    """Return True if the probability, in steps of 2^-31, exceeds the word's upper 31 bits."""
    return word // 2 < math.floor(chance * 2**31)


def linear(y, word, levels):
    """Return the level of y among 0, 1/s, .., 1; only the product y s 2^31 is rounded."""
    place = Fraction(math.floor(y * (levels * 2**31)), 2**31)
    below = math.floor(place)
    return below + chance_rounds_up(place - below, word)


def exponential(y, word, lowest):
    """Return the number of y's level among 0, 2^lowest, 2^(lowest + 1), .."""
    exact, level = Fraction(y), 0
    while Fraction(2) ** (lowest + level) <= exact:
        level += 1
    below = Fraction(2) ** (lowest + level - 1) if level else Fraction(0)
    above = Fraction(2) ** (lowest + level)
    return level + chance_rounds_up((exact - below) / (above - below), word)


@given(POSITIONS, WORDS, st.one_of(st.integers(1, 20), st.integers(1, 2**16)))
@example(1.0, 2**32 - 1, 2**16)
@example(float(np.nextafter(1.0, 0.0)), 0, 3)
def test_linear_rounding(y, word, levels):
    found = rounding.round_linear(np.array([y]), np.array([word]), levels)
    assert found.dtype == np.int64
    assert found.tolist() == [linear(y, word, levels)]
    assert 0 <= found[0] <= levels
    assert abs(found[0] - Fraction(y) * levels) < 1 + Fraction(1, 2**30)


@given(st.floats(0, 1), st.integers(0, 16), st.integers(-2, 2))
def test_linear_rounding_about_the_threshold(y, power, steps):
    # If s is a power of two, the probability is exact: y s mod 1.
    levels = 2**power
    below = math.floor(y * levels)
    step = math.floor((Fraction(y) * levels - below) * 2**31) + steps
    word = 2 * min(max(step, 0), 2**31 - 1)
    found = rounding.round_linear(np.array([y, y]), np.array([word, word + 1]), levels)
    up = word // 2 < math.floor((Fraction(y) * levels - below) * 2**31)
    assert found.tolist() == [below + up] * 2


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 100, 2**16])
def test_a_level_stays_where_it_is(levels):
    words = np.array([[0], [2**32 - 1]])
    for level in {0, 1, levels // 2, levels - 1, levels}:
        g = (level << 31) / (levels << 31)
        found = rounding.round_linear(np.array([g]), words, levels)
        # A quotient may be rounded to the float64 below its level: one step is missing then.
        assert (found[0] == level).all()
        assert found[1] == level or Fraction(g) * levels < level


@given(
    st.floats(0, 1e300) | st.floats(0, 1, width=32) | st.floats(0, 1e-300),
    WORDS,
    st.integers(-126, 0),
)
@example(2.0**-126, 2**32 - 1, -126)
@example(float(np.nextafter(2.0**-126, 0.0)), 0, -126)
@example(5e-324, 0, 0)
@example(1.0, 2**32 - 1, 0)
@example(0.0, 0, -3)
def test_exponential_rounding(y, word, lowest):
    found = rounding.round_exponential(np.array([y]), np.array([word]), lowest)
    assert found.dtype == np.int64
    assert found.tolist() == [exponential(y, word, lowest)]


@given(st.floats(0, 4), st.integers(-126, 0), st.integers(-2, 2))
def test_exponential_rounding_about_the_threshold(y, lowest, steps):
    exact, below = Fraction(y), Fraction(0)
    if exact >= Fraction(2) ** lowest:
        below = Fraction(2) ** (math.frexp(y)[1] - 1)
    width = below or Fraction(2) ** lowest
    step = math.floor((exact - below) / width * 2**31) + steps
    word = 2 * min(max(step, 0), 2**31 - 1)
    found = rounding.round_exponential(np.array([y, y]), np.array([word, word + 1]), lowest)
    assert found.tolist() == [exponential(y, word, lowest)] * 2


def test_rounding_of_rows_against_their_own_words():
    rng = np.random.default_rng(19)
    y = rng.random((2, 3, 40))
    words = rng.integers(0, 2**32, (3, 40))
    for found, twin in (
        (rounding.round_linear(y, words, 5), lambda v, w: linear(v, w, 5)),
        (rounding.round_exponential(y, words, -4), lambda v, w: exponential(v, w, -4)),
    ):
        assert found.shape == y.shape
        for b, c, j in np.ndindex(y.shape):
            assert found[b, c, j] == twin(float(y[b, c, j]), int(words[c, j]))


def test_rounding_has_no_bias():
    # Each threshold of a regular grid occurs once: the mean level is the position.
    u = np.arange(2**16) << 16
    for y in (0.0, 0.1, 0.25, 0.7, 0.999, 1.0):
        for levels in (1, 3, 8):
            found = rounding.round_linear(np.full(len(u), y), u, levels) / levels
            assert abs(found.mean() - y) <= 2.0**-16 / levels
        for lowest in (0, -1, -5):
            level = rounding.round_exponential(np.full(len(u), y), u, lowest)
            found = np.where(level > 0, 2.0 ** (level - 1 + lowest), 0)
            assert abs(found.mean() - y) <= 2.0**-16


def lowest_level(word, k):
    return -Fraction(word + 1, k * 2**32)


def k_levels(y, word, k):
    """Return the level below y, and y's position between it and the next in steps of 2^-31."""
    apart = Fraction(k + 1, k * (k - 1))
    steps = (y - lowest_level(word, k)) / apart
    return math.floor(steps), math.floor((steps - math.floor(steps)) * 2**31)


@given(WORDS, st.integers(3, 2**15))
@example(2**32 - 1, 3)
@example(0, 2**15)
def test_lowest_of_k_levels(word, k):
    (found,) = rounding.k_level_offset(np.array([word]), k)
    exact = lowest_level(word, k)
    assert -Fraction(1, k) <= exact < 0
    assert abs(Fraction(float(found)) - exact) <= -exact / 2**53  # one division
    assert -1 / k <= found < 0


@given(
    st.integers(0, 2**31) | st.sampled_from([0, 1, 2**30, 2**31 - 1, 2**31]),
    WORDS | st.sampled_from([0, 2**32 - 1]),
    st.integers(3, 20) | st.integers(3, 2**15),
)
@example(2**31, 2**32 - 1, 2**15)
@example(2**31, 2**32 - 1, 3)
@example(0, 0, 3)
def test_place_between_k_levels(g, word, k):
    m, place = rounding.k_level_grid(np.array([g]), np.array([word]), k)
    assert m.dtype == place.dtype == np.int64
    assert (m[0], place[0]) == k_levels(Fraction(g, 2**31), word, k)
    assert 0 <= m[0] <= k - 1 and 0 <= place[0] <= 2**31
    assert m[0] + (place[0] > 0) <= k - 1  # there is a level above


@given(st.integers(3, 2**15), st.data())
def test_place_at_a_level(k, data):
    # Words at which a coordinate of the grid is exactly a level, and their neighbours.
    m = data.draw(st.integers(0, k - 1))
    g = data.draw(st.integers(0, 2**31))
    at_level = math.floor((Fraction(m * (k + 1), k * (k - 1)) - Fraction(g, 2**31)) * k * 2**32)
    for word in range(at_level - 3, at_level + 3):
        if 0 <= word < 2**32:
            found = rounding.k_level_grid(np.array([g]), np.array([word]), k)
            assert tuple(int(v[0]) for v in found) == k_levels(Fraction(g, 2**31), word, k)


def test_k_levels_of_rows():
    rng = np.random.default_rng(20)
    g = rng.integers(0, 2**31 + 1, (2, 3, 30))
    words = rng.integers(0, 2**32, 30)
    m, place = rounding.k_level_grid(g, words, 5)
    offsets = rounding.k_level_offset(words, 5)
    assert m.shape == place.shape == g.shape and offsets.shape == (30,)
    for b, c, j in np.ndindex(g.shape):
        exact = k_levels(Fraction(int(g[b, c, j]), 2**31), int(words[j]), 5)
        assert (m[b, c, j], place[b, c, j]) == exact


# --- a shared order of the clients ---------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 16, 129, 4097])
def test_the_clients_are_permuted(n):
    places = reference.permuted_clients(Key(21, n), np.arange(n), n)
    assert places.dtype == np.int64
    np.testing.assert_array_equal(np.sort(places), np.arange(n))
    for client in {0, n // 2, n - 1}:
        exact = sigma(stream_key(21, n, Stream.ROWS), 0, client, n)
        assert places[client] == exact
        assert reference.permuted_clients(Key(21, n), np.array([client]), n).tolist() == [exact]


def test_each_shared_stream_has_its_own_sigma():
    n, tiles = 20, 30
    images = {
        stream: reference.sigma(
            Key(22), tiles=tiles, clients=np.arange(n), n_clients=n, stream=stream
        )
        for stream in (Stream.SIGMA, Stream.ROWS, Stream.DRAW)
    }
    default = reference.sigma(Key(22), tiles=tiles, clients=np.arange(n), n_clients=n)
    np.testing.assert_array_equal(images[Stream.SIGMA], default)
    seen = {tuple(row) for rows in images.values() for row in rows.tolist()}
    assert len(seen) == 3 * tiles
    for stream, rows in images.items():
        for tile in (0, tiles - 1):
            assert rows[tile, 7] == sigma(stream_key(22, 0, stream), tile, 7, n)


@pytest.mark.parametrize("n", [3, 4])
def test_the_order_of_the_clients_is_uniform(n):
    rounds = 600
    orders = [reference.permuted_clients(Key(23, r), np.arange(n), n) for r in range(rounds)]
    number = np.array(orders) @ n ** np.arange(n)
    cells = [sum(c * n**i for i, c in enumerate(p)) for p in itertools.permutations(range(n))]
    assert_uniform(number, cells)


def test_places_of_the_clients_are_uniform_and_independent_of_sigma():
    n, tiles = 6, 20_000
    clients = np.array([0, 4])
    rows, sigmas = (
        reference.sigma(Key(24), tiles=tiles, clients=clients, n_clients=n, stream=stream)
        for stream in (Stream.ROWS, Stream.SIGMA)
    )
    for column in rows.T:
        assert_uniform(column, list(range(n)))
    assert_uniform(n * rows[:, 0] + sigmas[:, 0], list(range(n * n)))
