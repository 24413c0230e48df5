"""The theory of the baselines against enumeration in rational numbers, encoders and simulation.

The statistical tests below make fewer than 50 000 comparisons; see ``helpers`` for their level.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqlib import theory
from cqlib.compressors import make
from cqlib.theory.rotation import PAPER_OMEGA, padded
from cqlib.theory.sparsification import block_sizes
from tests.helpers import assert_mean

EXACT = 1e-12  # relative; the formulas are a few float64 operations


def exactly(value):
    return pytest.approx(float(value), rel=EXACT, abs=EXACT)


def square(v):
    return sum(x * x for x in v)


def mean_of(vectors):
    return [sum(column) / Fraction(len(vectors)) for column in zip(*vectors, strict=True)]


def in_fractions(X):
    return [[Fraction(v) for v in row] for row in np.asarray(X).tolist()]


def distance(v, w):
    return square([a - b for a, b in zip(v, w, strict=True)])


# --- dithering: every rounding -------------------------------------------------------------------


def neighbours(y, levels):
    """Return the neighbouring levels of y with their probabilities, without bias."""
    below = max(level for level in levels if level <= y)
    if below == y:
        return [(y, Fraction(1))]
    above = min(level for level in levels if level > y)
    up = (y - below) / (above - below)
    return [(below, 1 - up), (above, up)]


def rounding_error(x, R, levels):
    """Return the expected squared error of the rounding of |x| / R to neighbouring levels."""
    choices = [neighbours(abs(v) / R, levels) for v in x]
    total = Fraction(0)
    for outcome in itertools.product(*choices):
        chance = math.prod(c for _, c in outcome)
        total += chance * distance([R * level for level, _ in outcome], [abs(v) for v in x])
    return total


def equidistant(s):
    return [Fraction(m, s) for m in range(s + 1)]


def powers_of_two(s):
    return [Fraction(0)] + [Fraction(1, 2**m) for m in range(s)]


# Rows whose p-norm is rational.
ROWS = {
    1: [(1, -2, 4), (0, 0, 3), (1, 1, 1), (5, -7, 2)],
    2: [(3, 4, 0), (1, 2, -2), (2, 3, 6), (-6, 2, 3), (4, 4, 7), (0, -4, 0)],
    3: [(3, 4, 5), (1, 6, 8), (-3, 0, 0)],
    math.inf: [(1, -2, 4), (3, 3, -3), (0, 5, 1), (7, 3, 2)],
}
P_NORMS = {1: lambda x: sum(map(abs, x)), 2: lambda x: math.isqrt(square(x))}
P_NORMS[3] = lambda x: round(sum(abs(v) ** 3 for v in x) ** (1 / 3))
P_NORMS[math.inf] = lambda x: max(map(abs, x))


@pytest.mark.parametrize("s", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize("p", ROWS)
def test_dithering_against_every_rounding(p, s):
    X = np.array(ROWS[p], dtype=float)
    for levels, variance in (
        (equidistant(s), theory.standard_dithering_variance),
        (powers_of_two(s), theory.natural_dithering_variance),
    ):
        exact = [rounding_error(x, Fraction(P_NORMS[p](x)), levels) for x in ROWS[p]]
        for size in (1.0, 2.0**-50, -(2.0**50)):
            found = variance(size * X, p, s)
            assert found.shape == (len(X),)
            for x, error, e in zip(ROWS[p], found / size**2, exact, strict=True):
                assert error == pytest.approx(float(e), rel=EXACT, abs=EXACT * square(x))


@pytest.mark.parametrize(
    "x", [(3.0, -5.0, 7.0), (4 / 3, 0.1, 1.0), (1e20, 3e-20, 0.0), (-1.0, 2.0, 0.25)]
)
def test_natural_compression_against_every_rounding(x):
    exponents = range(-80, 80)
    levels = [Fraction(0)] + [Fraction(2) ** e for e in exponents]
    exact = rounding_error([Fraction(v) for v in x], Fraction(1), levels)
    (found,) = theory.natural_compression_variance(np.array([x]))
    assert found == pytest.approx(float(exact), rel=EXACT, abs=EXACT * float(max(map(abs, x))) ** 2)


def test_natural_compression_below_the_normal_floats():
    smallest = 2.0**-126
    for x in (smallest / 2, smallest / 3, smallest * 1.5, 2.0**-149, smallest):
        levels = [Fraction(0), Fraction(smallest), Fraction(2 * smallest)]
        exact = rounding_error([Fraction(x)], Fraction(1), levels)
        (found,) = theory.natural_compression_variance(np.array([[x]]))
        assert found == pytest.approx(float(exact), rel=EXACT, abs=0)


def test_a_zero_vector_has_no_error():
    X = np.array([[0.0, 0.0], [1.0, 3.0]])
    for variance in (
        theory.standard_dithering_variance,
        theory.natural_dithering_variance,
        theory.natural_compression_variance,
    ):
        found = variance(X)
        assert found[0] == 0 < found[1]


# --- dithering: bounds ---------------------------------------------------------------------------

INDICES = [1, 1.2, 1.5, 2, 2.5, 3.5, 10, math.inf]


def worst_for_the_largest(d):
    """Return a vector with the largest |x|_inf |x|_1 / |x|_2^2."""
    return np.array([1.0] + [1 / (1 + math.sqrt(d))] * (d - 1))


def adversaries(d, p, s):
    """Return vectors to test a bound: equal entries, few, midway between levels, very unequal."""
    rng = np.random.default_rng([d, s])
    rows = [np.ones(d), worst_for_the_largest(d), 2.0 ** -np.arange(d), 1.0 / np.arange(1, d + 1)]
    rows += [np.arange(d) < k for k in {1, (d + 1) // 2, d}]
    rows += [rng.standard_normal(d) ** power for power in (1, 3, 9)]
    rows += [rng.integers(-1, 2, d), rng.integers(-4, 5, d)]
    halfway = (rng.integers(0, max(s // 2, 1), d) + 0.5) / s
    for share in (0.3, 1.0):
        small = halfway * share
        rest = 1 - np.sum(small[1:] ** p) if p < math.inf else 1.0
        if rest > 0:
            rows.append(np.append(rest ** (1 / p), small[1:]))
    return np.array([row for row in rows if np.any(row)], dtype=float)


BOUNDS = {
    "standard": (theory.standard_dithering_omega, theory.standard_dithering_variance),
    "natural": (theory.natural_dithering_omega, theory.natural_dithering_variance),
}


@pytest.mark.parametrize("p", INDICES)
@pytest.mark.parametrize("name", BOUNDS)
def test_dithering_bounds_hold(name, p):
    omega, variance = BOUNDS[name]
    for d in (1, 2, 3, 4, 16, 100, 1000):
        for s in (1, 2, 3, 4, 7, 30):
            X = adversaries(d, p, s)
            errors = variance(X, p, s) / np.sum(X**2, axis=1)
            assert errors.max() <= omega(d, p, s) + EXACT * max(1, omega(d, p, s))


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=12),
    st.sampled_from(INDICES) | st.floats(1, 20),
    st.integers(1, 12),
    st.sampled_from(sorted(BOUNDS)),
)
def test_dithering_bounds_hold_for_any_vector(x, p, s, name):
    omega, variance = BOUNDS[name]
    X = np.array([x])
    (error,) = variance(X, p, s)
    assert error <= omega(len(x), p, s) * np.sum(X**2) * (1 + EXACT) + EXACT * np.max(X**2)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 16, 100, 1000])
def test_one_level_attains_its_bound(d):
    for p in (1, 1.3, 1.5, 2):
        found = theory.standard_dithering_variance(np.ones((1, d)), p, 1)[0] / d
        assert found == exactly(d ** (1 / p) - 1)
        assert theory.standard_dithering_omega(d, p, 1) == exactly(d ** (1 / p) - 1)
    x = worst_for_the_largest(d)
    found = theory.standard_dithering_variance(x[None], math.inf, 1)[0] / square(x)
    assert found == exactly((math.sqrt(d) - 1) / 2)
    assert theory.standard_dithering_omega(d, math.inf, 1) == exactly((math.sqrt(d) - 1) / 2)


@pytest.mark.parametrize("s", [2, 3, 7])
def test_many_levels_attain_the_bound_halfway(s):
    # Equal coordinates at half a step: y = 1 / sqrt(d) = 1 / (2 s).
    d = 4 * s * s
    found = theory.standard_dithering_variance(np.ones((1, d)), 2, s)[0] / d
    assert found == pytest.approx(theory.standard_dithering_omega(d, 2, s), rel=EXACT)
    assert theory.standard_dithering_omega(d, 2, s) == pytest.approx(1, rel=EXACT)


@pytest.mark.parametrize(("d", "s"), [(16, 2), (36, 2), (36, 3), (100, 4), (10_000, 7)])
def test_equal_entries_attain_the_bounds_of_few_levels(d, s):
    ones = np.ones((1, d))
    found = theory.standard_dithering_variance(ones, 2, s)[0] / d
    assert found == exactly(math.sqrt(d) / s - 1) == theory.standard_dithering_omega(d, 2, s)
    if math.sqrt(d) * 2.0 ** (1 - s) >= 2.25:
        found = theory.natural_dithering_variance(ones, 2, s)[0] / d
        assert found == exactly(theory.natural_dithering_omega(d, 2, s))


@given(st.integers(1, 10**6), st.integers(1, 60))
def test_natural_dithering_sharpens_the_published_bound(d, s):
    t = math.sqrt(d) * 2.0 ** (1 - s)
    published = 1 / 8 + t * min(1, t)
    assert theory.natural_dithering_omega(d, 2, s) <= published * (1 + EXACT)


def test_the_papers_constants_of_dithering_are_the_published_ones():
    natural, standard = make("natural_dithering", s=3), make("standard_dithering", s=3)
    for c, published in ((natural, 1.125), (standard, 4 / 3)):
        stated = c.ab(4, 16, constants="paper").A
        assert stated == exactly(published / 4) and stated > c.ab(4, 16).A


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_standard_dithering_sharpens_qsgd(d, s):
    found = theory.standard_dithering_omega(d, 2, s)
    assert found <= min(d / s**2, math.sqrt(d) / s) * (1 + EXACT)


@given(st.lists(st.floats(2.0**-100, 2.0**100), min_size=1, max_size=20))
def test_an_eighth_bounds_natural_compression(x):
    X = np.array([x])
    assert theory.natural_compression_variance(X)[0] <= np.sum(X**2) / 8 * (1 + EXACT)


def test_natural_compression_attains_an_eighth():
    X = np.array([[4 / 3, 8 / 3, -(2**40) / 3]])
    assert theory.natural_compression_variance(X)[0] == pytest.approx(np.sum(X**2) / 8, rel=EXACT)


# --- sparsification: every draw ------------------------------------------------------------------


def small_integers(n, d, seed=0):
    return np.random.default_rng([n, d, seed]).integers(-5, 6, (n, d))


def expectation(outcomes, X):
    """Return the expected squared error of equally likely means; check that they are unbiased."""
    outcomes = list(outcomes)
    a = mean_of(X)
    assert mean_of(outcomes) == a
    return sum(distance(outcome, a) for outcome in outcomes) / Fraction(len(outcomes))


@pytest.mark.parametrize(("n", "d", "k"), [(1, 5, 2), (2, 4, 1), (2, 4, 3), (3, 3, 2), (2, 3, 3)])
def test_rand_k_against_every_subset(n, d, k):
    X = in_fractions(small_integers(n, d))
    subsets = list(itertools.combinations(range(d), k))
    weight = Fraction(d, k)
    outcomes = (
        mean_of([[weight * v * (j in kept) for j, v in enumerate(x)] for x, kept in pairs])
        for pairs in (zip(X, draws, strict=True) for draws in itertools.product(subsets, repeat=n))
    )
    assert theory.rand_k_mse(small_integers(n, d), k) == exactly(expectation(outcomes, X))


def slices(d, b):
    """Return d places cut into b blocks, the longer ones first."""
    small, more = divmod(d, b)
    ends = list(itertools.accumulate([small + 1] * more + [small] * (b - more)))
    return [range(start, stop) for start, stop in itertools.pairwise([0, *ends])]


def perm_k_rows(X):
    """Yield the clients' decoded vectors, for every order of coordinates and of clients."""
    n, d = len(X), len(X[0])
    for columns in itertools.permutations(range(d)):
        for turns in itertools.permutations(range(n)):
            if n <= d:
                kept = [{columns[place] for place in slices(d, n)[turn]} for turn in turns]
            else:
                kept = [{columns[turn % d]} for turn in turns]
            sharing = [sum(j in own for own in kept) for j in range(d)]
            yield [
                [v * Fraction(n, sharing[j]) if j in own else Fraction(0) for j, v in enumerate(x)]
                for x, own in zip(X, kept, strict=True)
            ]


