"""Norms by Triton."""

from __future__ import annotations

import math

import torch
import triton
from torch import Tensor

from cqlib.kernels.gpu.compiled import sums
from cqlib.kernels.gpu.launch import OPTIONS
from cqlib.kernels.reference import norms
from cqlib.kernels.reference.norms import ROW


def sums_of_squares(x: Tensor) -> Tensor:
    """Add eight entries at a time, in passes over memory."""
    values = _fold(x.reshape(-1, x.shape[-1]).contiguous(), ROW, square=True)
    while values.shape[1] > ROW:
        values = _fold(values, ROW)
    return _fold(_fold(values, 8, far=True), 1, far=True)[:, 0].reshape(x.shape[:-1])


def norm_scale(x: Tensor, p: float) -> Tensor:
    """Leave p other than 2 and infinity to the reference, since powers differ between libraries."""
    if p == math.inf:
        norm = x.abs().amax(dim=-1).double()
    elif p == 2:
        norm = sums_of_squares(x).sqrt()
    else:
        return torch.as_tensor(norms.norm_scale(x.cpu().numpy(), p)).to(x.device)
    scale = norm.float()
    scale = torch.where(scale.double() < norm, torch.nextafter(scale, scale + math.inf), scale)
    # In float64, squares of float32 numbers do not underflow to 0.
    zero = norm == 0 if x.dtype == torch.float32 else ~(x != 0).any(dim=-1)
    return torch.where(zero, torch.zeros_like(scale), scale.clamp_min(2.0**-126))


def _fold(values: Tensor, step: int, *, square: bool = False, far: bool = False) -> Tensor:
    rows, size = values.shape
    count = step * max(1, triton.cdiv(size, 8 * step))
    out = torch.empty((rows, count), dtype=torch.float64, device=values.device)
    block = min(256, triton.next_power_of_2(count))
    sums.fold_kernel[(triton.cdiv(count, block), rows)](
        values, out, size, count, step, SQUARE=square, FAR=far, BLOCK=block, **OPTIONS
    )
    return out
