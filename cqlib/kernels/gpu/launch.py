"""What is launched for each kernel."""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor

from cqlib.kernels.gpu.programs import hadamard as hadamard_programs
from cqlib.kernels.gpu.programs import levels as level_programs
from cqlib.kernels.gpu.programs import one_bit, sums
from cqlib.kernels.reference import hadamard
from cqlib.kernels.reference.buffers import (
    check_levels,
    check_messages,
    check_padding,
    check_vector,
)
from cqlib.kernels.reference.norms import ROW
from cqlib.kernels.reference.norms import norm_scale as host_norm_scale
from cqlib.kernels.reference.packing import check_length, code_bytes, unpack
from cqlib.keys import Key, Stream

LANES = 128  # bytes of codes that one program makes, one a thread
OPTIONS = {"enable_fp_fusion": False}
_TOGETHER = 2048  # numbers that a program transforms
_COLUMNS = 16  # of them side by side, where rows are far apart


def norm_scale(x: Tensor, p: float) -> Tensor:
    """See :func:`reference.norm_scale`.

    Powers differ from one library to the next, so that p other than 2 and infinity goes through
    main memory.
    """
    if p == math.inf:
        norm = x.abs().amax(dim=-1).double()
    elif p == 2:
        norm = sums_of_squares(x).sqrt()
    else:
        return torch.as_tensor(host_norm_scale(x.cpu().numpy(), p)).to(x.device)
    scale = norm.float()
    scale = torch.where(scale.double() < norm, torch.nextafter(scale, scale + math.inf), scale)
    # Squares of float32 do not vanish in float64.
    zero = norm == 0 if x.dtype == torch.float32 else ~(x != 0).any(dim=-1)
    return torch.where(zero, torch.zeros_like(scale), scale.clamp_min(2.0**-126))


