"""The page of the book on the wire format, made from the code that writes and reads it."""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable

import torch

from cqlib import compressors
from cqlib.compressors import CQ, ISCC, Composition, Compressor, composition, iscc
from cqlib.kernels import reference
from cqlib.kernels.derived import rotation, subsets
from cqlib.kernels.reference import hadamard, norms, packing, rounding, words
from cqlib.keys import Key, Stream
from cqlib.payload import HEADER_FIELDS, Payload

_N, _D = 16, 1000  # of the table
_EXAMPLE_D = 19  # of the bytes shown
_DECISIONS = (
    norms.tree_sum,
    reference.l2_scale,
    reference.norm_scale,
    rounding.grid,
    rounding.round_independent,
    rounding.round_correlated,
    rounding.round_linear,
    rounding.round_exponential,
    rounding.k_level_grid,
)
_RANKS = (reference.shift_ranks, reference.permutation_ranks, reference.sigma)
_MEANINGS = """What the symbols mean:

* one bit: a set bit is the upper end of the client's range, for DRIVE a coordinate of the rotated
  vector that is not negative, for DRIVE+ one of the upper centroid;
* k levels of CQ: the number of the level, from the lowest;
* dithering, natural compression: level l of a positive coordinate is 2 l - 1, of a negative one
  2 l, zero is 0; levels are counted from the smallest that is not zero;
* TopK: the places, ascending; the floats are the values there. RandK and PermK send the values in
  ascending order of places for the former, in the order of the shared permutation for the latter;
* ISCC: the inner compressor's messages, one for each draw, one after the other;
* a composition: the places, if they are sent, then the quantizer's symbols."""


def wire_page() -> str:
    """Return the page: header, codes, what each compressor sends, example bytes, randomness."""
    parts = [
        "# The wire format",
        "What a client sends, byte by byte. This page is made from the code; stored payloads of "
        "every compressor in the tests keep the format from changing unnoticed.",
        "## A payload",
        _header_table(),
        "The tag is the CRC-32 of a text that names compressor, options, d, n, client and key, "
        f"for example `{CQ().tag_text(9, client=3, n_clients=4, key=Key(1))}`. It "
        "refuses what was meant for another, but it is a check and no signature. "
        "`payload.bits` counts floats and codes, `payload.header_bits` the rest.",
        "## Codes",
        _docs(packing),
        "## What each compressor sends",
        f"For n = {_N} clients and d = {_D} coordinates. *Bits* is what the theory counts, on "
        "average over the clients; codes fill whole bytes. Where some clients send more than "
        "others, or are silent, the range over the clients of one round is given.",
        _compressor_table(),
        _MEANINGS,
        "## An example of each",
        f"The first payload of a round in which four clients hold the vectors "
        f"$a_{{ij}}=(7i+3)(j+1)\\bmod17-8$ of {_EXAMPLE_D} coordinates, with `Key(seed=1)`: "
        "floats, then codes, in hexadecimal; header and checksum are left out.",
        _examples(),
        "## Randomness",
        "All of it is Philox4x32-10. A stream's key is the first two words of Philox with counter "
        "(round, low word; round, high word; stream; client, or 0 if shared) under the seed.",
        _stream_table(),
        _first_part(Key.fold),
        "Compositions and ISCC draw their inner compressor's randomness from a folded key, i being "
        f"{composition.INNER} and {iscc.INNER}. ISCC draws client floor(n u) for each message, or "
        "the first whose cumulated probability exceeds u, where u is the upper 53 bits of a 64-bit "
        "word of the stream over 2^53.",
        "### Rounding",
        _docs(words),
        _docs(rounding),
        "Sums, norms, decisions:",
        *(f"* `{f.__name__}`: {_first_part(f)}" for f in _DECISIONS),
        "### Ranks",
        *(f"* `{f.__name__}`: {_first_part(f)}" for f in _RANKS),
        "### Subsets and permutations",
        _docs(subsets),
        "### Rotations",
        _docs(rotation),
        _docs(hadamard),
        "DRIVE with a Hadamard rotation works in float32:",
        _first_part(reference.encode_drive),
        _first_part(reference.decode_drive),
    ]
    return "\n\n".join(parts) + "\n"


