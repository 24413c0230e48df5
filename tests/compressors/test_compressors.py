"""The contract that every compressor keeps.

All tests marked ``every`` run over the whole registry, which finds new compressors; a variant of
options is one line in ``cases.py``. Bias and errors are tested in ``test_errors.py``.
"""

import math
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cqlib import Key, Payload, PayloadError, theory
from cqlib.compressors import Compressor, average, make, names
from cqlib.kernels import dispatch
from tests.cases import CASES, affordable, normal, spread
from tests.helpers import (
    Z,
    global_generators_untouched,
    peak_memory,
    same_bits,
    standard_error,
)

every = pytest.mark.parametrize("c", CASES, ids=str)


both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def send(c, X, key):
    """Return the payloads of all clients, by one call of ``encode`` each."""
    shared = c.statistic(X)
    ids = [{"client": i, "n_clients": len(X), "key": key, "shared": shared} for i in range(len(X))]
    return [(c.encode(x, **who), who) for x, who in zip(X, ids, strict=True)]


def first_sent(c, X, key):
    """Return the first payload and its ids; some clients may be silent."""
    return next((payload, who) for payload, who in send(c, X, key) if payload is not None)


def over_the_wire(c, X, key):
    """Return the server's decoded vectors, from bytes: float32, shape (n, d)."""
    rows = []
    for payload, who in send(c, X, key):
        if payload is None:
            rows.append(torch.zeros(X.shape[-1]))
        else:
            received = Payload.from_bytes(payload.to_bytes())
            rows.append(c.decode(received, d=X.shape[-1], **who))
    return torch.stack(rows)


# --- what is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 7), (4, 100), (2, 1024), (5, 3)])
@every
def test_bits_on_the_wire(c, n, d):
    d = affordable(c, d)
    rounds = []
    for r in range(10 if c.joint else 2):
        sent = send(c, normal(n, d, seed=r), Key(5, r))
        ahead = n * c.before.bits if c.before else 0
        rounds.append((ahead + sum(payload.bits for payload, _ in sent if payload is not None)) / n)
    excess = np.array(rounds) - c.bits(d, n)
    noise = Z * standard_error(excess) + 1e-9  # 0 if the length is fixed
    # Each part fills whole bytes; up to 1/64 of the bytes of trits may be padding.
    parts = {"compose": 2, "iscc": getattr(c, "tau", 1)}.get(c.name, 1)
    assert -noise <= excess.mean() <= 8 * parts + d / 64 + noise


@pytest.mark.parametrize("d", [1, 7, 64, 1025, 2500])
@both_dtypes
@every
def test_what_arrives_is_what_compress_says(c, d, dtype):
    d = affordable(c, d)
    key = Key(2**40 + 1, 2**33)
    for n in (1, 3, 8):
        X = spread(n, d, seed=d, dtype=dtype)
        assert same_bits(over_the_wire(c, X, key).to(dtype), c.compress(X, key=key))


