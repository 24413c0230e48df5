"""The bytes that every compressor sends for fixed vectors, and what is read from them.

One file a compressor, NAME.json: case, shape, then a line for each client, null for a silent one.
A change of these bytes is a change of the wire format, or of the randomness behind it.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import torch

from cqlib import Key, Payload
from cqlib.compressors import Compressor
from tests.cases import STATISTICS

FOLDER = Path(__file__).parent
WRITE_ANEW = "python -m tests.golden"
KEY = Key(2**40 + 12345, 2**33 + 7)
SHAPES = [(4, 19), (8, 19), (4, 2600), (8, 2600)]
LONG = 100  # from this dimension on only checksums are kept

Entry = dict[str, list[str | None]]


def vectors(n: int, d: int) -> torch.Tensor:
    """Float32 rows from integers: every fifth entry and the last row are 0, sizes vary."""
    i, j = torch.arange(n)[:, None], torch.arange(d)
    integers = (7919 * i + 104729 * j + 31 * i * j * j) % 2003 - 1001
    integers[(3 * i + j) % 5 == 0] = 0
    integers[-1] = 0
    return (integers * 4 ** (i % 4)).to(torch.float32) / 128


def entry(c: Compressor, n: int, d: int) -> Entry:
    """What the clients send, and what is decoded from it.

    Raises:
        ValueError: if the compressor is not for that many clients.
    """
    payloads: list[str | None] = []
    decoded: list[str | None] = []
    X = vectors(n, d)
    for client, x in enumerate(X):
        who = {"client": client, "n_clients": n, "key": KEY, "shared": c.statistic(X)}
        payload = c.encode(x, **who)
        if payload is None:
            payloads.append(None)
            decoded.append(None)
            continue
        data = payload.to_bytes()
        values = c.decode(Payload.from_bytes(data), **who).numpy().astype("<f4").tobytes()
        # With its own checksum included, the checksum of any message is the same.
        payloads.append(_shown(data[:-4] if d >= LONG else data, d))
        decoded.append(_shown(values, d))
    kind = "CRC-32 of " if d >= LONG else ""
    return {f"{kind}payloads": payloads, f"{kind}decoded": decoded}


def entries(name: str) -> dict[str, dict[str, Entry]]:
    """What the file of a compressor holds: by case, then by shape."""
    found: dict[str, dict[str, Entry]] = {}
    for c in STATISTICS:
        if c.name != name:
            continue
        shapes = found.setdefault(repr(c), {})
        for n, d in SHAPES:
            if d >= LONG and "uniform" in repr(c):
                continue  # it takes d^2 operations
            try:
                shapes[f"n = {n}, d = {d}"] = entry(c, n, d)
            except ValueError:
                continue
    return found


def case_names() -> list[str]:
    """Names of the compressors among the cases."""
    return sorted({c.name for c in STATISTICS})


def path(name: str) -> Path:
    return FOLDER / f"{name}.json"


def load(name: str) -> Any:
    """What the file of a compressor holds; nothing, if there is none."""
    return json.loads(path(name).read_text()) if path(name).exists() else {}


def text(name: str) -> str:
    """The file of a compressor."""
    return json.dumps(entries(name), indent=1, sort_keys=True) + "\n"


def _shown(data: bytes, d: int) -> str:
    return f"{zlib.crc32(data):08x}" if d >= LONG else data.hex()
