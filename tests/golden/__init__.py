"""The bytes that every compressor sends for fixed vectors, and the decoded vectors.

There is one file per compressor, NAME.json: case, shape, then a line per client, null if silent.
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
LONG = 100  # from this dimension on only checksums are stored

Entry = dict[str, list[str | None]]


def vectors(n: int, d: int) -> torch.Tensor:
    """Return float32 rows made from integers; every fifth entry and the last row are 0."""
    i, j = torch.arange(n)[:, None], torch.arange(d)
    integers = (7919 * i + 104729 * j + 31 * i * j * j) % 2003 - 1001
    integers[(3 * i + j) % 5 == 0] = 0
    integers[-1] = 0
    return (integers * 4 ** (i % 4)).to(torch.float32) / 128


def entry(c: Compressor, n: int, d: int) -> Entry:
    """Return the messages of the clients, and the decoded vectors.

    Raises:
        ValueError: if the compressor does not allow this number of clients.
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
        values = c.decode(Payload.from_bytes(data), d=d, **who).numpy().astype("<f4").tobytes()
        # Without the message's own checksum, which would make all checksums equal.
        payloads.append(_shown(data[:-4] if d >= LONG else data, d))
        decoded.append(_shown(values, d))
    kind = "CRC-32 of " if d >= LONG else ""
    return {f"{kind}payloads": payloads, f"{kind}decoded": decoded}


def entries(name: str) -> dict[str, dict[str, Entry]]:
    """Return the content for the file of a compressor: by case, then by shape."""
    found: dict[str, dict[str, Entry]] = {}
    for c in STATISTICS:
        if c.name != name:
            continue
        shapes = found.setdefault(repr(c), {})
        for n, d in SHAPES:
            if d >= LONG and "uniform" in repr(c):
                continue  # a uniform rotation takes d^2 operations
            try:
                shapes[f"n = {n}, d = {d}"] = entry(c, n, d)
            except ValueError:
                continue
    return found


def case_names() -> list[str]:
    """Return the names of the compressors among the cases."""
    return sorted({c.name for c in STATISTICS})


def path(name: str) -> Path:
    return FOLDER / f"{name}.json"


def load(name: str) -> Any:
    """Return the content of the file of a compressor; empty if it does not exist."""
    return json.loads(path(name).read_text()) if path(name).exists() else {}


def text(name: str) -> str:
    """Return the path of the file of a compressor."""
    return json.dumps(entries(name), indent=1, sort_keys=True) + "\n"


def _shown(data: bytes, d: int) -> str:
    return f"{zlib.crc32(data):08x}" if d >= LONG else data.hex()
