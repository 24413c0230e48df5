"""Random rotations against slow versions, and against moments of the uniform distribution.

The statistical tests below make fewer than 50 000 comparisons; see ``helpers`` for their level.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard
from scipy.special import ndtri
from scipy.stats import beta, kstest

from cqlib import Key
from cqlib.kernels import dispatch
from cqlib.kernels.derived import rotation
from cqlib.kernels.reference import hadamard as hadamard_kernels
from cqlib.keys import Stream
from tests.helpers import LEVEL, Z, assert_mean, philox, stream_key

POWERS = [1, 2, 4, 8, 32, 64, 128, 256]
BORDERS = [1, 2, 3, 5, 31, 32, 33, 63, 64, 65]  # directions are drawn 32 at a time
KINDS = {
    "hadamard": (rotation.hadamard_rotate, rotation.hadamard_rotate_back, POWERS),
    "uniform": (rotation.uniform_rotate, rotation.uniform_rotate_back, BORDERS),
}
KINDS_AND_SIZES = [(kind, D) for kind, (_, _, sizes) in KINDS.items() for D in sizes]
every = pytest.mark.parametrize(("kind", "D"), KINDS_AND_SIZES)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def streams(seed, clients):
    """Return the keys of the clients' rotations, one per row."""
    return Key(seed).private(Stream.ROTATION, clients)


# --- twins ---------------------------------------------------------------------------------------