@every
@pytest.mark.slow
def test_every_backend_gives_the_same_bits(c, monkeypatch):
    d = affordable(c, 1500)
    X = spread(2, d, seed=d)
    results = []
    for name in dispatch.available():
        monkeypatch.setenv(dispatch.VARIABLE, name)
        key = Key(8, 2)
        sent = [payload and payload.to_bytes() for payload, _ in send(c, X, key)]
        received = over_the_wire(c, X, key)
        results.append((sent, received, c.compress(X, key=key), c.mean(X, key=key)))
    (sent, *others), *rest = results
    for again, *values in rest:
        assert again == sent
        assert all(same_bits(a, b) for a, b in zip(values, others, strict=True))


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 1100), st.integers(0, 2**64 - 1), st.booleans(), st.data())
@every
def test_any_shape(c, n, d, seed, double, data):
    d = affordable(c, d)
    X = spread(n, d, seed=seed % 1000, dtype=torch.float64 if double else torch.float32)
    key = Key(seed, seed // 3)
    decoded = c.compress(X, key=key)
    assert decoded.dtype == X.dtype and decoded.shape == X.shape
    assert torch.isfinite(decoded).all()
    client = data.draw(st.integers(0, n - 1))
    who = {"client": client, "n_clients": n, "key": key, "shared": c.statistic(X)}
    payload = c.encode(X[client], **who)
    if payload is None:
        assert not decoded[client].any()
    else:
        alone = c.decode(Payload.from_bytes(payload.to_bytes()), d=X.shape[-1], **who)
        assert alone.dtype == torch.float32
        assert same_bits(alone.to(X.dtype), decoded[client])
    assert same_bits(c.mean(X, key=key), mean_of_payloads(c, X, key, decoded))


def mean_of_payloads(c, X, key, decoded):
    """Return the server's mean of all payloads: of decoded vectors, or from a decoded sum."""
    if not c.sums:
        return in_client_order(decoded)
    payloads = {who["client"]: payload for payload, who in send(c, X, key)}
    options = {"d": X.shape[-1], "n_clients": len(X), "key": key, "shared": c.statistic(X)}
    mean = c.mean_of_received(payloads, **options)
    torch.testing.assert_close(mean_by_sum(c, X, key), decoded.double().mean(dim=0))
    return mean.to(decoded.dtype)


def mean_by_sum(c, X, key):
    """Return the mean, if sums of messages are exact."""
    exact = replace(c, reduction="sum") if c.name == "global_qsgd" else c
    return exact.mean(X.double(), key=key)


def in_client_order(rows):
    """Return the mean of rows, added one by one in float64 and divided last."""
    total = torch.zeros(rows.shape[-1], dtype=torch.float64)
    for row in rows:
        total = total + row.double()
    return (total / len(rows)).to(rows.dtype)


@pytest.mark.parametrize("d", [1, 3, 1025])
@both_dtypes
@every
def test_the_mean_is_that_of_the_payloads_in_order(c, d, dtype):
    # From 8 clients on, NumPy would add a contiguous column in pairs.
    key = Key(4, d)
    d = affordable(c, d)
    X = spread(9, d, seed=d, dtype=dtype)
    for layout in (X, X.T.contiguous().T):
        arrived = over_the_wire(c, layout, key)
        wanted = mean_of_payloads(c, layout, key, arrived.to(dtype))
        assert same_bits(c.mean(layout, key=key), wanted)


def test_the_order_of_addition_shows_in_these_numbers():
    rows = make("identity").compress(spread(19, 1025), key=Key(0))
    assert not torch.equal(in_client_order(rows), in_client_order(rows.flip(0)))


LAYOUTS = {
    "contiguous": lambda X: X,
    "columns": lambda X: X.transpose(-1, -2).contiguous().transpose(-1, -2),
    "clients first": lambda X: X.transpose(0, -2).contiguous().transpose(0, -2),
    "strided": lambda X: X.repeat_interleave(2, dim=-1)[..., ::2],
    "reversed": lambda X: X.flip(-2).flip(-2),
}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
@both_dtypes
def test_the_average_adds_in_order_whatever_the_layout(layout, dtype, batch):
    for n in (1, 2, 8, 9, 200):
        for d in (1, 2, 3, 17):
            X = torch.stack([spread(n, d, seed=s, dtype=dtype) for s in range(batch)])
            expected = torch.stack([in_client_order(x.double()) for x in X])
            assert same_bits(average(LAYOUTS[layout](X)), expected)
            assert same_bits(average(LAYOUTS[layout](X)[0]), expected[0])


def count_calls(monkeypatch, c, method):
    calls = []
    for cls in {Compressor, type(c)}:
        original = getattr(cls, method)

        def counted(self, *args, original=original, **options):
            calls.append(method)
            return original(self, *args, **options)

        monkeypatch.setattr(cls, method, counted)
    return calls


@every
def test_compress_does_not_go_client_by_client(c, monkeypatch):
    by_client = count_calls(monkeypatch, c, "encode"), count_calls(monkeypatch, c, "decode")
    c.compress(normal(6, 12), key=Key(1))
    c.mean(normal(6, 12), key=Key(1))
    assert by_client == ([], [])
    at_once = count_calls(monkeypatch, c, "quantize")
    c.compress(normal(2, 12), key=Key(1))
    few = len(at_once)
    c.compress(normal(12, 12), key=Key(1))
    assert len(at_once) == 2 * few


# --- which randomness ----------------------------------------------------------------------------


@both_dtypes
@every
def test_same_key_same_bytes(c, dtype):
    X = normal(3, 100, dtype=dtype)
    again = make(c.name, **{f.name: getattr(c, f.name) for f in fields(c)})
    sent = [p and p.to_bytes() for p, _ in send(c, X, Key(3, 4))]
    assert [p and p.to_bytes() for p, _ in send(again, X.clone(), Key(3, 4))] == sent
    assert same_bits(c.compress(X, key=Key(3, 4)), again.compress(X.clone(), key=Key(3, 4)))


@every
def test_another_seed_or_round_rounds_otherwise(c):
    X = normal(3, 100)
    keys = [Key(3, 4), Key(3, 5), Key(4, 4), Key(3, 4 + 2**32), Key(3 + 2**32, 4), Key(3).fold(1)]
    decoded = {c.compress(X, key=key).numpy().tobytes() for key in keys}
    assert len(decoded) == (1 if c.facts.deterministic else len(keys))


@every
def test_clients_round_independently(c):
    X = normal(1, 100).expand(4, 100)
    rows = [row.numpy().tobytes() for row in c.compress(X, key=Key(6)) if row.any()]
    assert len(set(rows)) == (1 if c.facts.deterministic else len(rows)) > 0


@every
def test_only_joint_compressors_see_the_number_of_clients(c):
    X = normal(5, 40)
    few, many = c.compress(X[:3], key=Key(7)), c.compress(X, key=Key(7))
    assert c.joint != torch.equal(few, many[:3])


@both_dtypes
@every
def test_a_batch_shares_its_randomness(c, dtype):
    d = affordable(c, 1030)
    X = torch.stack([spread(4, d, seed=s, dtype=dtype) for s in range(3)])
    X[2] = X[0]
    key = Key(8)
    together, mean = c.compress(X, key=key), c.mean(X, key=key)
    assert together.shape == X.shape and mean.shape == (3, d)
    for b in range(3):
        assert same_bits(together[b], c.compress(X[b], key=key))
        assert same_bits(mean[b], c.mean(X[b], key=key))


@every
def test_global_generators_are_untouched(c):
    X = normal(4, 12)
    c.compress(X, key=Key(9))  # first use: imports and compiles
    with global_generators_untouched():
        over_the_wire(c, X, Key(9))
        c.compress(X, key=Key(9))
        c.mean(X, key=Key(9))


# --- inputs --------------------------------------------------------------------------------------


@both_dtypes
@every
def test_a_zero_vector_is_sent_exactly(c, dtype):
    X = normal(4, 9, dtype=dtype)
    X[1], X[2] = 0.0, -0.0
    for rows in (c.compress(X, key=Key(10)), over_the_wire(c, X, Key(10))):
        assert not rows[1:3].any()
        assert not torch.signbit(rows[1]).any()
    zeros = torch.zeros(3, 5, dtype=dtype)
    assert same_bits(c.mean(zeros, key=Key(10)), torch.zeros(5, dtype=dtype))


@both_dtypes
@every
def test_one_hot_vectors(c, dtype):
    X = torch.cat([torch.eye(5, dtype=dtype), -torch.eye(5, dtype=dtype)]) * 3
    decoded = c.compress(X, key=Key(11))
    assert torch.isfinite(decoded).all()
    assert same_bits(over_the_wire(c, X, Key(11)).to(dtype), decoded)


@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (1e-45, torch.float32),
        (1e-38, torch.float32),
        (1e30, torch.float32),
        (5e-324, torch.float64),
        (1e-310, torch.float64),
        (1e-200, torch.float64),
        (1e30, torch.float64),
    ],
)
@every
def test_tiny_and_large_vectors(c, size, dtype):
    X = torch.full((3, 20), size, dtype=dtype)
    X[1] *= -1
    X[2, ::2] = 1.0  # a client's range does not depend on other clients
    decoded = c.compress(X, key=Key(12))
    assert torch.isfinite(decoded).all()
    assert (decoded[:2].abs() <= max(size * 1e3, 1e-37)).all()
    assert same_bits(over_the_wire(c, X, Key(12)).to(dtype), decoded)