def encode_one_bit(
    x: Tensor,
    scale: Tensor,
    *,
    key: Key,
    client: int,
    n_clients: int,
    correlated: bool,
    out: Tensor | None = None,
) -> Tensor:
    """See :func:`reference.encode_one_bit`; scale is a tensor of one float32."""
    check_vector(x, client, n_clients)
    d = x.numel()
    codes = _output(x, (-(-d // 8),), (torch.uint8,), torch.uint8, out)
    k0, k1 = _private(key, Stream.ROUNDING, client)
    s0, s1 = (_signed(k) for k in key.shared(Stream.SHIFT))
    places = codes
    if correlated:
        places = _places(key, -(-d // 1024), client, n_clients, x.device)
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    one_bit.encode_kernel[grid](
        x.contiguous(), scale, places, codes, d, _signed(n_clients), k0, k1, s0, s1,
        CORRELATED=correlated, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip
    return codes


def decode_one_bit(codes: Tensor, scale: Tensor, *, d: int, out: Tensor | None = None) -> Tensor:
    """See :func:`reference.decode_one_bit`; scale is a tensor of one float32."""
    _check_codes(codes, d)
    values = _output(codes, (d,), (torch.float32, torch.float64), torch.float32, out)
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    one_bit.decode_kernel[grid](codes.contiguous(), scale, values, d, BLOCK=LANES, **OPTIONS)
    return values


def mean_one_bit(codes: Tensor, scales: Tensor, *, d: int, out: Tensor | None = None) -> Tensor:
    """See :func:`reference.mean_one_bit`."""
    check_messages(codes, scales)
    scales = scales.float()
    for row in codes:
        _check_codes(row, d)
    values = _output(codes, (d,), (torch.float32, torch.float64), torch.float64, out)
    n, width = codes.shape
    equal = bool((scales == scales[0]).all())
    grid = (triton.cdiv(-(-d // 1024) * 128, LANES),)
    one_bit.mean_kernel[grid](
        codes.contiguous(), scales, values, d, n, width, EQUAL=equal, BLOCK=LANES, **OPTIONS
    )
    return values


def joint_mean_one_bit(
    X: Tensor, scales: Tensor, *, key: Key, correlated: bool, out: Tensor | None = None
) -> Tensor:
    """See :func:`reference.joint_mean_one_bit`; each client's codes are packed on the way."""
    n, d = X.shape[-2:]
    kinds = (torch.float32, torch.float64)
    values = _output(X, (*X.shape[:-2], d), kinds, torch.float64, out)
    batch = zip(X.reshape(-1, n, d), scales.reshape(-1, n), values.view(-1, d), strict=True)
    codes = torch.empty((n, -(-d // 8)), dtype=torch.uint8, device=X.device)
    for rows, norms, mean in batch:
        for i in range(n):
            encode_one_bit(
                rows[i],
                norms[i],
                key=key,
                client=i,
                n_clients=n,
                correlated=correlated,
                out=codes[i],
            )
        mean_one_bit(codes, norms, d=d, out=mean)
    return values


def sums_of_squares(x: Tensor) -> Tensor:
    """See :func:`norms.sums_of_squares`."""
    values = _fold(x.reshape(-1, x.shape[-1]).contiguous(), ROW, square=True)
    while values.shape[1] > ROW:
        values = _fold(values, ROW)
    return _fold(_fold(values, 8, far=True), 1, far=True)[:, 0].reshape(x.shape[:-1])


def transform(x: Tensor, *, out: Tensor | None = None) -> Tensor:
    """See :func:`hadamard.transform`."""
    D = x.shape[-1]
    if D < 1 or D & (D - 1):
        raise ValueError(f"a transform needs a power of two, got {D} coordinates")
    if x.dtype not in (torch.float32, torch.float64, torch.int32):
        raise ValueError(f"a transform is of float32, float64 or int32, got {x.dtype}")
    y = _output(x, tuple(x.shape), (x.dtype,), x.dtype, out)
    size = min(D, _TOGETHER)
    _levels(x.contiguous(), y, 1, size)
    _upper_levels(y, size, D)
    return y


def encode_drive(
    x: Tensor,
    squares: float,
    *,
    unbiased: bool,
    key: Key,
    client: int,
    out: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """See :func:`reference.encode_drive`; needs D bits and D floats beside the result."""
    check_vector(x)
    D = hadamard.rotated_size(x.numel())
    codes = _output(x, (-(-D // 8),), (torch.uint8,), torch.uint8, out)
    y = torch.empty(D, dtype=torch.float32, device=x.device)
    size = min(D, _TOGETHER)
    hadamard_programs.rotate_kernel[(D // size,)](
        x.contiguous(), _sign_words(key, client, D, x.device), y, x.numel(),
        float(hadamard.power_near(squares)), SIZE=size, LEVELS=size.bit_length() - 1, **OPTIONS,
    )  # fmt: skip
    _upper_levels(y, size, D)
    total = torch.zeros(1, dtype=torch.int64, device=x.device)
    grid = (triton.cdiv(-(-D // 1024) * 128, LANES),)
    hadamard_programs.signs_kernel[grid](y, codes, total, D, BLOCK=LANES, **OPTIONS)
    S = hadamard.drive_scale(squares, int(total), D, unbiased=unbiased)
    if S == 0:
        codes.zero_()
    return codes, S


def decode_drive(
    codes: Tensor, scale: float, *, d: int, key: Key, client: int, out: Tensor | None = None
) -> Tensor:
    """See :func:`reference.decode_drive`; needs D bits and D integers beside the result."""
    D = hadamard.rotated_size(d)
    _check_codes(codes, D)
    values = _output(codes, (d,), (torch.float32, torch.float64), torch.float32, out)
    h = torch.empty(D, dtype=torch.int32, device=codes.device)
    size = min(D, _TOGETHER)
    hadamard_programs.spread_kernel[(D // size,)](
        codes.contiguous(), h, D, SIZE=size, LEVELS=size.bit_length() - 1, **OPTIONS
    )
    _upper_levels(h, size, D)
    factor = torch.tensor([float(scale) / math.sqrt(D)], dtype=torch.float64, device=codes.device)
    hadamard_programs.values_kernel[(triton.cdiv(d, LANES),)](
        h, _sign_words(key, client, D, codes.device), factor, values, d, BLOCK=LANES, **OPTIONS
    )
    return values


def _upper_levels(y: Tensor, distance: int, D: int) -> None:
    """Take rows of D numbers, one after the other, through the levels from a distance on."""
    while distance < D:
        rows = min(_TOGETHER // _COLUMNS, D // distance)
        _levels(y, y, distance, rows)
        distance *= rows


def _levels(source: Tensor, target: Tensor, distance: int, rows: int) -> None:
    """Take so many rows of every tile through their levels."""
    columns = min(distance, _COLUMNS)
    size = rows * columns
    hadamard_programs.levels_kernel[(source.numel() // size,)](
        source,
        target,
        distance,
        COLUMNS=columns,
        SIZE=size,
        LEVELS=rows.bit_length() - 1,
        **OPTIONS,
    )


def _sign_words(key: Key, client: int, D: int, device: Any) -> Tensor:
    k0, k1 = _private(key, Stream.ROTATION, client)
    words = torch.empty(
        (-(-D // hadamard.CHUNK), hadamard.SIGNED), dtype=torch.int32, device=device
    )
    blocks = words.numel() // 4
    hadamard_programs.sign_words_kernel[(triton.cdiv(blocks, LANES),)](
        words, blocks, k0, k1, BLOCK=LANES, **OPTIONS
    )
    return words


def quantize_levels(
    x: Tensor, scale: Tensor, *, levels: int, key: Key, client: int, out: Tensor | None = None
) -> Tensor:
    """See :func:`reference.quantize_levels`; scale is a tensor of one float32."""
    check_vector(x)
    check_levels(levels)
    kinds = [t for t in (torch.int8, torch.int16, torch.int32) if levels <= torch.iinfo(t).max]
    values = _output(x, (x.numel(),), kinds, kinds[0], out)
    _round_levels(x, scale, values, levels, key, client, width=0)
    return values


def encode_levels(
    x: Tensor, scale: Tensor, *, levels: int, key: Key, client: int, out: Tensor | None = None
) -> Tensor:
    """See :func:`reference.encode_levels`; scale is a tensor of one float32."""
    check_vector(x)
    check_levels(levels)
    d, width = x.numel(), _symbol_width(levels)
    size = code_bytes(d, 2 * levels + 1)
    codes = _output(x, (size,), (torch.uint8,), torch.uint8, out)
    first = d // 1024 * 1024 if width else 0
    if first:
        _round_levels(x, scale, codes, levels, key, client, width=width)
    start = first // 8 * width
    if size > start:
        k0, k1 = _private(key, Stream.ROUNDING, client)
        level_programs.pack_kernel[(triton.cdiv(size - start, LANES),)](
            x.contiguous(), scale, codes[start:], d, first, size - start, levels, k0, k1,
            WIDTH=width, BLOCK=LANES, **OPTIONS,
        )  # fmt: skip
    return codes


def decode_levels(
    codes: Tensor, scale: Tensor, *, d: int, levels: int, out: Tensor | None = None
) -> Tensor:
    """See :func:`reference.decode_levels`; scale is a tensor of one float32."""
    check_levels(levels)
    alphabet, width = 2 * levels + 1, _symbol_width(levels)
    check_length(codes, code_bytes(d, alphabet))
    ragged = d % (1024 if width else 1280)
    unpack(codes[code_bytes(d - ragged, alphabet) :].cpu().numpy(), ragged, alphabet)
    values = _output(codes, (d,), (torch.float32, torch.float64), torch.float32, out)
    largest = torch.zeros(1, dtype=torch.int32, device=codes.device)
    level_programs.unpack_kernel[(triton.cdiv(d, LANES),)](
        codes.contiguous(), scale, values, largest, d, levels,
        WIDTH=width, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip
    if int(largest) >= (alphabet if width else 243):
        unpack(codes.cpu().numpy(), d, alphabet)  # says what is wrong
    return values


def _round_levels(
    x: Tensor, scale: Tensor, out: Tensor, levels: int, key: Key, client: int, width: int
) -> None:
    k0, k1 = _private(key, Stream.ROUNDING, client)
    grid = (triton.cdiv(-(-x.numel() // 1024) * 128, LANES),)
    level_programs.levels_kernel[grid](
        x.contiguous(), scale, out, x.numel(), levels, k0, k1,
        WIDTH=width, BLOCK=LANES, **OPTIONS,
    )  # fmt: skip


def _symbol_width(levels: int) -> int:
    """Return the bits of a symbol; 0 stands for trits."""
    return 0 if levels == 1 else (2 * levels).bit_length()


def _fold(values: Tensor, step: int, *, square: bool = False, far: bool = False) -> Tensor:
    rows, size = values.shape
    count = step * max(1, triton.cdiv(size, 8 * step))
    out = torch.empty((rows, count), dtype=torch.float64, device=values.device)
    block = min(256, triton.next_power_of_2(count))
    sums.fold_kernel[(triton.cdiv(count, block), rows)](
        values, out, size, count, step, SQUARE=square, FAR=far, BLOCK=block, **OPTIONS
    )
    return out


def _check_codes(codes: Tensor, d: int) -> None:
    """Refuse codes of another size than d bits take, and padding bits that are set."""
    check_length(codes, -(-d // 8))
    if d % 8:
        start = d // 1024 * 128
        check_padding(codes[start:].cpu().numpy(), d % 1024)


def _places(key: Key, tiles: int, client: int, n_clients: int, device: Any) -> Tensor:
    k0, k1 = (_signed(k) for k in key.shared(Stream.SIGMA))
    out = torch.empty(tiles, dtype=torch.int64, device=device)
    block = 128
    one_bit.sigma_kernel[(triton.cdiv(tiles, block),)](
        out, tiles, _signed(client), _signed(n_clients), k0, k1, BLOCK=block, **OPTIONS
    )
    return out


def _private(key: Key, stream: Stream, client: int) -> list[int]:
    """Return the two words of a client's stream, for a call."""
    return [_signed(int(k[0])) for k in key.private(stream, [client])]


def _signed(word: int) -> int:
    """Return a 32-bit word as a signed integer: Triton would pass a large one in 64 bits."""
    return word - (1 << 32) if word >= 1 << 31 else word


def _output(
    like: Tensor, shape: tuple[int, ...], kinds: Any, default: torch.dtype, out: Tensor | None
) -> Tensor:
    if out is None:
        return torch.empty(shape, dtype=default, device=like.device)
    if out.shape != shape or out.dtype not in kinds or not out.is_contiguous():
        raise ValueError(
            f"out must be a contiguous tensor of shape {shape} and one of {kinds}, "
            f"got {out.dtype} of shape {tuple(out.shape)}"
        )
    return out
