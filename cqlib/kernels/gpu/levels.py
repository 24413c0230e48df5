"""Signed levels by Triton."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from cqlib.kernels.gpu.compiled import levels as compiled
from cqlib.kernels.gpu.launch import LANES, OPTIONS, on_device, output, private_words
from cqlib.kernels.reference.buffers import check_levels, check_vector
from cqlib.kernels.reference.packing import check_length, code_bytes, unpack
from cqlib.keys import Key, Stream


def quantize_levels(
    x: Tensor,
    scale: Tensor | float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: Tensor | None = None,
) -> Tensor:
    """Round eight coordinates per lane."""
    check_vector(x)
    check_levels(levels)
    kinds = [t for t in (torch.int8, torch.int16, torch.int32) if levels <= torch.iinfo(t).max]
    values = output(x, (x.numel(),), kinds, out)
    _round_levels(x, scale, values, levels, key, client, width=0)
    return values


def encode_levels(
    x: Tensor,
    scale: Tensor | float,
    *,
    levels: int,
    key: Key,
    client: int,
    out: Tensor | None = None,
) -> Tensor:
    """Round and pack eight coordinates per lane; trits and the last tile byte by byte."""
    check_vector(x)
    check_levels(levels)
    d, width = x.numel(), _symbol_width(levels)
    size = code_bytes(d, 2 * levels + 1)
    codes = output(x, (size,), (torch.uint8,), out)
    first = d // 1024 * 1024 if width else 0
    if first:
        _round_levels(x, scale, codes, levels, key, client, width=width)
    start = first // 8 * width
    if size > start:
        k0, k1 = private_words(key, Stream.ROUNDING, client)
        compiled.pack_kernel[(triton.cdiv(size - start, LANES),)](
            x.contiguous(), on_device(scale, x.device), codes[start:],
            d, first, size - start, levels, k0, k1,
            WIDTH=width, BLOCK=LANES, **OPTIONS,
        )  # fmt: skip
    return codes


def decode_levels(
    codes: Tensor, scale: Tensor | float, *, d: int, levels: int, out: Tensor | None = None
) -> Tensor:
    """Decode one coordinate per lane; the reference checks the padding of the last tile."""
    check_levels(levels)
    alphabet, width = 2 * levels + 1, _symbol_width(levels)
    check_length(codes, code_bytes(d, alphabet))
    ragged = d % (1024 if width else 1280)
    unpack(codes[code_bytes(d - ragged, alphabet) :].cpu().numpy(), ragged, alphabet)
    values = output(codes, (d,), (torch.float32, torch.float64), out)
    largest = torch.zeros(1, dtype=torch.int32, device=codes.device)
    compiled.unpack_kernel[(triton.cdiv(d, LANES),)](
        codes.contiguous(), on_device(scale, codes.device), values, largest, d, levels,
        WIDTH=width, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip
    if int(largest) >= (alphabet if width else 243):
        unpack(codes.cpu().numpy(), d, alphabet)  # raises the error that names the symbol
    return values


def _round_levels(
    x: Tensor, scale: Tensor | float, out: Tensor, levels: int, key: Key, client: int, width: int
) -> None:
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    grid = (triton.cdiv(-(-x.numel() // 1024) * 128, LANES),)
    compiled.levels_kernel[grid](
        x.contiguous(), on_device(scale, x.device), out, x.numel(), levels, k0, k1,
        WIDTH=width, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip


def _symbol_width(levels: int) -> int:
    """Return the bits per symbol; 0 means trits."""
    return 0 if levels == 1 else (2 * levels).bit_length()
