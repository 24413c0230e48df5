"""A demonstration on one machine: cost and error of a mean between processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cqbook.network.processes import on_ranks
from cqbook.network.timing import time_mean
from cqlib.distributed.collectives import Group

SCHEMES = (
    "float32",
    "float16",
    "global_qsgd/two_shot",
    "drive/all_gather",
    "cq/all_gather",
    "cq:range=linf:rotate=true/all_gather",
)
NOISE = 0.1  # size of a client's noise, relative to the common part


def demonstrate(n: int, d: int, repeats: int) -> list[dict[str, Any]]:
    """Compute the mean of n processes' vectors by several schemes.

    The vectors have a common part and noise of a tenth of its size.

    Args:
        n: number of processes to start.
        d: number of coordinates.
        repeats: number of timed rounds for each scheme.

    Returns:
        For each scheme: its name, bytes sent per process, median seconds, and the squared error of
        the mean over its squared norm.
    """
    return list(on_ranks(n, _measured, d, repeats)[0])


def vector(rank: int, d: int) -> Tensor:
    """Return a client's vector."""
    common, own = (torch.Generator().manual_seed(seed) for seed in (0, rank + 1))
    return torch.randn(d, generator=common) + NOISE * torch.randn(d, generator=own)


def _measured(rank: int, n: int, d: int, repeats: int) -> list[dict[str, Any]]:
    group, x = Group(), vector(rank, d)
    exact = torch.stack([vector(other, d) for other in range(n)]).double().mean(dim=0)
    found = []
    for scheme in SCHEMES:
        timed = time_mean(scheme, x.clone(), repeats=repeats, group=group)
        error = float(((timed["mean"].double() - exact) ** 2).sum() / (exact**2).sum())
        seconds = sorted(timed["seconds"])[repeats // 2]
        sent = timed["sent_bytes"]
        found.append({"scheme": scheme, "sent_bytes": sent, "seconds": seconds, "error": error})
    return found
