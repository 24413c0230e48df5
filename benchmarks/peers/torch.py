"""PyTorch: random rounding in its operations, and the main work of its DDP hooks."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook

from benchmarks.case import Case, Operation
from benchmarks.inputs import tensor


def _chances(x: torch.Tensor) -> torch.Tensor:
    return x.div(torch.linalg.vector_norm(x)).add_(1).mul_(0.5)


def _bernoulli(n: int, d: int) -> Operation:
    x = tensor(d)
    return lambda: torch.bernoulli(_chances(x))


def _rand_and_pack(n: int, d: int) -> Operation:
    x, weights = tensor(d), 2 ** torch.arange(8, dtype=torch.uint8)

    def pack() -> torch.Tensor:
        up = torch.rand(d) < _chances(x)
        return (up.view(-1, 8) * weights).sum(1, dtype=torch.uint8)

    return pack


def _fp16(n: int, d: int) -> Operation:
    x, out = tensor(d), torch.ones(d, dtype=torch.float16)
    return lambda: out.copy_(x)


def _power_sgd(rank: int) -> Callable[[int, int], Operation]:
    def setup(n: int, d: int) -> Operation:
        height = 2 ** math.ceil(math.log2(d) / 2)
        matrix = tensor(d).view(1, height, -1)
        start = torch.randn(1, d // height, rank, generator=torch.Generator().manual_seed(3))
        p, q = torch.empty(1, height, rank), torch.empty_like(start)

        def factor() -> torch.Tensor:
            torch.bmm(matrix, start, out=p)
            powerSGD_hook._orthogonalize(p)  # type: ignore[no-untyped-call]
            return torch.bmm(matrix.transpose(1, 2), p, out=q)

        return factor

    return setup


CASES = (
    Case("torch bernoulli", "IQ, one float32 a coordinate", _bernoulli, 32, against="iq call"),
    Case("torch rand and pack", "IQ, packed to bits", _rand_and_pack, 1, against="iq call"),
    Case("torch fp16", "the cast of fp16_compress_hook, into out=", _fp16, 16, against="cq call"),
    Case("torch PowerSGD, rank 1", "the matrix products of powerSGD_hook", _power_sgd(1), 0.02,
         against="cq call"),
    Case("torch PowerSGD, rank 4", "the matrix products of powerSGD_hook", _power_sgd(4), 0.06,
         against="cq call"),
)  # fmt: skip