SHAPES = [(1, 1), (1, 3), (2, 2), (2, 3), (2, 5), (3, 3), (3, 4), (2, 1), (5, 1), (3, 2), (4, 2)]
SHAPES += [(5, 2), (4, 3), (5, 3), (6, 2)]


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_perm_k_against_every_permutation(n, d):
    integers = small_integers(n, d)
    X = in_fractions(integers)
    rows = list(perm_k_rows(X))
    outcomes = [mean_of(sent) for sent in rows]
    assert theory.perm_k_mse(integers) == exactly(expectation(outcomes, X))
    assert theory.perm_k_mse(np.tile(integers[:1], (n, 1))) == exactly(0)
    omega = theory.perm_k_omega(d, n)
    for client, x in enumerate(X):
        error = sum(distance(sent[client], x) for sent in rows) / Fraction(len(rows))
        assert float(error) == exactly(omega * square(x))


def test_largest_omega_of_perm_k():
    for d in range(1, 60):
        assert theory.perm_k_omega(d) == exactly(
            max(theory.perm_k_omega(d, n) for n in range(1, 6 * d + 1))
        )


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_blocks_share_the_columns_out(d, b):
    sizes = block_sizes(d, b)
    assert len(sizes) == b and sum(sizes) == d
    assert max(sizes) - min(sizes) <= 1