def key_where_all_speak(c, X, clients):
    """Return the key of a round where all these clients send."""
    for r in range(1000):
        sent = send(c, torch.ones_like(X), Key(0, r))
        if all(sent[i][0] is not None for i in clients):
            return Key(0, r)
    raise AssertionError(f"{c} never speaks")


@every
def test_too_large_a_vector_is_refused_by_name(c):
    X = torch.ones(3, 4, dtype=torch.float64)
    X[1] = 1e300
    key = key_where_all_speak(c, X, {1})
    for call in (c.compress, c.mean):
        with pytest.raises(ValueError, match=r"client 1\b.*too large"):
            call(X, key=key)
        with pytest.raises(ValueError, match=r"client 1\b.*too large"):
            call(torch.stack([torch.ones(3, 4).double(), X]), key=key)
    key = key_where_all_speak(c, X, {2})
    with pytest.raises(ValueError, match=r"client 2\b.*too large"):
        c.encode(X[1], client=2, n_clients=3, key=key, shared=c.statistic(X[:1]))
    # At the limit of float32, the vector is decoded or the error names its client.
    X[1] = float(np.finfo(np.float32).max)
    try:
        assert torch.isfinite(c.compress(X, key=key_where_all_speak(c, X, {1}))).all()
    except ValueError as error:
        assert "client 1" in str(error)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@both_dtypes
