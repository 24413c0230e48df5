"""The wire: payloads are read back exactly, and other bytes raise."""

import math
import struct
import zlib
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cqlib import Payload, PayloadError
from tests.helpers import peak_memory, same_bits

HEADER = struct.Struct("<4sBBIQQI")  # magic, version, name, tag, d, code bytes, scales


def payload(name="cq", d=19, tag=0xDEADBEEF, codes=(1, 2, 255), scales=(1.5,)):
    return Payload(
        name, d, tag, torch.tensor(codes, dtype=torch.uint8), torch.tensor(scales).float()
    )


def with_checksum(body):
    """Return bytes that only a check of the content can reject."""
    return body + struct.pack("<I", zlib.crc32(body))


def raw(*, name=b"cq", d=19, n_codes=3, n_scales=1, rest=None, **header):
    """Return bytes of any header and body, with the right checksum."""
    rest = struct.pack("<f", 1.5) + b"\1\2\3" if rest is None else rest
    head = {"magic": b"CQLB", "version": 1, "name_length": len(name), "tag": 7} | header
    return with_checksum(HEADER.pack(*head.values(), d, n_codes, n_scales) + name + rest)


def assert_same(a, b):
    assert (a.compressor, a.d, a.tag) == (b.compressor, b.d, b.tag)
    assert same_bits(a.codes, b.codes)
    assert same_bits(a.scales, b.scales)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True)
payloads = st.builds(
    payload,
    name=names,
    d=st.one_of(st.integers(1, 2**63 - 1), st.sampled_from([1, 2**63 - 1])),
    tag=st.integers(0, 2**32 - 1),
    codes=st.lists(st.integers(0, 255), max_size=40),
    scales=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=10),
)


@given(payloads)
def test_round_trip(p):
    data = p.to_bytes()
    again = Payload.from_bytes(data)
    assert_same(again, p)
    assert again.to_bytes() == data
    assert p.bits == 8 * p.codes.numel() + 32 * p.scales.numel()
    assert p.bits + p.header_bits == 8 * len(data)


def test_layout_is_pinned():
    data = payload().to_bytes()
    assert data == with_checksum(
        b"CQLB"  # magic
        b"\x01"  # version
        b"\x02"  # length of the name
        b"\xef\xbe\xad\xde"  # tag
        b"\x13\0\0\0\0\0\0\0"  # d = 19
        b"\x03\0\0\0\0\0\0\0"  # code bytes
        b"\x01\0\0\0"  # scales
        b"cq"
        b"\0\0\xc0\x3f"  # 1.5
        b"\x01\x02\xff"
    )
    assert data[-4:].hex() == "f47c589d"  # CRC-32
    assert payload().bits == 3 * 8 + 32
    assert payload().header_bits == 8 * (30 + 2 + 4)


def test_scales_keep_every_bit():
    scales = [0.0, -0.0, 1e-45, -1e-45, 2.0**-126, float(np.finfo(np.float32).max), 1 / 3]
    p = payload(scales=scales)
    assert_same(Payload.from_bytes(p.to_bytes()), p)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_copied(kind):
    buffer = bytearray(payload().to_bytes())
    p = Payload.from_bytes(kind(buffer))
    buffer[:] = bytes(len(buffer))
    assert_same(p, payload())
    p.codes[0] = 9  # writable, without shared memory
    p.scales[0] = 9


def test_tensors_of_any_layout_are_sent():
    codes = torch.arange(10, dtype=torch.uint8)[::2]
    scales = torch.arange(6, dtype=torch.float32, requires_grad=True)[::3]
    p = Payload("cq", 40, 0, codes, scales)
    again = Payload.from_bytes(p.to_bytes())
    assert again.codes.tolist() == [0, 2, 4, 6, 8]
    assert again.scales.tolist() == [0, 3]


# --- damage --------------------------------------------------------------------------------------


def test_every_flipped_bit_is_noticed():
    data = payload().to_bytes()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PayloadError):
            Payload.from_bytes(damaged)


def test_every_burst_of_32_bits_is_noticed():
    data = payload().to_bytes()
    rng = np.random.default_rng(1)
    for start in range(8 * len(data) - 31):
        burst = int(rng.integers(1, 2**32)) << start
        damaged = (int.from_bytes(data, "little") ^ burst).to_bytes(len(data), "little")
        with pytest.raises(PayloadError):
            Payload.from_bytes(damaged)


def test_every_truncation_and_extension_is_noticed():
    data = payload().to_bytes()
    for length in range(len(data)):
        with pytest.raises(PayloadError):
            Payload.from_bytes(data[:length])
        with pytest.raises(PayloadError):
            Payload.from_bytes(data[length + 1 :])
    for extra in (b"\0", b"\xff", bytes(4), bytes(1000), data):
        for longer in (data + extra, extra + data, data[:-4] + extra + data[-4:]):
            with pytest.raises(PayloadError):
                Payload.from_bytes(longer)
        with pytest.raises(PayloadError):
            Payload.from_bytes(with_checksum(data[:-4] + extra))


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 34, b"\xff" * 100, b"CQLB", b"PK\3\4" * 20, b"\x80\x04\x95" * 20, b"{}" * 30],
    ids=["empty", "zeros", "ones", "magic", "zip", "pickle", "json"],
)
def test_foreign_bytes_are_refused(data):
    with pytest.raises(PayloadError):
        Payload.from_bytes(data)


# --- right checksum, wrong content ---------------------------------------------------------------


