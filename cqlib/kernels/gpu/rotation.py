"""The Walsh-Hadamard transform and DRIVE by Triton."""

from __future__ import annotations

import math

import numpy as np
import torch
import triton
from torch import Tensor

from cqlib.kernels.gpu.compiled import hadamard as compiled
from cqlib.kernels.gpu.launch import LANES, OPTIONS, check_codes, output, private_words
from cqlib.kernels.reference import hadamard
from cqlib.kernels.reference.buffers import check_vector
from cqlib.keys import Key, Stream

_SIZE = 2048  # numbers transformed by an instance
_COLUMNS = 16  # columns per instance, if rows are far apart


def transform(x: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Do the stages within tiles of 2048 numbers, then those between rows farther apart."""
    D = x.shape[-1]
    if D < 1 or D & (D - 1):
        raise ValueError(f"a transform needs a power of two, got {D} coordinates")
    if x.dtype not in (torch.float32, torch.float64, torch.int32):
        raise ValueError(f"a transform is of float32, float64 or int32, got {x.dtype}")
    y = output(x, tuple(x.shape), (x.dtype,), out)
    size = min(D, _SIZE)
    _stages(x.contiguous(), y, 1, size)
    _upper_stages(y, size, D)
    return y


def encode_drive(
    x: Tensor,
    squares: float,
    *,
    unbiased: bool,
    key: Key,
    client: int,
    out: Tensor | None = None,
    scratch: Tensor | None = None,
) -> tuple[Tensor, np.float32]:
    """Rotate, then pack the signs; extra memory: D bits and ``scratch``."""
    check_vector(x)
    D = hadamard.rotated_size(x.numel())
    codes = output(x, (-(-D // 8),), (torch.uint8,), out)
    y = output(x, (D,), (torch.float32,), scratch, name="scratch")
    size = min(D, _SIZE)
    compiled.rotate_kernel[(D // size,)](
        x.contiguous(), _sign_words(key, client, D, x.device), y, x.numel(),
        float(hadamard.unit_power(squares)), SIZE=size, STAGES=size.bit_length() - 1, **OPTIONS,
    )  # fmt: skip
    _upper_stages(y, size, D)
    total = torch.zeros(1, dtype=torch.int64, device=x.device)
    grid = (triton.cdiv(-(-D // 1024) * 128, LANES),)
    compiled.signs_kernel[grid](y, codes, total, D, BLOCK=LANES, **OPTIONS)
    S = np.float32(hadamard.drive_scale(squares, int(total), D, unbiased=unbiased))
    if S == 0:
        codes.zero_()
    return codes, S


def decode_drive(
    codes: Tensor,
    scale: Tensor | float,
    *,
    d: int,
    key: Key,
    client: int,
    out: Tensor | None = None,
) -> Tensor:
    """Unpack the signs, then rotate back; extra memory: D bits and D integers."""
    D = hadamard.rotated_size(d)
    check_codes(codes, D)
    values = output(codes, (d,), (torch.float32, torch.float64), out)
    h = torch.empty(D, dtype=torch.int32, device=codes.device)
    size = min(D, _SIZE)
    compiled.unpack_kernel[(D // size,)](
        codes.contiguous(), h, D, SIZE=size, STAGES=size.bit_length() - 1, **OPTIONS
    )
    _upper_stages(h, size, D)
    factor = torch.tensor([float(scale) / math.sqrt(D)], dtype=torch.float64, device=codes.device)
    compiled.values_kernel[(triton.cdiv(d, LANES),)](
        h, _sign_words(key, client, D, codes.device), factor, values, d, BLOCK=LANES, **OPTIONS
    )
    return values


def _upper_stages(y: Tensor, distance: int, D: int) -> None:
    """Do all stages from ``distance`` on, on rows of D numbers."""
    while distance < D:
        rows = min(_SIZE // _COLUMNS, D // distance)
        _stages(y, y, distance, rows)
        distance *= rows


def _stages(source: Tensor, target: Tensor, distance: int, rows: int) -> None:
    """Do the stages of tiles of ``rows`` rows, ``distance`` apart."""
    columns = min(distance, _COLUMNS)
    size = rows * columns
    compiled.stages_kernel[(source.numel() // size,)](
        source,
        target,
        distance,
        COLUMNS=columns,
        SIZE=size,
        STAGES=rows.bit_length() - 1,
        **OPTIONS,
    )


def _sign_words(key: Key, client: int, D: int, device: torch.device) -> Tensor:
    k0, k1 = private_words(key, Stream.ROTATION, client)
    words = torch.empty(
        (-(-D // hadamard.CHUNK), hadamard.SIGNED), dtype=torch.int32, device=device
    )
    blocks = words.numel() // 4
    compiled.sign_words_kernel[(triton.cdiv(blocks, LANES),)](
        words, blocks, k0, k1, BLOCK=LANES, **OPTIONS
    )
    return words