@every
def test_nan_and_infinity_are_refused_by_name_and_count(c, bad, dtype):
    X = normal(4, 5, dtype=dtype)
    shared = c.statistic(X)
    X[2, [1, 3]] = bad
    X[3, 0] = bad
    for call in (c.compress, c.mean):
        with pytest.raises(ValueError, match="client 2: 2 of 5 entries"):
            call(X, key=Key(0))
        with pytest.raises(ValueError, match="client 2: 2 of 5 entries"):
            call(torch.stack([normal(4, 5, dtype=dtype), X]), key=Key(0))
    with pytest.raises(ValueError, match="client 7: 2 of 5 entries"):
        c.encode(X[2], client=7, n_clients=9, key=Key(0), shared=shared)


WRONG_INPUTS = [
    torch.zeros(0, 3),
    torch.zeros(3, 0),
    torch.zeros(0, 0),
    torch.zeros(2, 0, 3),
    torch.zeros(2, 3, 0),
    torch.zeros(0, 2, 3),
    torch.zeros(3),
    torch.zeros(()),
    torch.zeros(1, 1, 2, 3),
    torch.ones(2, 3, dtype=torch.int64),
    torch.ones(2, 3, dtype=torch.bool),
    torch.ones(2, 3, dtype=torch.float16),
    torch.ones(2, 3, dtype=torch.bfloat16),
    torch.ones(2, 3, dtype=torch.complex64),
    np.ones((2, 3)),
    [[1.0, 2.0]],
    None,
]


@every
def test_wrong_shapes_and_types_are_refused(c):
    for X in WRONG_INPUTS:
        for call in (c.compress, c.mean):
            with pytest.raises(ValueError, match="shape|expected"):
                call(X, key=Key(0))


WRONG_VECTORS = [
    torch.zeros(0),
    torch.zeros(()),
    torch.zeros(1, 3),
    torch.ones(3, dtype=torch.int32),
    torch.ones(3, dtype=torch.float16),
    np.ones(3),
]


@every
def test_encode_refuses_wrong_shapes_and_types(c):
    for x in WRONG_VECTORS:
        with pytest.raises(ValueError, match="shape|expected"):
            c.encode(x, client=0, n_clients=1, key=Key(0), shared=c.statistic(torch.ones(1, 3)))


WRONG_IDS = [(-1, 3), (3, 3), (True, 3), (1.0, 3), ("1", 3), (0, 0), (0, -1), (0, 2**32), (0, 3.0)]


@every
def test_wrong_ids_are_refused(c):
    X = normal(3, 12)
    payload, who = first_sent(c, X, Key(0))
    for client, n in WRONG_IDS:
        wrong = who | {"client": client, "n_clients": n}
        with pytest.raises(ValueError, match="client"):
            c.encode(X[0], **wrong)
        with pytest.raises(ValueError, match="client"):
            c.decode(payload, d=payload.d, **wrong)


@every
def test_numpy_integers_are_ids(c):
    X = normal(3, 12)
    payload, who = first_sent(c, X, Key(0))
    for kind in (np.int64, np.uint32, np.uint8):
        as_numpy = who | {"client": kind(who["client"]), "n_clients": kind(3)}
        again = c.encode(X[who["client"]], **as_numpy)
        assert again.to_bytes() == payload.to_bytes()
        assert same_bits(
            c.decode(payload, d=payload.d, **as_numpy), c.decode(payload, d=payload.d, **who)
        )


@every
def test_the_statistic_of_all_is_what_the_clients_merge(c):
    if not c.before:
        return
    for n, d in ((1, 1), (3, 12), (40, 7)):
        X = spread(n, d, seed=n)
        assert c.statistic(X) == c.before.merge([c.before.of(x) for x in X]) > 0


@every
def test_a_statistic_that_nobody_uses_is_refused(c):
    if c.before:
        return
    X = normal(3, 12)
    assert c.statistic(X) is None
    payload, who = first_sent(c, X, Key(0))
    for call in (
        lambda: c.compress(X, key=Key(0), shared=1.0),
        lambda: c.mean(X, key=Key(0), shared=1.0),
        lambda: c.encode(X[0], **who | {"shared": 1.0}),
        lambda: c.decode(payload, d=payload.d, **who | {"shared": 1.0}),
    ):
        with pytest.raises(ValueError, match="statistic"):
            call()


@both_dtypes
@every
def test_layout_and_gradients_do_not_matter(c, dtype):
    X = spread(8, 24, dtype=dtype)
    key = Key(13)
    expected, mean = c.compress(X, key=key), c.mean(X, key=key)
    for layout in (*(LAYOUTS[name](X) for name in LAYOUTS), X.clone().requires_grad_()):
        before = layout.detach().clone()
        assert same_bits(c.compress(layout, key=key), expected)
        assert same_bits(c.mean(layout, key=key), mean)
        assert same_bits(over_the_wire(c, layout, key).to(dtype), expected)
        assert same_bits(layout.detach(), before)  # inputs do not change
    same = X[:1].expand(8, 24)
    assert same_bits(c.compress(same, key=key), c.compress(same.contiguous(), key=key))