def permk_iq_error(X, b):
    """Return the exact error of PermK with IQ: all orders, with independent rounding."""
    n, d = len(X), len(X[0])
    a = mean_of(X)
    orders = itertools.product(itertools.permutations(range(d)), itertools.permutations(range(n)))
    total, count = Fraction(0), 0
    for columns, turns in orders:
        kept = [{columns[place] for place in slices(d, b)[turn // (n // b)]} for turn in turns]
        sent = [
            [b * v if j in own else Fraction(0) for j, v in enumerate(x)]
            for x, own in zip(X, kept, strict=True)
        ]
        total += distance(mean_of(sent), a)
        for v, own in zip(sent, kept, strict=True):  # +-R with mean v_j: variance R^2 - v_j^2
            total += sum(square(v) - v[j] ** 2 for j in own) / Fraction(n) ** 2
        count += 1
    return total / count


BLOCKS = [(1, 3, 1), (2, 3, 1), (2, 2, 2), (2, 3, 2), (2, 5, 2), (3, 4, 3), (4, 3, 2), (4, 4, 4)]
BLOCKS += [(4, 3, 4), (2, 1, 2), (4, 2, 4)]


@pytest.mark.parametrize(("n", "d", "b"), BLOCKS)
def test_permk_iq_against_every_permutation(n, d, b):
    integers = small_integers(n, d)
    exact = permk_iq_error(in_fractions(integers), b)
    assert theory.permk_iq_mse(integers, b) == exactly(exact)
    A, B = theory.permk_cq_constants(n, d, b)
    mean_square = np.sum(integers**2) / n
    spread = np.sum((integers - integers.mean(axis=0)) ** 2) / n
    assert (A - B) * mean_square + B * spread == exactly(exact)


@pytest.mark.parametrize(("n", "d", "b"), [(4, 8, 2), (6, 6, 3), (12, 24, 12), (5, 7, 1)])
def test_constants_where_the_blocks_divide_the_columns(n, d, b):
    A, B = theory.permk_cq_constants(n, d, b)
    assert B == exactly(Fraction(b - 1, n - 1))
    assert A == exactly(Fraction(d - b, n) + Fraction(b - 1, n - 1))


CHANCES = [
    [Fraction(1)],
    [Fraction(1, 4), Fraction(3, 4)],
    [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)],
]


@pytest.mark.parametrize("tau", [1, 2, 3])
@pytest.mark.parametrize("q", CHANCES, ids=len)
def test_importance_sampling_against_every_draw(q, tau):
    n, d = len(q), 2
    integers = small_integers(n, d)
    X = in_fractions(integers)
    a = mean_of(X)
    whole = [(q[i], [v / (n * q[i]) for v in X[i]]) for i in range(n)]
    halves = [  # RandK with k = 1 of 2 coordinates: omega = 1
        (chance / 2, [2 * v * (j == kept) for j, v in enumerate(x)])
        for chance, x in whole
        for kept in range(d)
    ]
    for omega, draws in ((0.0, whole), (1.0, halves)):
        error, mean = Fraction(0), [Fraction(0)] * d
        for outcome in itertools.product(draws, repeat=tau):
            chance = math.prod(c for c, _ in outcome)
            estimate = mean_of([v for _, v in outcome])
            error += chance * distance(estimate, a)
            mean = [m + chance * v for m, v in zip(mean, estimate, strict=True)]
        assert mean == a
        found = theory.importance_sampling_mse(integers, [float(c) for c in q], tau, omega)
        assert found == exactly(error)


# --- DRIVE ---------------------------------------------------------------------------------------


def directions(rng, draws, D):
    """Return uniformly random unit vectors, shape (draws, D)."""
    g = rng.standard_normal((draws, D))
    return g / np.linalg.norm(g, axis=1, keepdims=True)


def orthogonal(rng, draws, D):
    """Return uniformly random orthogonal matrices: Gram-Schmidt of normal columns."""
    Q, R = np.linalg.qr(rng.standard_normal((draws, D, D)))
    return Q * np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]


@given(st.integers(1, 2**40))
def test_padding_to_a_power_of_two(d):
    D = padded(d)
    assert D & (D - 1) == 0
    assert D >= d > D // 2


@pytest.mark.parametrize("d", [2, 3, 4, 5, 8, 48, 64, 256])
def test_drive_omega_by_simulation(d):
    D = padded(d)
    y = directions(np.random.default_rng(d), 40_000 if D < 64 else 4_000, D)
    samples = D / np.abs(y).sum(axis=1) ** 2 - 1
    assert_mean(samples * (d - 1) / max(D - 1, 1), theory.drive_omega(d))


def test_limits_of_drive():
    assert theory.drive_omega(1) == 0
    assert theory.drive_omega(2) == pytest.approx(4 / math.pi - 1, rel=EXACT)
    powers = [theory.drive_omega(2**e) for e in range(33)]
    assert powers == sorted(powers)
    assert powers[-1] < PAPER_OMEGA == math.pi / 2 - 1
    # |y|_1^2 / D is 2 / pi with a deviation of order 1 / sqrt(D): the rest is of order 1 / D.
    rests = [(PAPER_OMEGA - omega) * 2**e for e, omega in enumerate(powers)]
    assert max(rests[5:]) < 0.5 and min(rests[5:]) > 0.4
    for d in range(1, 300):
        D = padded(d)
        share = Fraction(d - 1, max(D - 1, 1))
        assert theory.drive_omega(d) == pytest.approx(
            float(share) * theory.drive_omega(D), rel=1e-9
        )


def sent_by_drive(x, scale, rng, draws):
    """Return x after DRIVE: pad, rotate, keep signs and one scale, rotate back, crop."""
    D = padded(len(x))
    Q = orthogonal(rng, draws, D)
    y = Q[:, :, : len(x)] @ x
    length = np.abs(y).sum(axis=1)
    S = length / D if scale == "min_error" else x @ x / length
    signs = np.where(y >= 0, 1.0, -1.0)
    return S[:, None] * np.einsum("rij,ri->rj", Q, signs)[:, : len(x)]


VECTORS = {
    "one": lambda d: np.eye(d)[0],
    "equal": np.ones,
    "normal": lambda d: np.random.default_rng(d).standard_normal(d),
}


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("d", [1, 2, 4, 5, 6, 12])
def test_drive_by_simulation(d, name):
    draws = 8000
    x = VECTORS[name](d)
    for scale, (c, error) in (
        ("min_error", theory.drive_min_error(d)),
        ("unbiased", (1.0, theory.drive_omega(d))),
    ):
        found = sent_by_drive(x, scale, np.random.default_rng([3, d]), draws)
        errors = np.sum((found - x) ** 2, axis=1) / (x @ x)
        if d == 1:
            np.testing.assert_allclose(found, np.broadcast_to(x, found.shape), rtol=EXACT)
            assert (c, error) == (1, 0)
        else:
            assert_mean(found, c * x)
            assert_mean(errors, error)


@pytest.mark.parametrize("d", [2, 4, 16, 1024])
def test_the_smaller_error_without_padding(d):
    c, error = theory.drive_min_error(d)
    assert error == pytest.approx((1 - 2 / math.pi) * (1 - 1 / d), rel=EXACT)
    assert c == pytest.approx(1 - error, rel=EXACT)
    assert error < theory.drive_omega(d)


@given(st.integers(2, 5000))
def test_the_minimum_error_is_smaller(d):
    c, error = theory.drive_min_error(d)
    assert 2 / math.pi < c < 1
    assert (1 - c) ** 2 < error < theory.drive_omega(d)


# --- code lengths --------------------------------------------------------------------------------


def elias_omega(k):
    """Return the code as a string of bits."""
    code = "0"
    while k > 1:
        binary = f"{k:b}"
        code = binary + code
        k = len(binary) - 1
    return code


def decoded(bits):
    """Return all numbers of a string of codes."""
    numbers, place = [], 0
    while place < len(bits):
        k = 1
        while bits[place] == "1":
            length = k + 1
            k = int(bits[place : place + length], 2)
            place += length
        place += 1
        numbers.append(k)
    return numbers


def test_elias_omega_codes_can_be_told_apart():
    codes = [elias_omega(k) for k in range(1, 2001)]
    assert decoded("".join(codes)) == list(range(1, 2001))
    in_order = sorted(codes)  # a prefix would stand right before one of its extensions
    assert not any(b.startswith(a) for a, b in itertools.pairwise(in_order))
    assert theory.elias_omega_bits(np.arange(1, 2001)).tolist() == [len(code) for code in codes]


@given(st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=20))
def test_length_of_any_elias_omega_code(numbers):
    codes = [elias_omega(k) for k in numbers]
    assert decoded("".join(codes)) == numbers
    assert theory.elias_omega_bits(numbers).tolist() == [len(code) for code in codes]