def sign(key, j):
    """Return signs by bit (j mod 2^17) div 4096 of word j mod 4096 of each chunk."""
    chunk, l = j // 2**17, j % 4096
    word = philox((1024 * chunk + l % 1024, 0, 0, 0), key)[l // 1024]
    return -1 if word >> j % 2**17 // 4096 & 1 else 1


def deviates(key, k):
    """Return the normal deviates of reflection k, from the upper bits of 64-bit words."""
    found = []
    for j in range(k):
        words = philox((j // 2, k, 0, 0), key)
        word = words[2 * (j % 2)] * 2**32 + words[2 * (j % 2) + 1]
        found.append(float(ndtri((word // 2**12 + 0.5) / 2**52)))
    return np.array(found)


def reflection(u):
    """Return the reflection, up to its sign, that sends e_1 to the direction of u."""
    side = -1.0 if u[0] < 0 else 1.0
    v = u / np.linalg.norm(u) + side * np.eye(len(u))[0]
    return side * (2 * np.outer(v, v) / (v @ v) - np.eye(len(u)))


def uniform_rotation(key, D):
    """Return the product of the reflections of the last k axes, k = 1 first."""
    Q = np.eye(D)
    for k in range(1, D + 1):
        P = np.eye(D)
        P[D - k :, D - k :] = reflection(deviates(key, k))
        Q = P @ Q
    return Q


# --- the Hadamard transform ----------------------------------------------------------------------


@pytest.mark.parametrize("D", POWERS)
def test_hadamard_is_that_of_sylvester(D, backend):
    x = np.random.default_rng(D).integers(-1000, 1001, (2, 3, D)).astype(float)
    exact = x @ hadamard(D)  # sums of integers, exact in any order
    for dtype in (np.float32, np.float64, np.int32):
        found = dispatch.host().transform(x.astype(dtype))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("D", POWERS)
def test_hadamard_undoes_itself(D):
    x = normal(3, D, seed=D)
    again = hadamard_kernels.transform(hadamard_kernels.transform(x)) / D
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("D", [1, 2, 33, 1023, 1024, 1025, 4096, 5000, 2**17 + 3])
def test_signs(D, backend):
    keys = [(1, 2), (0xFFFFFFFF, 0x80000000)]
    one = rotation.signs(keys[0], D)
    rows = rotation.signs(tuple(np.array(keys, dtype=np.uint64).T), D)
    assert one.dtype == rows.dtype == np.float32
    assert one.shape == (D,) and rows.shape == (2, D)
    np.testing.assert_array_equal(one, rows[0])
    some = np.unique([*np.random.default_rng(D).integers(0, D, 500).tolist(), 0, D - 1])
    for row, key in zip(rows, keys, strict=True):
        assert row[some].tolist() == [sign(key, int(j)) for j in some]


@pytest.mark.parametrize("D", [1, 2, 16, 128, 1024, 8192])
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_rows_there_and_back_are_those_of_the_reference(D, shape):
    rng = np.random.default_rng(D)
    y = rng.standard_normal((*shape, D)).astype(np.float32)
    y[..., 0] = 0.5 * 2.0**-30  # a tie
    steps = dispatch.host().norm1_in_steps(y)
    assert steps.shape == shape and steps.dtype == np.int64
    np.testing.assert_array_equal(steps, hadamard_kernels.norm1_in_steps(y))
    signs = rng.choice(np.float32([-1, 1]), (3, D))
    scales = np.abs(rng.standard_normal((*shape, 1))).astype(np.float32)
    scales[..., :1, :] = 0.0
    for bits in (y >= 0, (y >= 0)[..., ::-1]):
        found = dispatch.host().rotated_back(bits, scales, signs)
        wanted = hadamard_kernels.rotated_back(bits, scales, signs)
        np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("D", POWERS)
def test_the_signs_come_before_the_transform(D):
    clients = [0, 9]
    x = np.random.default_rng(D).integers(-1000, 1001, (2, D)).astype(float)
    found = rotation.hadamard_rotate(x, streams(2, clients))
    for row, (y, client) in enumerate(zip(found, clients, strict=True)):
        key = stream_key(2, 0, Stream.ROTATION, client)
        signs = np.array([sign(key, j) for j in range(D)])
        np.testing.assert_array_equal(y, hadamard(D) @ (signs * x[row]) / np.sqrt(D))


# --- the uniform rotation ------------------------------------------------------------------------


@pytest.mark.parametrize("D", [1, 2, 3, 8, 31, 32, 33, 65])
def test_uniform_rotation_is_the_product_of_the_reflections(D):
    key = stream_key(4, 5, Stream.ROTATION, 6)
    Q = uniform_rotation(key, D)
    np.testing.assert_allclose(Q @ Q.T, np.eye(D), rtol=0, atol=1e-12)
    x = normal(3, D, seed=D)
    np.testing.assert_allclose(rotation.uniform_rotate(x, key), x @ Q.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(rotation.uniform_rotate_back(x, key), x @ Q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("D", BORDERS)
def test_the_first_axis_goes_to_the_last_direction(D):
    for client in range(4):
        key = stream_key(7, 0, Stream.ROTATION, client)
        u = deviates(key, D)
        found = rotation.uniform_rotate(np.eye(D)[:1], key)[0]
        np.testing.assert_allclose(found, u / np.linalg.norm(u), rtol=0, atol=1e-12)


# --- both ----------------------------------------------------------------------------------------


@every
def test_rotations_are_undone(kind, D):
    rotate, back, _ = KINDS[kind]
    keys = streams(8, np.arange(3))
    x = normal(2, 3, D, seed=D)
    untouched = x.copy()
    y = rotate(x, keys)
    assert y.dtype == np.float64 and y.shape == x.shape
    turned = y.copy()
    np.testing.assert_allclose(back(y, keys), x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(rotate(back(x, keys), keys), x, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(x, untouched)
    np.testing.assert_array_equal(y, turned)


@every
def test_rotations_keep_lengths_and_angles(kind, D):
    rotate, _, _ = KINDS[kind]
    Q = rotate(np.eye(D), stream_key(9, 0, Stream.ROTATION))
    np.testing.assert_allclose(Q @ Q.T, np.eye(D), rtol=0, atol=1e-12)


@every
def test_one_row_alone_gives_the_same_bits(kind, D):
    clients = np.arange(40)
    x = normal(3, 40, D, seed=D)
    for turn in KINDS[kind][:2]:
        together = turn(x, streams(10, clients))
        for client in (0, 1, 39):
            key = stream_key(10, 0, Stream.ROTATION, client)
            for b in (0, 2):
                expected = together[b, client].tobytes()
                row = x[b, client]
                assert turn(row, key).tobytes() == expected
                assert turn(row[None], streams(10, clients[[client]])).tobytes() == expected
                assert turn(x[b], streams(10, clients))[client].tobytes() == expected


@every
def test_the_layout_does_not_show(kind, D):
    x = normal(3, 5, D, seed=D)
    keys = streams(11, np.arange(5))
    for turn in KINDS[kind][:2]:
        expected = turn(x, keys).tobytes()
        strided = np.repeat(x, 2, axis=-1)[..., ::2]
        for layout in (np.asfortranarray(x), strided, x[:, ::-1][:, ::-1]):
            assert turn(layout, keys).tobytes() == expected


@settings(max_examples=40)
@given(st.integers(0, 6), st.integers(0, 70), st.integers(0, 2**64 - 1), st.integers(-300, 300))
def test_any_size_comes_back(log_D, D, seed, power):
    for kind, size in (("hadamard", 2**log_D), ("uniform", D + 1)):
        rotate, back, _ = KINDS[kind]
        x = normal(2, size, seed=seed % 2**32) * 2.0**power
        keys = streams(seed, np.arange(2))
        y = rotate(x, keys)
        np.testing.assert_allclose(back(y, keys), x, rtol=0, atol=1e-12 * 2.0**power)
        lengths = np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1)
        np.testing.assert_allclose(*lengths, rtol=1e-12)


@every
def test_zero_stays_zero(kind, D):
    for turn in KINDS[kind][:2]:
        assert not turn(np.zeros((2, D)), streams(12, np.arange(2))).any()


# --- the distribution ----------------------------------------------------------------------------

DRAWS = 20_000


def rotations(D, kind="uniform"):
    """Return rotation matrices, shape (DRAWS, D, D)."""
    rows = np.broadcast_to(np.eye(D)[:, None], (D, DRAWS, D))
    return KINDS[kind][0](rows, streams(13, np.arange(DRAWS))).transpose(1, 2, 0)


@pytest.mark.parametrize("D", [2, 3, 4, 6])
def test_entries_of_a_uniform_rotation(D):
    Q = rotations(D)
    assert_mean(Q, 0)
    assert_mean(Q**2, 1 / D)
    assert_mean(Q**3, 0)
    assert_mean(Q**4, 3 / (D * (D + 2)))
    assert_mean(Q[:, 0, 0] ** 2 * Q[:, 1, 1] ** 2, (D + 1) / ((D - 1) * D * (D + 2)))
    assert_mean(Q[:, 0, 0] ** 2 * Q[:, 0, 1] ** 2, 1 / (D * (D + 2)))
    products = Q[:, 0, 0] * Q[:, 1, 1] * Q[:, 0, 1] * Q[:, 1, 0]
    assert_mean(products, -1 / ((D - 1) * D * (D + 2)))
    for i, k in np.ndindex(D, D):
        square = Q[:, i, k] ** 2
        assert kstest(square, beta(0.5, (D - 1) / 2).cdf).pvalue > LEVEL


@pytest.mark.parametrize("D", [2, 3, 4, 6])
def test_any_two_entries_are_uncorrelated(D):
    entries = rotations(D).reshape(DRAWS, -1)
    for shift in range(1, D * D):
        assert_mean(entries * np.roll(entries, shift, axis=1), 0)


@pytest.mark.parametrize("D", [1, 2, 3, 4, 6])
def test_trace_and_determinant_of_a_uniform_rotation(D):
    Q = rotations(D)
    positive = np.linalg.det(Q) > 0
    assert abs(positive.mean() - 0.5) < Z * math.sqrt(0.25 / DRAWS)
    trace = np.trace(Q, axis1=1, axis2=2)
    assert_mean(trace, 0)
    if D == 1:
        np.testing.assert_allclose(np.abs(trace), 1, rtol=1e-12)
        return
    assert_mean(trace**2, 1)
    assert_mean(trace**4, 3)
    assert_mean(np.trace(Q @ Q, axis1=1, axis2=2), 1)
    assert_mean(np.where(positive, trace, -trace), 0)


@pytest.mark.parametrize(("D", "draws"), [(2, DRAWS), (5, DRAWS), (33, 2000)])
def test_a_uniform_direction_whatever_the_vector(D, draws):
    x = normal(D, seed=D) ** 3
    x = np.tile(x / np.linalg.norm(x), (draws, 1))
    y = rotation.uniform_rotate(x, streams(14, np.arange(draws)))
    assert_mean(y, 0)
    assert_mean(y**2, 1 / D)
    assert_mean(y**4, 3 / (D * (D + 2)))
    assert_mean(y[:, :1] ** 2 * y[:, 1:] ** 2, 1 / (D * (D + 2)))
    back = rotation.uniform_rotate_back(x, streams(14, np.arange(draws)))
    assert_mean(back**4, 3 / (D * (D + 2)))


@pytest.mark.parametrize("D", [2, 4, 8])
def test_a_randomised_hadamard_transform_has_uniform_signs(D):
    Q = rotations(D, "hadamard")
    np.testing.assert_array_equal(np.abs(Q), np.broadcast_to(1 / np.sqrt(D), Q.shape))
    assert_mean(Q, 0)
    first = Q[:, 0] * np.sqrt(D)
    assert_mean(first[:, 1:] * first[:, :-1], 0)
    assert abs((first.prod(axis=1) > 0).mean() - 0.5) < Z * math.sqrt(0.25 / DRAWS)
