"""The page of the book on the wire format, made from the code that implements it."""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable, Sequence

import numpy as np
import torch

from cqbook.book.tables import table
from cqbook.book.templates import render
from cqlib import compressors
from cqlib.compressors import CQ, Compressor, Context, composition, iscc, wire
from cqlib.kernels.api import HostKernels
from cqlib.kernels.derived import rotation, subsets
from cqlib.kernels.reference import hadamard, norms, packing, rounding, words
from cqlib.keys import Key, Stream
from cqlib.payload import HEADER_FIELDS, Payload

_N, _D = 16, 1000  # of the table
_EXAMPLE_D = 19  # of the bytes shown
_DECISIONS = (
    norms.tree_sum,
    HostKernels.l2_scale,
    HostKernels.norm_scale,
    rounding.grid,
    rounding.round_independent,
    rounding.round_correlated,
    rounding.round_linear,
    rounding.round_exponential,
    rounding.k_level_grid,
)
_RANKS = (HostKernels.shift_ranks, HostKernels.permutation_ranks, HostKernels.sigma)


def wire_page() -> str:
    """Return the page: header, codes, messages of each compressor, example bytes, randomness."""
    return render(
        "wire",
        header=_header_table(),
        tag_text=wire.tag_text(CQ(), 9, 3, 4, Key(1)),
        packing=_docs(packing),
        n=_N,
        d=_D,
        messages=_message_table(),
        example_d=_EXAMPLE_D,
        examples=_examples(),
        streams=table(
            ("number", "stream", "use"), [(f"{s:#06x}", f"`{s.name}`", s.use) for s in Stream]
        ),
        fold=_first_part(Key.fold),
        composition_inner=composition.INNER,
        iscc_inner=iscc.INNER,
        words=_docs(words),
        rounding=_docs(rounding),
        decisions=[(f.__name__, _first_part(f)) for f in _DECISIONS],
        ranks=[(f.__name__, _first_part(f)) for f in _RANKS],
        subsets=_docs(subsets),
        rotation=_docs(rotation),
        hadamard=_docs(hadamard),
        encode_drive=_first_part(HostKernels.encode_drive),
        decode_drive=_first_part(HostKernels.decode_drive),
    )


def _first_part(function: Callable[..., object]) -> str:
    """Return the docstring of a function up to the arguments, as one paragraph."""
    text = (inspect.getdoc(function) or "").partition("\nArgs:")[0].partition("\n>>>")[0]
    return " ".join(text.replace("``", "`").replace(":func:", "").split())


def _docs(module: object) -> str:
    """Return the docstring of a module without its first line."""
    text = inspect.getdoc(module) or ""
    return text.partition("\n\n")[2].replace("``", "`")


def _header_table() -> str:
    rows: list[tuple[object, object, str]] = []
    offset = 0
    for kind, text in HEADER_FIELDS:
        size = struct.calcsize("<" + kind)
        rows.append((offset, size, text))
        offset += size
    rows += [("", "varies", "name, ASCII"), ("", "4 each", "floats, float32")]
    rows += [("", "varies", "codes"), ("", 4, "CRC-32 of everything before")]
    return table(("offset", "bytes", "field"), rows)


def _message_table() -> str:
    X = _vectors(_N, _D)
    rows = []
    for name in compressors.names():
        c = compressors.make(name)
        sent = _sent(c, X)
        codes = _range([0 if p is None else p.codes.numel() for p in sent])
        floats = _range([0 if p is None else p.scales.numel() for p in sent])
        rows.append((f"`{name}`", _symbols(c, sent, _D), codes, floats, f"{c.bits(_D, _N):.6g}"))
    return table(("compressor", "symbols", "code bytes", "floats", "bits"), rows)


def _symbols(c: Compressor, sent: Sequence[Payload | None], d: int) -> str:
    """Return a description of the symbols in the first message."""
    client = next(i for i, payload in enumerate(sent) if payload is not None)
    return str(c.coder(Context(d, np.array([client]), len(sent), Key(1))))


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
    return "\n".join(lines)


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