def test_the_raw_bytes_below_are_right_but_for_one_field():
    p = Payload.from_bytes(raw())
    assert (p.compressor, p.d, p.tag) == ("cq", 19, 7)
    assert (p.codes.tolist(), p.scales.tolist()) == ([1, 2, 3], [1.5])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"magic": b"CQLA"}, "not a payload"),
        ({"version": 0}, "layout 0"),
        ({"version": 2}, "layout 2"),
        ({"name": b"c\xff"}, "ASCII"),
        ({"name": b""}, "name"),
        ({"name": b"c.q"}, "name"),
        ({"name": b"2q"}, "name"),
        ({"name": b"c\0"}, "name"),
        ({"name": b"c\n"}, "name"),
        ({"name_length": 1}, "announces"),
        ({"name_length": 255}, "announces"),
        ({"d": 0}, "d must be"),
        ({"d": 2**63}, "d must be"),
        ({"d": 2**64 - 1}, "d must be"),
        ({"n_codes": 2}, "announces"),
        ({"n_codes": 4}, "announces"),
        ({"n_scales": 0}, "announces"),
        ({"n_scales": 2}, "announces"),
        ({"rest": struct.pack("<f", math.nan) + b"\1\2\3"}, "NaN or infinity"),
        ({"rest": struct.pack("<f", math.inf) + b"\1\2\3"}, "NaN or infinity"),
        ({"rest": struct.pack("<f", -math.inf) + b"\1\2\3"}, "NaN or infinity"),
    ],
)
def test_content_is_checked_too(fields, message):
    with pytest.raises(PayloadError, match=message):
        Payload.from_bytes(raw(**fields))


@pytest.mark.parametrize(
    ("n_codes", "n_scales"),
    [
        (2**63, 1),
        (2**63 - 1, 1),
        (2**64 - 1, 1),
        (2**40, 1),
        (3, 2**32 - 1),
        (2**63, 2**32 - 1),
        (2**64 - 1, 2),  # 3 + 4 bytes modulo 2^64
        (2**64 - 4 * 2**31 + 7, 2**31),
    ],
)
def test_no_announced_length_is_allocated(n_codes, n_scales):
    data = raw(n_codes=n_codes, n_scales=n_scales)

    def read():
        with pytest.raises(PayloadError, match="announces"):
            Payload.from_bytes(data)

    assert peak_memory(read) < 100_000


@given(st.binary(max_size=200))
@example(raw())
def test_random_bytes(data):
    check_any_bytes(data)


@given(
    payloads,
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    st.integers(-3, 3),
)
def test_mutated_payloads_with_a_right_checksum(p, changes, longer):
    body = bytearray(p.to_bytes()[:-4])
    for where, value in changes:
        body[where % len(body)] = value
    body = body[:longer] if longer < 0 else body + bytes(longer)
    check_any_bytes(with_checksum(bytes(body)))


def check_any_bytes(data):
    """Check that bytes raise PayloadError, or are exactly those of the payload read from them."""
    try:
        p = Payload.from_bytes(data)
    except PayloadError:
        return
    assert p.to_bytes() == data
    assert torch.isfinite(p.scales).all()


# --- construction --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"codes": torch.zeros(2)}, "codes must be"),
        ({"codes": torch.zeros(2, dtype=torch.int64)}, "codes must be"),
        ({"codes": torch.zeros(2, dtype=torch.bool)}, "codes must be"),
        ({"codes": torch.zeros(1, 2, dtype=torch.uint8)}, "codes must be"),
        ({"codes": torch.zeros((), dtype=torch.uint8)}, "codes must be"),
        ({"scales": torch.zeros(1, dtype=torch.float64)}, "scales must be"),
        ({"scales": torch.zeros(1, dtype=torch.float16)}, "scales must be"),
        ({"scales": torch.zeros(())}, "scales must be"),
        ({"scales": torch.zeros(1, 1)}, "scales must be"),
        ({"scales": torch.tensor([1.0, math.nan])}, "NaN"),
        ({"scales": torch.tensor([math.inf])}, "NaN"),
        ({"d": 0}, "d must be"),
        ({"d": -1}, "d must be"),
        ({"d": 2**63}, "d must be"),
        ({"tag": -1}, "tag must be"),
        ({"tag": 2**32}, "tag must be"),
        ({"compressor": ""}, "name"),
        ({"compressor": "c q"}, "name"),
        ({"compressor": "cü"}, "name"),
        ({"compressor": "c" * 256}, "name"),
    ],
)
def test_a_wrong_field_is_refused(fields, message):
    good = {
        "compressor": "cq",
        "d": 9,
        "tag": 0,
        "codes": torch.zeros(2, dtype=torch.uint8),
        "scales": torch.ones(1),
    }
    Payload(**good)
    with pytest.raises(PayloadError, match=message):
        Payload(**good | fields)


def test_empty_tensors_and_long_names_can_be_sent():
    p = payload(name="c" * 255, codes=(), scales=())
    assert p.bits == 0
    assert_same(Payload.from_bytes(p.to_bytes()), p)


def test_a_payload_is_frozen():
    with pytest.raises(FrozenInstanceError):
        payload().tag = 3


def test_its_error_is_a_value_error():
    assert issubclass(PayloadError, ValueError)


@pytest.mark.parametrize("field", ["d", "tag"])
@pytest.mark.parametrize("wrong", [2.5, True, "3", None])
def test_numbers_must_be_integers(field, wrong):
    given = {"d": 9, "tag": 0, field: wrong}
    with pytest.raises(PayloadError, match="must be integers"):
        Payload("cq", **given, codes=torch.zeros(2, dtype=torch.uint8), scales=torch.ones(1))