def _first_part(function: Callable[..., object]) -> str:
    """What a function does, as one paragraph: its docstring up to the arguments."""
    text = (inspect.getdoc(function) or "").partition("\nArgs:")[0].partition("\n>>>")[0]
    return " ".join(text.replace("``", "`").replace(":func:", "").split())


def _docs(module: object) -> str:
    """The text of a module after its title."""
    text = inspect.getdoc(module) or ""
    return text.partition("\n\n")[2].replace("``", "`")


def _header_table() -> str:
    lines = ["| offset | bytes | field |", "|---|---|---|"]
    offset = 0
    for kind, text in HEADER_FIELDS:
        size = struct.calcsize("<" + kind)
        lines.append(f"| {offset} | {size} | {text} |")
        offset += size
    tail = [("varies", "name, ASCII"), ("4 each", "floats, float32"), ("varies", "codes")]
    lines += [f"| | {size} | {text} |" for size, text in tail]
    return "\n".join([*lines, "| | 4 | CRC-32 of everything before |"]) + "\n\nLittle-endian."


def _compressor_table() -> str:
    X = _vectors(_N, _D)
    lines = [
        "| compressor | symbols | code bytes | floats | bits |",
        "|---|---|---|---|---|",
    ]
    for name in compressors.names():
        c = compressors.make(name)
        sent = _sent(c, X)
        codes = _range([0 if p is None else p.codes.numel() for p in sent])
        floats = _range([0 if p is None else p.scales.numel() for p in sent])
        bits = f"{c.bits(_D, _N):.6g}"
        lines.append(f"| `{name}` | {_symbols(c, _D, _N)} | {codes} | {floats} | {bits} |")
    return "\n".join(lines)


def _symbols(c: Compressor, d: int, n: int) -> str:
    """Say what a message of the compressor holds besides floats."""
    if isinstance(c, ISCC):
        return f"of each draw: {_symbols(c.inner, d, c.tau)}"
    if isinstance(c, Composition):
        parts = [_symbols(c.sparsifier, d, n), _symbols(c.quantizer, c.sparsifier.slots(d, n), n)]
        return ", then ".join(part for part in parts if part != "none") or "none"
    count, alphabet = c.n_codes(d), c.alphabet(d)
    kinds = {2: "bits", 3: "trits"}
    if not count:
        return "none"
    width = (alphabet - 1).bit_length()
    return f"{count} " + kinds.get(alphabet, f"integers of {width} bits, below {alphabet}")


def _examples() -> str:
    lines = []
    for name in compressors.names():
        sent = _sent(compressors.make(name), _vectors(4, _EXAMPLE_D))
        client, payload = next((i, p) for i, p in enumerate(sent) if p is not None)
        floats = payload.scales.numpy().astype("<f4").tobytes().hex(" ", 4)
        codes = payload.codes.numpy().tobytes().hex()
        lines.append(f"{name}, client {client}")
        lines += [f"  floats {_shortened(floats)}"] if floats else []
        lines += [f"  codes  {_shortened(codes)}"] if codes else []
    return "```text\n" + "\n".join(lines) + "\n```"


def _stream_table() -> str:
    lines = ["| number | stream | use |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {s:#06x} | `{s.name}` | {s.use} |" for s in Stream)])


def _vectors(n: int, d: int) -> torch.Tensor:
    i, j = torch.arange(n)[:, None], torch.arange(d)
    return ((7 * i + 3) * (j + 1) % 17 - 8).float()


def _sent(c: Compressor, X: torch.Tensor) -> list[Payload | None]:
    shared = c.statistic(X)
    return [
        c.encode(x, client=i, n_clients=len(X), key=Key(1), shared=shared) for i, x in enumerate(X)
    ]


def _range(counts: list[int]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def _shortened(text: str) -> str:
    return text if len(text) <= 76 else text[:72] + " ..."
