"""The Triton kernels on a CUDA device, compared with a copy on that device."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.case import SIZES, Case, Operation
from benchmarks.inputs import KEY, codes, tensor
from cqlib.kernels.reference.packing import code_bytes

Setup = Callable[[int, int], Operation]


def _encode(device: str, *, correlated: bool) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        x = tensor(d).to(device)
        scale = triton.norm_scale(x[None], 2.0)[0]
        out = torch.ones(d // 8, dtype=torch.uint8, device=device)
        options: dict[str, Any] = {"client": n - 1, "n_clients": n, "correlated": correlated}
        return lambda: triton.encode_one_bit(x, scale, key=KEY, out=out, **options)

    return setup


def _mean(device: str, *, equal: bool) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        messages = torch.from_numpy(codes(n, d)).to(device)
        scales = torch.full((n,), 3.0) if equal else torch.arange(1.0, n + 1)
        scales, out = scales.to(device), torch.ones(d, device=device)
        return lambda: triton.average_one_bit(messages, scales, d=d, out=out)

    return setup


def _decode(device: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        message = torch.from_numpy(codes(1, d)[0]).to(device)
        scale, out = torch.tensor(3.0, device=device), torch.ones(d, device=device)
        return lambda: triton.decode_one_bit(message, scale, d=d, out=out)

    return setup


def _norm(device: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        x = tensor(d).to(device)[None]
        return lambda: triton.norm_scale(x, 2.0)

    return setup


def _levels(device: str, levels: int) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        x = tensor(d).to(device)
        scale = triton.norm_scale(x[None], math.inf)[0]
        out = torch.ones(code_bytes(d, 2 * levels + 1), dtype=torch.uint8, device=device)
        who: dict[str, Any] = {"levels": levels, "key": KEY, "client": n - 1}
        return lambda: triton.encode_levels(x, scale, out=out, **who)

    return setup


def _quantize(device: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        x = tensor(d).to(device)
        scale = triton.norm_scale(x[None], math.inf)[0]
        out = torch.ones(d, dtype=torch.int8, device=device)
        who: dict[str, Any] = {"levels": 127, "key": KEY, "client": n - 1}
        return lambda: triton.quantize_levels(x, scale, out=out, **who)

    return setup


def _transform(device: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        out = torch.zeros((1, d), device=device)
        return lambda: triton.transform(out, out=out)

    return setup


def _drive(device: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        x = tensor(d).to(device)
        out = torch.ones(d // 8, dtype=torch.uint8, device=device)
        squares = float(triton.sums_of_squares(x[None])[0])
        who: dict[str, Any] = {"key": KEY, "client": n - 1, "unbiased": True}
        return lambda: triton.encode_drive(x, squares, out=out, **who)

    return setup


def _read_drive(device: str) -> Setup:
    def setup(n: int, d: int) -> Operation:
        from cqlib.kernels import gpu as triton

        message = torch.from_numpy(codes(1, d)[0]).to(device)
        out = torch.ones(d, device=device)
        return lambda: triton.decode_drive(message, 3.0, d=d, key=KEY, client=n - 1, out=out)

    return setup


def cases(device: str = "cuda", sizes: tuple[int, ...] = SIZES) -> tuple[Case, ...]:
    """Return the cases that are measured on a device."""
    encode = "round and pack, into out="
    listed = (
        ("iq encode", encode, _encode(device, correlated=False), 1),
        ("cq encode", encode, _encode(device, correlated=True), 1),
        ("one-bit decode", "one message, into out=", _decode(device), 32),
        ("mean, equal ranges", "of 16 messages, into out=", _mean(device, equal=True), 32),
        ("mean, own ranges", "of 16 messages, into out=", _mean(device, equal=False), 32),
        ("norm", "the range of one vector", _norm(device), 0),
        ("dithering encode", "15 values, 4 bits each, into out=", _levels(device, 7), 4),
        ("trits encode", "3 values, five to a byte, into out=", _levels(device, 1), 1.6),
        ("linear quantize", "255 values as int8, into out=", _quantize(device), 8),
        ("transform", "fast Walsh-Hadamard of float32, in place", _transform(device), 32),
        ("drive encode", "rotate, pack signs, into out=", _drive(device), 1),
        ("drive decode", "rotate back, into out=", _read_drive(device), 32),
    )
    return tuple(Case(*entry, sizes=sizes) for entry in listed)


def copy(d: int, device: str = "cuda") -> Operation:
    """Return a copy of d floats from the device's memory to itself."""
    x = tensor(d).to(device)
    out = torch.ones_like(x)
    return lambda: out.copy_(x)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def cuda_clock(operation: Operation, calls: int) -> tuple[float, float]:
    """Return seconds between two events on the device's stream, and processor seconds."""
    first, last = (_event() for _ in range(2))
    busy = time.process_time()
    first.record()
    for _ in range(calls):
        operation()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1e3, time.process_time() - busy


def compiled() -> dict[str, Any]:
    """Return the report on the compiled kernels, which needs Triton but no GPU."""
    command = [sys.executable, "-m", "benchmarks.gpu_report", "--json"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no output"]
        return {"rows": [], "why": lines[-1]}
    return {"rows": json.loads(done.stdout), "why": ""}
