"""One-bit messages by Triton."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from cqlib.kernels.gpu.compiled import one_bit
from cqlib.kernels.gpu.launch import (
    LANES,
    OPTIONS,
    check_codes,
    on_device,
    output,
    private_words,
    signed,
)
from cqlib.kernels.reference.buffers import check_messages, check_vector
from cqlib.keys import Key, Stream


def encode_one_bit(
    x: Tensor,
    scale: Tensor | float,
    *,
    key: Key,
    client: int,
    n_clients: int,
    correlated: bool,
    out: Tensor | None = None,
) -> Tensor:
    """Compute the client's places first, then round and pack one byte per lane."""
    check_vector(x, client, n_clients)
    d = x.numel()
    codes = output(x, (-(-d // 8),), (torch.uint8,), out)
    k0, k1 = private_words(key, Stream.ROUNDING, client)
    s0, s1 = (signed(k) for k in key.shared(Stream.SHIFT))
    places = codes  # any tensor: it is read only if CORRELATED
    if correlated:
        places = places_of(key, -(-d // 1024), client, n_clients, x.device)
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    one_bit.encode_kernel[grid](
        x.contiguous(), on_device(scale, x.device), places, codes,
        d, signed(n_clients), k0, k1, s0, s1,
        CORRELATED=correlated, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip
    return codes


def decode_one_bit(
    codes: Tensor, scale: Tensor | float, *, d: int, out: Tensor | None = None
) -> Tensor:
    """Decode one byte per lane."""
    check_codes(codes, d)
    values = output(codes, (d,), (torch.float32, torch.float64), out)
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    R = on_device(scale, codes.device)
    one_bit.decode_kernel[grid](codes.contiguous(), R, values, d, BLOCK=LANES, **OPTIONS)
    return values


def average_one_bit(codes: Tensor, scales: Tensor, *, d: int, out: Tensor | None = None) -> Tensor:
    """Count set bits if all messages have the same range, else add values."""
    check_messages(codes, scales)
    scales = scales.float()
    for row in codes:
        check_codes(row, d)
    values = output(codes, (d,), (torch.float64, torch.float32), out)
    n, width = codes.shape
    equal = bool((scales == scales[0]).all())
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    one_bit.average_kernel[grid](
        codes.contiguous(), scales, values, d, n, width, EQUAL=equal, BLOCK=LANES, **OPTIONS
    )
    return values


def simulate_one_bit(
    X: Tensor,
    scales: Tensor,
    *,
    key: Key | Sequence[Key],
    correlated: bool,
    out: Tensor | None = None,
) -> Tensor:
    """Encode all clients, then average their messages."""
    n, d = X.shape[-2:]
    values = output(X, (*X.shape[:-2], d), (torch.float64, torch.float32), out)
    rows_of, means = X.reshape(-1, n, d), values.view(-1, d)
    keys = [key] * len(means) if isinstance(key, Key) else key
    batch = zip(rows_of, scales.reshape(-1, n), means, keys, strict=True)
    codes = torch.empty((n, -(-d // 8)), dtype=torch.uint8, device=X.device)
    for rows, norms, mean, own in batch:
        for i in range(n):
            encode_one_bit(
                rows[i],
                norms[i],
                key=own,
                client=i,
                n_clients=n,
                correlated=correlated,
                out=codes[i],
            )
        average_one_bit(codes, norms, d=d, out=mean)
    return values


def places_of(key: Key, tiles: int, client: int, n_clients: int, device: torch.device) -> Tensor:
    """Evaluate sigma for one client, int64 of shape (tiles,)."""
    k0, k1 = (signed(k) for k in key.shared(Stream.SIGMA))
    out = torch.empty(tiles, dtype=torch.int64, device=device)
    block = 128
    one_bit.sigma_kernel[(triton.cdiv(tiles, block),)](
        out, tiles, signed(client), signed(n_clients), k0, k1, BLOCK=block, **OPTIONS
    )
    return out