@every
def test_results_are_nobody_elses(c):
    X = normal(3, 12, dtype=torch.float32)
    before = X.clone()
    c.compress(X, key=Key(0)).fill_(9)
    payload, who = first_sent(c, X, Key(0))
    sent = payload.to_bytes()
    c.decode(payload, d=payload.d, **who).fill_(9)
    assert same_bits(X, before)
    assert payload.to_bytes() == sent
    payload.scales.fill_(9)
    payload.codes.fill_(9)
    assert same_bits(X, before)


# --- payloads meant for another ------------------------------------------------------------------


@every
def test_a_payload_for_another_is_refused(c):
    X = normal(4, 20)
    payload, who = first_sent(c, X, Key(5, 6))
    c.decode(payload, d=payload.d, **who)
    i = who["client"]
    for other in (
        {"client": (i + 1) % 4},
        {"client": (i + 3) % 4},
        {"n_clients": 5},
        {"n_clients": 2**32 - 1},
        {"key": Key(5, 7)},
        {"key": Key(6, 6)},
        {"key": Key(6, 5)},
        {"key": Key(5, 6).fold(0)},
    ):
        with pytest.raises(PayloadError, match="another"):
            c.decode(payload, d=payload.d, **who | other)
    for altered in (replace(payload, d=21), replace(payload, tag=payload.tag ^ 1)):
        with pytest.raises(PayloadError, match="another"):
            c.decode(altered, d=altered.d, **who)
    for other in CASES:
        if other != c:
            with pytest.raises(PayloadError, match="another|is from"):
                other.decode(payload, d=payload.d, **who)


@every
def test_a_payload_of_the_wrong_size_is_refused(c):
    payload, who = first_sent(c, normal(4, 20), Key(5, 6))
    codes, scales = payload.codes, payload.scales
    wrong = [
        replace(payload, codes=torch.cat([codes, torch.zeros(1, dtype=torch.uint8)])),
        replace(payload, scales=torch.cat([scales, torch.ones(1)])),
    ]
    wrong += [replace(payload, codes=codes[:-1])] if len(codes) else []
    wrong += [replace(payload, scales=scales[:-1])] if len(scales) else []
    for altered in wrong:
        with pytest.raises(PayloadError):
            c.decode(altered, d=altered.d, **who)


@pytest.mark.parametrize("d", [2**40, 2**62, 2**63 - 1])
@every
def test_no_dimension_is_allocated_unchecked(c, d):
    # The tag is a checksum, not a signature: a forged payload may have the right one.
    payload, who = first_sent(c, normal(4, 20), Key(5, 6))
    tag = c.tag(d, client=who["client"], n_clients=4, key=who["key"])
    hostile = replace(payload, d=d, tag=tag)

    def decode():
        with pytest.raises(PayloadError):
            c.decode(hostile, d=hostile.d, **who)

    assert peak_memory(decode) < 1_000_000


# --- the object ----------------------------------------------------------------------------------


def test_names_are_apart_and_made():
    assert len(set(names())) == len(names()) > 0
    for name in names():
        assert make(name).name == name
    assert len(set(CASES)) == len(CASES)


def test_an_unknown_name_is_refused_with_the_known_ones():
    for unknown in ("nope", "", "CQ"):
        with pytest.raises(ValueError, match=f"{unknown!r}.*{', '.join(names())}"):
            make(unknown)


@every
def test_an_unknown_option_is_refused_with_the_known_ones(c):
    listed = ", ".join(f.name for f in fields(c)) or "none"
    with pytest.raises(ValueError, match=f"'nope' of {c.name}; known: {listed}"):
        make(c.name, nope=1)


def test_an_unknown_value_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="shift, permutation"):
        make("cq", ranks="affine")


@every
def test_a_compressor_is_a_frozen_value(c):
    assert isinstance(c.name, str) and isinstance(c.unbiased, bool) and isinstance(c.joint, bool)
    for attribute in ("name", "anything", *(f.name for f in fields(c))):
        with pytest.raises(FrozenInstanceError):
            setattr(c, attribute, 1)
    again = pickle.loads(pickle.dumps(c))
    assert again == c and hash(again) == hash(c) and repr(again) == repr(c)
    X = normal(3, 12)
    assert same_bits(again.compress(X, key=Key(0)), c.compress(X, key=Key(0)))
    assert not hasattr(c, "__dict__") or set(vars(c)) == {f.name for f in fields(c)}