def test_elias_omega_about_the_powers_of_two():
    numbers = [2**e + more for e in range(2, 53) for more in (-1, 0, 1)] + [2**53 - 1]
    found = theory.elias_omega_bits(np.array(numbers).reshape(2, -1))
    assert found.dtype == np.int64
    assert found.ravel().tolist() == [len(elias_omega(k)) for k in numbers]
    assert theory.elias_omega_bits(np.uint8(255)).shape == ()
    assert int(theory.elias_omega_bits(np.uint8(255))) == len(elias_omega(255))


@pytest.mark.parametrize("wrong", [0, -1, [1, 0], 1.5, 2.0, 2**53, 2**64, True, "1", []])
def test_elias_omega_refuses_anything_else(wrong):
    with pytest.raises(ValueError, match="k must hold integers"):
        theory.elias_omega_bits(wrong)


def sparse_message(levels):
    """Return QSGD's message: a float, then gap, sign and size of each nonzero level."""
    message, last = "." * 32, -1
    for j, level in enumerate(levels):
        if level:
            message += elias_omega(j - last) + "+-"[level < 0] + elias_omega(abs(level))
            last = j
    return message


def dense_message(levels):
    """Return it without gaps: size plus one of each level, and the sign of each nonzero level."""
    message = "." * 32
    for level in levels:
        message += elias_omega(abs(level) + 1) + ("+-"[level < 0] if level else "")
    return message


