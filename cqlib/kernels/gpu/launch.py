"""The common part of all launches: sizes, words of streams, checks, and tensors to fill."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cqlib.kernels.reference.buffers import check_padding
from cqlib.kernels.reference.packing import check_length
from cqlib.keys import Key, Stream

LANES = 128  # bytes of codes per instance, one per thread
OPTIONS = {"enable_fp_fusion": False}


def on_device(scale: Tensor | float, device: torch.device) -> Tensor:
    """Return a scale as a tensor of one float32 on the device."""
    return torch.as_tensor(scale, dtype=torch.float32, device=device)


def private_words(key: Key, stream: Stream, client: int) -> list[int]:
    """Return the two words of a client's stream, as arguments of a launch."""
    return [signed(int(k[0])) for k in key.private(stream, [client])]


def signed(word: int) -> int:
    """Return a 32-bit word as a signed integer, since Triton would pass a large one in 64 bits."""
    return word - (1 << 32) if word >= 1 << 31 else word


def check_codes(codes: Tensor, d: int) -> None:
    """Raise ValueError unless codes have the size of d bits, and padding bits are zero."""
    check_length(codes, -(-d // 8))
    if d % 8:
        start = d // 1024 * 128
        check_padding(codes[start:].cpu().numpy(), d % 1024)


def output(
    like: Tensor,
    shape: tuple[int, ...],
    kinds: Sequence[torch.dtype],
    out: Tensor | None,
    *,
    name: str = "out",
) -> Tensor:
    """Return out, or a new tensor of the first of ``kinds`` on the device of ``like``.

    Raises:
        ValueError: if out has another shape, a dtype not in ``kinds``, or is not contiguous.
    """
    if out is None:
        return torch.empty(shape, dtype=kinds[0], device=like.device)
    if out.shape != shape or out.dtype not in kinds or not out.is_contiguous():
        raise ValueError(
            f"{name} must be a contiguous tensor of shape {shape} and one of {kinds}, "
            f"got {out.dtype} of shape {tuple(out.shape)}"
        )
    return out