@every
def test_constants_have_the_right_kind(c):
    for n, d in ((1, 1), (4, 16), (16, 16)):
        assert isinstance(c.bits(d, n), float) and c.bits(d, n) > 0
        if c.unbiased:
            if c.before and n > 1:
                with pytest.raises(ValueError, match="no omega"):
                    c.omega(d, n)
            else:
                assert c.omega(d, n) >= 0
            for constants in ("valid", "homogeneous", "paper"):
                A, B, homogeneous_only = c.ab(n, d, constants=constants)
                assert A >= B >= 0 and isinstance(homogeneous_only, bool)
        else:
            with pytest.raises(ValueError, match="biased"):
                c.omega(d, n)
            with pytest.raises(ValueError, match="biased"):
                c.ab(n, d)


# --- IQ and CQ -----------------------------------------------------------------------------------

ONE_BIT = [make("iq"), make("cq"), make("cq", ranks="permutation")]
one_bit = pytest.mark.parametrize("c", ONE_BIT, ids=repr)


@one_bit
def test_one_bit_a_coordinate_and_one_float(c):
    for d in (1, 7, 8, 9, 1024, 1025):
        payload = c.encode(normal(d), client=0, n_clients=2, key=Key(0))
        assert payload.bits == 8 * math.ceil(d / 8) + 32
        assert c.bits(d, 2) == d + 32


@one_bit
def test_values_are_plus_or_minus_the_norm(c):
    X = spread(6, 100)
    decoded = c.compress(X, key=Key(14))
    norms = X.norm(dim=1, keepdim=True)
    torch.testing.assert_close(decoded.abs(), norms.expand(6, 100), rtol=1.2e-7, atol=0)
    assert (decoded.abs() >= norms * (1 - 1e-15)).all()  # rounded up


@one_bit
def test_a_coordinate_at_an_end_of_the_range_is_exact(c):
    # y = 0 or 1: no threshold is below 0 or above 1.
    X = torch.cat([3 * torch.eye(5), -3 * torch.eye(5)])
    for r in range(20):
        decoded = c.compress(X, key=Key(15, r))
        assert torch.equal(decoded[X != 0], X[X != 0])
        line = normal(50, 1, seed=r, dtype=torch.float32)
        assert torch.equal(c.compress(line, key=Key(15, r)), line)


@one_bit
def test_omega_is_exact(c):
    # |C(x) - x|^2 = d R^2 - 2 <C(x), x> + |x|^2, whose expectation is (d - 1) |x|^2.
    x = normal(1, 12)
    expected = float((x**2).sum()) * c.omega(12)
    assert theory.iq_mse(x) == pytest.approx(expected, rel=1e-12)
    assert theory.cq_mse(x) == pytest.approx(expected, rel=1e-12)


@one_bit
def test_a_padding_bit_is_refused(c):
    payload, who = first_sent(c, normal(2, 9), Key(0))
    for bit in range(1, 8):
        codes = payload.codes.clone()
        if bit <= 4:  # coordinate 8 is bit 4 of byte 0: L = 2
            codes[1] |= 1 << (bit + 3)
        else:
            codes[0] |= 1 << bit
        with pytest.raises(PayloadError, match="padding"):
            c.decode(replace(payload, codes=codes), d=payload.d, **who)


@pytest.mark.parametrize("c", [c for c in ONE_BIT if c.name == "cq"], ids=repr)
def test_of_equal_cq_clients_at_most_one_is_undecided(c):
    for n in (1, 2, 5, 16):
        x = normal(1, 30, seed=n)
        y = (1 + x[0] / x.norm()) / 2
        for r in range(20):
            ups = (c.compress(x.expand(n, 30), key=Key(16, r)) > 0).sum(dim=0)
            assert ((ups >= torch.floor(n * y - 1e-6)) & (ups <= torch.ceil(n * y + 1e-6))).all()


