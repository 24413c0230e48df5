"""Attacks on the wire: bytes choose a message and a change of it; the contract must hold.

Two drivers use these attacks: ``test_fuzz.py``, which is quick and the same everywhere, and
``tools/fuzz_payload.py``, which runs without a time limit.

======  ===========================================================================
bytes   of an attack
======  ===========================================================================
1       the kind, one of ``KINDS``
2       the message, one of those given
varies  the change of the message; missing bytes count as 0
======  ===========================================================================
"""

import functools
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch

from cqlib import Key, Payload, PayloadError
from cqlib.compressors import Compressor
from tests.cases import CASES, normal

HEADER = struct.Struct("<4sBBIQQI")  # magic, version, name, tag, d, code bytes, scales
SHAPES = [(1, 1), (2, 9), (4, 19), (3, 40)]
ROUNDS = range(2)


class Sent(NamedTuple):
    """A message in bytes, with its client and key."""

    compressor: Compressor
    who: dict[str, Any]
    d: int
    tag: int
    scales: bytes
    codes: bytes
    data: bytes


class Feed:
    """The bytes of an attack, read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes, padded with zeros."""
        self.at += count
        return self.data[self.at - count : self.at].ljust(count, b"\0")

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size), "little")

    def __bool__(self) -> bool:
        return self.at < len(self.data)


@functools.cache
def sent_by(c: Compressor) -> tuple[Sent, ...]:
    """Return the messages of all clients in a few rounds, at least one."""
    found = []
    for n, d in SHAPES:
        for r in ROUNDS:
            X = normal(n, d, seed=r)
            for client, x in enumerate(X):
                who = {"client": client, "n_clients": n, "key": Key(r, 2**33 * r)}
                who |= {"shared": c.statistic(X)}
                payload = c.encode(x, **who)
                if payload is not None:
                    parts = payload.scales.numpy().tobytes(), payload.codes.numpy().tobytes()
                    found.append(Sent(c, who, d, payload.tag, *parts, payload.to_bytes()))
    return tuple(found)


def with_checksum(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def read(data: bytes, sent: Sent) -> None:
    """Check that bytes raise PayloadError or decode to a finite vector.

    The server takes the sender's dimension if it is small, so that other dimensions are read, too.
    """
    try:
        payload = Payload.from_bytes(data)
        d = payload.d if payload.d <= 4096 else sent.d
        x = sent.compressor.decode(payload, d=d, **sent.who)
    except PayloadError:
        return
    assert payload.compressor == sent.compressor.name
    assert x.dtype == torch.float32
    assert x.shape == (payload.d,) == (d,)
    assert np.isfinite(x.numpy()).all()


def any_bytes(data: bytes, sent: Sent) -> None:
    """Check that a payload is written back to exactly these bytes."""
    try:
        payload = Payload.from_bytes(data)
    except PayloadError:
        return
    assert payload.to_bytes() == data
    read(data, sent)


def foreign(sent: Sent, feed: Feed, messages: tuple[Sent, ...]) -> None:
    """Send arbitrary bytes."""
    any_bytes(feed.data, sent)


def sealed(sent: Sent, feed: Feed, messages: tuple[Sent, ...]) -> None:
    """Send arbitrary bytes with the right checksum."""
    any_bytes(with_checksum(feed.data), sent)


def damaged(sent: Sent, feed: Feed, messages: tuple[Sent, ...]) -> None:
    """Flip, remove, insert and splice bytes; keep the old checksum."""
    data, known = sent.data, {sent.data}
    while feed:
        how, at = feed.number() % 5, feed.number(2) % (len(data) + 1)
        if how == 0:
            data = data[:at] + bytes(b ^ feed.number() for b in data[at : at + 1]) + data[at + 1 :]
        elif how == 1:
            data = data[:at]
        elif how == 2:
            data = data[:at] + data[at + 1 + feed.number() :]
        elif how == 3:
            data = data[:at] + feed.take(1 + feed.number() % 8) + data[at:]
        else:
            other = messages[feed.number(2) % len(messages)].data
            data = data[:at] + other[feed.number(2) % (len(other) + 1) :]
            known.add(other)
    if data in known:
        return
    try:
        Payload.from_bytes(data)
    except PayloadError:
        return
    raise AssertionError(f"{data.hex()} was made from other messages, and is taken for one")


def forged(sent: Sent, feed: Feed, messages: tuple[Sent, ...]) -> None:
    """Change codes, scales, lengths, d or name, with the right tag and checksum."""
    c, who, d, tag, scales, codes, _ = sent
    name = c.name
    change, amount = feed.number(), feed.number()
    if change < 32:
        d = 1 + amount % 64
    elif change < 48:
        d = max(feed.number(8) >> amount % 64, 1)
    elif change < 64:
        codes = codes + feed.take(amount % 16) if amount < 128 else codes[: amount % 16]
    elif change < 80:
        scales = scales + feed.take(amount % 16 * 4) if amount < 128 else scales[: amount % 16 * 4]
    elif change < 84:
        name = messages[amount % len(messages)].compressor.name
    if d != sent.d:
        tag = c.tag(d, **who)
    size = len(scales) + len(codes)
    new = int.from_bytes(scales + codes, "little") ^ feed.number(size)
    header = HEADER.pack(b"CQLB", 1, len(name), tag, d, len(codes), len(scales) // 4)
    read(with_checksum(header + name.encode() + new.to_bytes(size, "little")), sent)


KINDS = (foreign, damaged, forged, sealed)


@functools.cache
def all_messages() -> tuple[Sent, ...]:
    """Return messages of all compressors."""
    return tuple(sent for c in CASES for sent in sent_by(c))


def attack(data: bytes, messages: tuple[Sent, ...] | None = None) -> None:
    """Apply the attack in the bytes to one of the messages, and check the contract.

    Raises:
        AssertionError: if the contract of the wire is broken. Other errors break it, too.
    """
    messages = messages or all_messages()
    feed = Feed(data)
    kind = KINDS[feed.number() % len(KINDS)]
    sent = messages[feed.number(2) % len(messages)]
    kind(sent, Feed(data[3:]), messages)