@given(st.lists(st.integers(-300, 300) | st.sampled_from([0, 0, 0, 1, -1]), max_size=60))
def test_qsgd_messages(levels):
    for levels_as in (levels, np.array(levels, dtype=np.int64)):
        assert theory.qsgd_sparse_bits(levels_as) == len(sparse_message(levels))
        assert theory.qsgd_dense_bits(levels_as) == len(dense_message(levels))


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_qsgd_messages_of_narrow_integers(kind):
    ends = [int(np.iinfo(kind).min), int(np.iinfo(kind).max)]
    assert theory.qsgd_sparse_bits(np.array(ends, kind)) == len(sparse_message(ends))
    assert theory.qsgd_dense_bits(np.array(ends, kind)) == len(dense_message(ends))
    for bits in (theory.qsgd_sparse_bits, theory.qsgd_dense_bits):
        with pytest.raises(ValueError, match="symbols must be integers"):
            bits([0.5])


def test_qsgd_messages_of_zeros_and_of_far_places():
    assert theory.qsgd_sparse_bits([0] * 50) == 32
    assert theory.qsgd_dense_bits([0] * 50) == 82
    for place in (0, 1, 7, 5000):
        levels = [0] * place + [-9]
        assert theory.qsgd_sparse_bits(levels) == len(sparse_message(levels))


