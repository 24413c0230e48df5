"""A demonstration on one machine: what a mean between processes costs, and how exact it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cqbook.network.processes import on_ranks
from cqbook.network.timing import time_mean
from cqlib.distributed.collectives import Group

WAYS = (
    "float32",
    "float16",
    "global_qsgd/two_shot",
    "drive/all_gather",
    "cq/all_gather",
    "cq:range=linf:rotate=true/all_gather",
)
NOISE = 0.1  # of a client's vector, relative to what all have in common


def demonstrate(n: int, d: int, repeats: int) -> list[dict[str, Any]]:
    """Take the mean of n processes' vectors in several ways.

    The vectors have a common part and noise of a tenth of its size.

    Args:
        n: number of processes, started here.
        d: coordinates.
        repeats: how often each way is taken.

    Returns:
        For each way: its name, bytes that a process sent, median seconds, and the squared error of
        the mean over its squared norm.
    """
    return list(on_ranks(n, _ways, d, repeats)[0])


def vector(rank: int, d: int) -> Tensor:
    """Return a client's vector."""
    common, own = (torch.Generator().manual_seed(seed) for seed in (0, rank + 1))
    return torch.randn(d, generator=common) + NOISE * torch.randn(d, generator=own)


def _ways(rank: int, n: int, d: int, repeats: int) -> list[dict[str, Any]]:
    group, x = Group(), vector(rank, d)
    exact = torch.stack([vector(other, d) for other in range(n)]).double().mean(dim=0)
    found = []
    for way in WAYS:
        timed = time_mean(way, x.clone(), repeats=repeats, group=group)
        error = float(((timed["mean"].double() - exact) ** 2).sum() / (exact**2).sum())
        seconds = sorted(timed["seconds"])[repeats // 2]
        sent = timed["sent_bytes"]
        found.append({"way": way, "sent_bytes": sent, "seconds": seconds, "error": error})
    return found
