"""Exact properties of each compressor's output that hold in every round."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cqlib import Key, Payload, PayloadError
from cqlib.compressors import compose, make
from cqlib.kernels import reference
from cqlib.kernels.derived import rotation
from cqlib.kernels.reference import packing, rounding
from cqlib.keys import Stream
from tests.cases import normal, spread
from tests.helpers import philox, same_bits, stream_key

KEYS = [Key(2**35 + 3, r) for r in range(12)]
FOLDED = 2**64 - 2  # the fold of the round's key for the inner compressor of iscc


def norms(X, p=2):
    """Return norms as they are sent: float32, rounded up (with a relative error of 2^-40)."""
    return torch.from_numpy(reference.norm_scale(X.numpy(), p).astype(np.float64))[:, None]


def alone(c, X, key):
    """Return the messages of all clients, one by one."""
    return [c.encode(x, client=i, n_clients=len(X), key=key) for i, x in enumerate(X)]


# --- sparsifiers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 7), (3, 10), (10, 10), (None, 95)])
@pytest.mark.parametrize("key", KEYS[:4], ids=str)
def test_rand_k_keeps_k_scaled_coordinates(key, k, d):
    X = spread(5, d)
    rows = make("rand_k", k=k).compress(X, key=key)
    kept = math.ceil(d / 10) if k is None else k
    assert (rows != 0).sum(dim=1).tolist() == [kept] * 5
    assert torch.equal(rows[rows != 0], (X * (d / kept)).float().double()[rows != 0])
    if 1 < kept < d:
        assert len({tuple(row.nonzero()[:, 0].tolist()) for row in rows}) > 1


@pytest.mark.parametrize(("n", "d"), [(1, 5), (4, 10), (7, 7), (3, 100), (8, 2500)])
@pytest.mark.parametrize("key", KEYS[:4], ids=str)
def test_perm_k_shares_the_coordinates_out(key, n, d):
    X = spread(n, d)
    rows = make("perm_k").compress(X, key=key)
    assert (rows != 0).sum(dim=0).tolist() == [1] * d
    sizes = (rows != 0).sum(dim=1)
    assert sizes.max() - sizes.min() <= 1
    assert torch.equal(rows[rows != 0], (X * n).float().double()[rows != 0])


@pytest.mark.parametrize(("n", "d"), [(5, 1), (5, 4), (9, 3), (16, 7)])
@pytest.mark.parametrize("key", KEYS[:4], ids=str)
def test_perm_k_deals_clients_out_to_few_coordinates(key, n, d):
    X = spread(n, d)
    rows = make("perm_k").compress(X, key=key)
    assert (rows != 0).sum(dim=1).tolist() == [1] * n
    sharing = (rows != 0).sum(dim=0)
    assert sharing.max() - sharing.min() <= 1
    assert torch.equal(rows[rows != 0], (X * (n / sharing.double())).float().double()[rows != 0])


def test_perm_k_gives_the_larger_blocks_to_anybody():
    sizes = [(make("perm_k").compress(torch.ones(4, 5), key=key) != 0).sum(dim=1) for key in KEYS]
    for client in range(4):
        assert {int(size[client]) for size in sizes} == {1, 2}


def test_top_k_keeps_the_largest_and_the_first_of_equal_ones():
    x = torch.tensor([[1.0, -3.0, 2.0, 3.0, -2.0, 0.5, 3.0, 2.0]])
    by_size = [1, 3, 6, 2, 4, 7, 0, 5]
    for k in range(1, 9):
        row = make("top_k", k=k).compress(x, key=KEYS[0])[0]
        kept = sorted(by_size[:k])
        assert row.nonzero()[:, 0].tolist() == kept
        assert torch.equal(row[kept], x[0, kept])


@pytest.mark.parametrize("d", [1, 2, 3, 8, 9, 1024, 1025])
def test_top_k_sends_places_in_as_few_bits_as_they_need(d):
    k = math.ceil(d / 10)
    payload = make("top_k").encode(normal(d), client=0, n_clients=1, key=KEYS[0])
    assert len(payload.codes) == math.ceil(k * math.ceil(math.log2(d)) / 8)
    assert len(payload.scales) == k


@pytest.mark.parametrize("name", ["rand_k", "perm_k", "top_k"])
@pytest.mark.parametrize("n", [1, 4, 30])
def test_composing_with_the_identity_changes_nothing(name, n):
    X = spread(n, 20)
    c = make(name)
    composed = compose(c, make("identity"))
    for key in KEYS[:3]:
        assert same_bits(composed.compress(X, key=key), c.compress(X, key=key))


# --- one bit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", ["shift", "permutation"])
@pytest.mark.parametrize("d", [1, 9, 1030])
def test_permk_cq_of_one_block_is_cq(ranks, d):
    X = spread(6, d)
    for key in KEYS[:3]:
        pairs = (alone(make(name, ranks=ranks), X, key) for name in ("permk_cq", "cq"))
        for ours, cq in zip(*pairs, strict=True):
            assert same_bits(ours.codes, cq.codes)
            assert same_bits(ours.scales, cq.scales)


@pytest.mark.parametrize(("n", "b", "d"), [(4, 4, 10), (6, 6, 6), (6, 3, 20), (8, 2, 5), (4, 4, 3)])
@pytest.mark.parametrize("key", KEYS[:4], ids=str)
def test_permk_cq_rounds_the_blocks_of_a_partition(key, n, b, d):
    X = spread(n, d)
    rows = make("permk_cq", b=b).compress(X, key=key)
    kept = rows != 0
    assert kept.sum(dim=0).tolist() == [n // b] * d
    blocks = [tuple(row.tolist()) for row in kept]
    assert all(blocks.count(block) == n // b for block in blocks if any(block))
    ranges = norms(torch.where(kept, b * X, 0.0))
    assert torch.equal(rows.abs(), torch.where(kept, ranges, 0.0))


def test_permk_cq_gives_the_larger_blocks_to_anybody():
    c = make("permk_cq", b=4)
    sizes = [(c.compress(torch.ones(4, 5), key=key) != 0).sum(dim=1) for key in KEYS]
    for client in range(4):
        assert {int(size[client]) for size in sizes} == {1, 2}


@pytest.mark.parametrize("levels", [3, 4, 5, 100])
@pytest.mark.parametrize("key", KEYS[:3], ids=str)
def test_levels_of_cq_form_a_lattice_that_the_clients_share(key, levels):
    X = normal(9, 50)
    step = (levels + 1) / (levels * (levels - 1))
    y = (make("cq", levels=levels).compress(X, key=key) / norms(X) + 1) / 2
    apart = (y - y[0]) / step
    torch.testing.assert_close(apart, apart.round(), rtol=0, atol=1e-4)
    assert ((1e-6 - y) % step <= 1 / levels + 2e-6).all()  # the lowest level is in [-1/k, 0)
    error = (y - (1 + X / norms(X)) / 2).abs()
    assert (error < step + 1e-6).all()


@pytest.mark.parametrize("range", ["l2", "linf"])
@pytest.mark.parametrize("d", [1, 5, 16, 1030])
def test_rotating_in_cq_is_rotating_around_it(range, d):
    X = spread(3, d)
    for key in KEYS[:3]:
        shared = key.shared(Stream.COMMON_ROTATION)
        D = 2 ** math.ceil(math.log2(d))
        rotated = rotation.hadamard_rotate(np.pad(X.numpy(), ((0, 0), (0, D - d))), shared)
        inside = make("cq", range=range).compress(torch.from_numpy(rotated), key=key)
        back = rotation.hadamard_rotate_back(inside.numpy(), shared)[:, :d].astype(np.float32)
        found = make("cq", range=range, rotate=True).compress(X, key=key)
        np.testing.assert_array_equal(found.numpy(), back)


# --- dithering -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_terngrad_sends_the_largest_value_zero_or_its_negative(dtype):
    X = spread(5, 200, dtype=dtype)
    R = norms(X, math.inf).to(dtype)
    for key in KEYS[:3]:
        rows = make("terngrad").compress(X, key=key)
        assert torch.equal(rows.abs(), torch.where(rows != 0, R, 0.0).to(dtype))
        assert (rows * X >= 0).all()


@pytest.mark.parametrize(("p", "s"), [(2, 1), (2, 7), (1, 3), (3.5, 2), (math.inf, 1000)])
def test_standard_dithering_rounds_to_a_neighbouring_multiple(p, s):
    X = spread(5, 60)
    for key in KEYS[:3]:
        rows = make("standard_dithering", p=p, s=s).compress(X, key=key)
        levels = rows / norms(X, p) * s
        torch.testing.assert_close(levels, levels.round(), rtol=1e-6, atol=1e-6)
        y = X / norms(X, p) * s
        assert (levels.round().abs() <= y.abs().ceil() + 1e-6).all()
        assert (levels.round().abs() >= y.abs().floor() - 1e-6).all()
        assert (rows * X >= 0).all()


@pytest.mark.parametrize(("p", "s"), [(2, 1), (2, 7), (1, 3), (math.inf, 127)])
def test_natural_dithering_rounds_to_a_neighbouring_power_of_two(p, s):
    X = spread(5, 60)
    for key in KEYS[:3]:
        rows = make("natural_dithering", p=p, s=s).compress(X, key=key)
        # The product of a float32 and a power of two is exact.
        assert_next_powers((rows / norms(X, p)).numpy(), (X / norms(X, p)).numpy(), 1 - s)


def test_natural_compression_rounds_to_a_neighbouring_power_of_two():
    X = spread(5, 60)
    for key in KEYS[:3]:
        rows = make("natural_compression").compress(X, key=key)
        assert_next_powers(rows.numpy(), X.numpy(), -126)


def assert_next_powers(found, x, lowest):
    """Check that found has signed powers of two from 2^lowest on, or zero, next to x."""
    mantissa, exponent = np.frexp(np.abs(found))
    assert set(np.unique(mantissa)) <= {0.0, 0.5}
    assert (found * x >= 0).all()
    below = np.where(np.abs(x) >= 2.0**lowest, 2.0 ** (np.frexp(x)[1] - 1), 0.0)
    above = np.where(below > 0, 2 * below, 2.0**lowest)
    assert ((np.abs(found) == below) | (np.abs(found) == above)).all()
    assert ((found == 0) | (exponent > lowest)).all()


@pytest.mark.parametrize("c", [make("natural_compression"), make("natural_dithering", p=math.inf)])
def test_powers_of_two_are_exact(c):
    X = 2.0 ** -torch.arange(7.0).repeat(3, 1) * torch.tensor([[1.0], [-1.0], [1.0]])
    for key in KEYS:
        assert torch.equal(c.compress(X, key=key), X)


@pytest.mark.parametrize("s", [1, 4, 1000])
def test_multiples_of_the_step_are_exact(s):
    X = torch.arange(s + 1.0, dtype=torch.float64)[None] * torch.tensor([[1.0], [-1.0]])
    for key in KEYS:
        c = make("standard_dithering", p=math.inf, s=s)
        torch.testing.assert_close(c.compress(X, key=key), X, rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("rest", "u", "up"), [(0, 0, 0), (1, 0, 1), (1, 1, 0), (9, 8, 1), (9, 9, 0), (2**31 - 1, 0, 1)]
)
def test_dithering_decides_at_the_step(rest, u, up):
    words = np.array([2 * u, 2 * u + 1])  # the last bit of a word is not used
    for level in (0, 1, 2):
        y = np.full(2, (level + rest / 2**31) / 4)
        assert rounding.round_linear(y, words, 4).tolist() == [level + up] * 2
    for level, e in ((1, -3), (2, -2), (4, 0)):
        y = np.full(2, 2.0**e * (1 + rest / 2**31))
        assert rounding.round_exponential(y, words, -3).tolist() == [level + up] * 2
    y = np.full(2, 2.0**-3 * rest / 2**31)
    assert rounding.round_exponential(y, words, -3).tolist() == [up] * 2


# --- rotated signs -------------------------------------------------------------------------------

rotated = pytest.mark.parametrize(
    ("rotation", "d"), [("hadamard", 1), ("hadamard", 2), ("hadamard", 256), ("uniform", 16)]
)


@pytest.mark.parametrize("name", ["drive", "drive_plus"])
@rotated
def test_the_unbiased_scale_keeps_the_length_along_the_vector(name, rotation, d):
    X = spread(4, d)
    for key in KEYS[:3]:
        rows = make(name, rotation=rotation).compress(X, key=key)
        torch.testing.assert_close((rows * X).sum(dim=1), (X**2).sum(dim=1), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["drive", "drive_plus"])
@rotated
def test_the_scale_of_least_error_leaves_an_error_at_a_right_angle(name, rotation, d):
    X = spread(4, d)
    for key in KEYS[:3]:
        rows = make(name, rotation=rotation, scale="min_error").compress(X, key=key)
        torch.testing.assert_close((rows * X).sum(dim=1), (rows**2).sum(dim=1), rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", ["unbiased", "min_error"])
@rotated
def test_two_values_are_never_worse_than_signs(scale, rotation, d):
    X = spread(6, d)
    for key in KEYS[:3]:
        errors = [
            ((make(name, rotation=rotation, scale=scale).compress(X, key=key) - X) ** 2).sum(dim=1)
            for name in ("drive", "drive_plus")
        ]
        assert (errors[1] <= errors[0] + 1e-6 * (X**2).sum(dim=1)).all()


def test_clients_rotate_on_their_own():
    for name in ("drive", "drive_plus"):
        first, second = alone(make(name), normal(1, 64).expand(2, 64), KEYS[0])
        assert not same_bits(first.codes, second.codes)


# --- iscc ----------------------------------------------------------------------------------------


def drawn(key, tau, ends):
    """Return the clients of tau draws, each from 53 bits of a 64-bit word."""
    clients = []
    for t in range(tau):
        words = philox((t // 2, 0, 0, 0), stream_key(key.seed, key.round, Stream.DRAW))
        word = words[2 * (t % 2)] * 2**32 + words[2 * (t % 2) + 1]
        clients.append(sum(end <= (word >> 11) / 2**53 for end in ends[:-1]))
    return clients


@pytest.mark.parametrize("inner", ["identity", "iq", "cq", "drive", "natural_compression"])
@pytest.mark.parametrize("tau", [1, 3])
@pytest.mark.parametrize("q", [None, (0.125, 0.5, 0.25, 0.125)], ids=["uniform", "q"])
def test_iscc_is_the_inner_compressor_of_the_drawn(inner, tau, q):
    c = make("iscc", inner=make(inner), tau=tau, probabilities=q)
    X = spread(4, 20, base=2.0)
    chances = q or (0.25,) * 4
    for key in KEYS:
        rows = torch.zeros(4, 20, dtype=torch.float64)
        for t, client in enumerate(drawn(key, tau, np.cumsum(chances))):
            scaled = X[client] / (tau * chances[client])
            who = {"client": t, "n_clients": tau, "key": key.fold(FOLDED)}
            rows[client] += c.inner.decode(c.inner.encode(scaled, **who), d=len(scaled), **who)
        assert torch.equal(c.compress(X, key=key), rows.float().double())
        silent = [payload is None for payload in alone(c, X, key)]
        assert silent == [not row.any() for row in rows]


# --- what no client sends ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "c",
    [
        make("iq"),
        make("cq"),
        make("cq", levels=3),
        make("cq", rotate=True),
        make("permk_cq", b=2),
        make("standard_dithering"),
        make("natural_dithering"),
        make("terngrad"),
        make("drive"),
        make("iscc", inner=make("iq"), tau=1),
        compose(make("rand_k"), make("terngrad")),
    ],
    ids=str,
)
def test_a_negative_norm_is_refused(c):
    for client, payload in enumerate(alone(c, normal(4, 20), KEYS[0])):
        if payload is not None:
            with pytest.raises(PayloadError, match="norm"):
                forged = replace(payload, scales=-payload.scales)
                c.decode(forged, d=forged.d, client=client, n_clients=4, key=KEYS[0])


@pytest.mark.parametrize(
    "c", [make("permk_cq", b=4), make("iscc"), make("iscc", inner=make("perm_k"))], ids=str
)
def test_a_message_of_a_silent_client_is_refused(c):
    X = normal(4, 3)
    silent = [i for i, payload in enumerate(alone(c, X, KEYS[0])) if payload is None]
    assert silent
    for client in silent:
        who = {"client": client, "n_clients": 4, "key": KEYS[0]}
        nothing = torch.zeros(0, dtype=torch.uint8), torch.zeros(0)
        with pytest.raises(PayloadError, match="silent"):
            c.decode(Payload(c.name, 3, c.tag(3, **who), *nothing), d=3, **who)


@pytest.mark.parametrize(
    ("c", "byte", "message"),
    [
        (make("iq"), 0b10000, "padding"),
        (make("terngrad"), 3**4, "padding"),
        (make("terngrad"), 243, "242"),
        (make("natural_compression"), 0b10000000, "padding"),
    ],
    ids=str,
)
def test_bytes_that_no_client_sends_are_refused(c, byte, message):
    who = {"client": 0, "n_clients": 1, "key": KEYS[0]}
    payload = c.encode(normal(4), **who)
    codes = payload.codes.clone()
    codes[-1] = byte
    with pytest.raises(PayloadError, match=message):
        c.decode(replace(payload, codes=codes), d=payload.d, **who)


@pytest.mark.parametrize("name", ["standard_dithering", "natural_dithering"])
def test_a_symbol_beyond_the_levels_is_refused(name):
    c = make(name)  # 15 signed levels in four bits
    who = {"client": 0, "n_clients": 1, "key": KEYS[0]}
    payload = c.encode(normal(4), **who)
    codes = torch.from_numpy(packing.pack_integers(np.array([0, 15, 0, 0]), 4))
    with pytest.raises(PayloadError, match="below 15"):
        c.decode(replace(payload, codes=codes), d=payload.d, **who)