def positions(x, s):
    """Return the level below each coordinate, and the probability of the level above."""
    y = s * np.abs(x) / np.linalg.norm(x)
    return np.floor(y).astype(np.int64), y % 1


def expected_bits(x, s):
    """Return the expected length of the sparse message of a dithered vector, over all outcomes."""
    below, up = positions(x, s)
    length = np.array([0] + [len(elias_omega(k)) for k in range(1, len(x) + s + 2)])
    sent = np.where(below > 0, 1.0, up)
    total = 32 + np.sum(sent + (1 - up) * length[below] + up * length[below + 1])
    for i in range(-1, len(x)):  # i is a nonzero coordinate, or the start
        rest = sent[i + 1 :]
        skipped = np.cumprod(np.append(1.0, 1 - rest))[:-1]
        gap = np.sum(skipped * rest * length[1 : len(rest) + 1])
        total += gap if i < 0 else sent[i] * gap
    return total


def dithered(x, s, draws, rng):
    """Return signed levels of standard dithering with the 2-norm, shape (draws, d)."""
    below, up = positions(x, s)
    return np.sign(x).astype(np.int64) * (below + (rng.random((draws, len(x))) < up))


def vectors_to_send(d):
    rng = np.random.default_rng(d)
    few = np.arange(d) < np.sqrt(d) / 2
    return [
        rng.standard_normal(d),
        rng.standard_normal(d) ** 3,
        np.ones(d),
        np.eye(d)[-1],
        few.astype(float),
    ]


@pytest.mark.parametrize(("d", "s"), [(10, 1), (65, 1), (65, 8), (256, 3)])
def test_mean_length_of_qsgd_messages(d, s):
    for x in vectors_to_send(d)[:3]:
        levels = dithered(x, s, 400, np.random.default_rng([d, s]))
        bits = np.array([theory.qsgd_sparse_bits(row) for row in levels])
        assert_mean(bits, expected_bits(x, s))


@pytest.mark.parametrize("s", [1, 2, 3, 4, 8, 16, 100])
@pytest.mark.parametrize("d", [64, 256, 1024])
def test_qsgd_bounds_the_expected_bits(d, s):
    for x in vectors_to_send(d):
        assert expected_bits(x, s) <= theory.qsgd_expected_bits(d, s)


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_qsgd_bound_is_the_printed_one(d, s):
    m = s * (s + math.sqrt(d))
    printed = (3 + 3 / 2 * math.log2(2 * (s**2 + d) / m)) * m + 32
    assert theory.qsgd_expected_bits(d, s) == pytest.approx(printed, rel=EXACT)