@every
def test_unknown_constants_and_sizes_are_refused(c):
    with pytest.raises(ValueError, match="unknown constants 'papr'; known: valid, homog"):
        c.ab(3, 3, constants="papr")
    for n, d in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="n and d must be integers of at least 1"):
            c.ab(n, d)


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("cq", [{"rotate": True}, {"rotate": np.True_}]),
        ("cq", [{"ranks": "shift"}, {"ranks": np.str_("shift")}, {"levels": np.int64(1)}]),
        ("rand_k", [{"k": 3}, {"k": np.int32(3)}]),
        ("standard_dithering", [{"p": 2, "s": 7}, {"p": np.float32(2), "s": np.uint8(7)}]),
        ("permk_cq", [{"b": 2}, {"b": np.int64(2)}]),
        ("iscc", [{"probabilities": [0.5, 0.5]}, {"probabilities": np.array([0.5, 0.5], "f4")}]),
    ],
)
def test_equal_options_make_one_compressor(name, same):
    made = [make(name, **options) for options in same]
    assert len({repr(c) for c in made}) == len(set(made)) == 1
    assert len({c.tag(9, client=0, n_clients=2, key=Key(0)) for c in made}) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rand_k", {"k": 0}, "k must be in"),
        ("rand_k", {"k": True}, "k must be an integer, got True"),
        ("top_k", {"k": 1.5}, "k must be an integer, got 1.5"),
        ("top_k", {"k": "3"}, "k must be an integer, got '3'"),
        ("standard_dithering", {"s": 0}, "s must be in"),
        ("standard_dithering", {"p": 0.5}, "p must be in .1, inf., got 0.5"),
        ("natural_dithering", {"p": math.nan}, "p must be in .1, inf., got nan"),
        ("natural_dithering", {"p": 10**400}, "p exceeds the largest float"),
        ("natural_dithering", {"s": 128}, "s must be in .1, 127., got 128"),
        ("cq", {"levels": 2}, "levels must be 1 .* or at least 3, got 2"),
        ("cq", {"levels": 0}, "levels must be in"),
        ("cq", {"ranks": []}, "ranks must be one of shift, permutation"),
        ("cq", {"range": "l1"}, "range must be one of l2, linf, got 'l1'"),
        ("cq", {"rotate": 1}, "rotate must be False or True, got 1"),
        ("drive", {"rotation": ["uniform"]}, "rotation must be one of hadamard, uniform"),
        ("drive_plus", {"scale": None}, "scale must be one of unbiased, min_error"),
        ("permk_cq", {"b": 0}, "b must be in"),
        ("iscc", {"tau": 0}, "tau must be in"),
        ("iscc", {"inner": "iq"}, "inner must be a compressor, got 'iq'"),
        ("iscc", {"probabilities": 0.5}, "probabilities must be numbers"),
        ("iscc", {"probabilities": [[0.5], [0.5]]}, "probabilities must be numbers"),
        ("iscc", {"probabilities": []}, "add up to 1"),
        ("iscc", {"probabilities": (0.5, 0.4)}, "add up to 1"),
        ("iscc", {"probabilities": (1.5, -0.5)}, "must be positive"),
        ("compose", {"sparsifier": make("iq")}, "sparsifier must be rand_k, top_k or perm_k"),
        ("compose", {"quantizer": "iq"}, "quantizer must be a compressor"),
        ("compose", {"quantizer": make("iscc")}, "clients may not be silent"),
        ("compose", {"quantizer": make("permk_cq", b=2)}, "clients may not be silent"),
    ],
)
def test_bad_options_are_refused_with_the_reason(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


def test_sizes_that_do_not_fit_the_options_are_refused():
    X = torch.ones(3, 4)
    for c, message in (
        (make("rand_k", k=5), "k = 5 coordinates cannot be kept of d = 4"),
        (make("permk_cq", b=2), "b = 2 blocks must divide n = 3 clients"),
        (make("iscc", probabilities=(0.5, 0.5)), "2 probabilities for 3 clients"),
    ):
        for call in (
            lambda c=c: c.compress(X, key=Key(0)),
            lambda c=c: c.encode(X[0], client=0, n_clients=3, key=Key(0)),
            lambda c=c: c.bits(4, 3),
        ):
            with pytest.raises(ValueError, match=message):
                call()
    with pytest.raises(ValueError, match="depends on the number of clients"):
        make("compose", sparsifier=make("perm_k")).omega(9)
    with pytest.raises(ValueError, match="grows with the number of clients"):
        make("iscc", inner=make("iq")).omega(9)


# --- what no client sends ------------------------------------------------------------------------


def forged(c, d=5, codes=None, scales=None, n=1):
    """Return a client's payload with other codes or scales and the right tag."""
    who = {"client": 0, "n_clients": n, "key": Key(0)}
    payload = c.encode(torch.arange(1.0, d + 1), **who)
    codes = payload.codes if codes is None else torch.tensor(codes, dtype=torch.uint8)
    scales = payload.scales if scales is None else torch.tensor(scales)
    return replace(payload, codes=codes, scales=scales), who


WITH_A_NORM = ["iq", "cq", "permk_cq", "terngrad", "standard_dithering", "natural_dithering"]


@pytest.mark.parametrize("name", [*WITH_A_NORM, "drive"])
def test_a_norm_that_no_client_sends_is_refused(name):
    c = make(name)
    for scale in (-1.0, -0.0, 0.0, *((1e-40,) if name != "drive" else ())):
        payload, who = forged(c, scales=[scale])
        with pytest.raises(PayloadError, match="norm"):
            c.decode(payload, d=payload.d, **who)


@pytest.mark.parametrize("name", [*WITH_A_NORM, "drive", "drive_plus"])
def test_a_zero_vector_has_one_message(name):
    c = make(name)
    payload = c.encode(torch.zeros(9), client=0, n_clients=1, key=Key(0))
    assert not payload.codes.any() and not payload.scales.any()


@pytest.mark.parametrize(
    ("codes", "scales"),
    [
        ([1], [2.0, 1.0]),
        ([255], [1.0, 2.0]),
        ([0], [1.0, 2.0]),
        ([1], [0.0, 0.0]),
        ([0], [1.0] * 2),
    ],
)
def test_centroids_that_no_client_sends_are_refused(codes, scales):
    c = make("drive_plus")
    payload, who = forged(c, d=8, codes=codes, scales=scales)
    with pytest.raises(PayloadError, match="centroid"):
        c.decode(payload, d=payload.d, **who)


@pytest.mark.parametrize("c", [make("rand_k", k=1), make("top_k", k=1)], ids=str)
def test_a_few_bytes_do_not_stand_for_gigabytes(c):
    payload, who = forged(c)
    for d in (2**21, 2**31, 2**40):
        tag = c.tag(d, client=0, n_clients=1, key=who["key"])
        with pytest.raises(PayloadError):
            c.decode(replace(payload, d=d, tag=tag), d=d, **who)


@every
def test_another_dimension_than_expected_is_refused(c):
    X = normal(3, 12)
    payload, who = first_sent(c, X, Key(0))
    with pytest.raises(PayloadError, match="d = 12, expected 13"):
        c.decode(payload, d=13, **who)
    with pytest.raises(TypeError, match="'d'"):  # the sender's own d would choose the memory
        c.decode(payload, **who)
    for d in (None, True, 12.0, "12", 0, -1):
        with pytest.raises(ValueError, match="d must be"):
            c.decode(payload, d=d, **who)
        with pytest.raises(ValueError, match="d must be"):
            c.mean_of_received({who["client"]: payload}, d=d, **everyone(who))


@every
def test_a_sender_chooses_neither_memory_nor_time(c):
    payload, who = first_sent(c, normal(3, 12), Key(0))
    d = 2**24  # 64 MB decoded, and years for a uniform rotation
    forged = replace(payload, d=d, tag=c.tag(d, **who))

    def decode():
        for read in (
            lambda: c.decode(forged, d=12, **who),
            lambda: c.mean_of_received({who["client"]: forged}, d=12, **everyone(who)),
        ):
            with pytest.raises(PayloadError, match="expected 12"):
                read()

    assert peak_memory(decode) < 100_000


def everyone(who):
    """Return the arguments of ``mean_of_received`` for those of one client."""
    return {name: who[name] for name in who if name != "client"}


@every
def test_longer_vectors_than_the_largest_norm_are_refused(c):
    X = normal(3, 12)
    payload, who = first_sent(c, X, Key(0))
    client = who["client"]
    x = c.decode(payload, d=12, **who)
    norm = float(torch.linalg.vector_norm(x.double()))
    mean = c.mean_of_received({client: payload}, d=12, **everyone(who))
    for enough in (norm, norm * 2, math.inf, np.float32(norm * 2)):
        assert same_bits(c.decode(payload, d=12, **who, max_norm=enough), x)
        again = c.mean_of_received({client: payload}, d=12, **everyone(who), max_norm=enough)
        assert same_bits(again, mean)
    shorter = math.nextafter(norm, 0)
    for read in (
        lambda: c.decode(payload, d=12, **who, max_norm=shorter),
        lambda: c.mean_of_received({client: payload}, d=12, **everyone(who), max_norm=shorter),
    ):
        with pytest.raises(PayloadError, match=f"client {client}: the decoded vector has norm"):
            read()
    for wrong in (0, -1.0, math.nan, True, "1"):
        with pytest.raises(ValueError, match="max_norm must be a number above 0"):
            c.decode(payload, d=12, **who, max_norm=wrong)


def test_messages_that_overflow_together_are_refused():
    # Two draws of one client, decoded to +infinity and -infinity.
    c, largest = make("iscc", inner=make("drive"), tau=2), float(np.finfo(np.float32).max)
    for codes in ([0b01, 0b00], [0b11, 0b10], [0b00, 0b11]):
        payload, who = forged(c, d=2, codes=codes, scales=[largest, largest])
        with pytest.raises(PayloadError, match="largest float32"):
            c.decode(payload, d=payload.d, **who)
