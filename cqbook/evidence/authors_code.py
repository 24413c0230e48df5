"""The compressors of the paper's authors, run as they are, against the constants that they return.

Their package MiniFL, version 0.2.1 of 2023, is older than the paper; see the bibliography.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Share(NamedTuple):
    """A mean squared error over the bound that the code itself returns, and its standard error."""

    share: float
    error: float


def installed() -> str:
    """Return the version of MiniFL; an empty text if it is not installed.

    It comes from the package index with the extra ``book``.
    """
    return metadata.version("MiniFL") if find_spec("MiniFL") else ""


def share(name: str, a: NDArray[np.float64], n: int, *, rounds: int, seed: int) -> Share:
    """Return the mean squared error of n equal clients over ``A |a|^2``, A as ``ab()`` returns it.

    Args:
        name: "IQ" or "CQ".
        a: the vector of every client, shape (d,).
        n: number of clients.
        rounds: number of means, each with fresh randomness.
        seed: seed of the first generator.
    """
    from MiniFL.compressors import CorrelatedQuantizer, DeCorrelatedQuantizer

    x, d = torch.from_numpy(a).float(), len(a)
    clients = [
        CorrelatedQuantizer(d, rank=i, world_size=n, num_levels=1, seed=seed)
        if name == "CQ"
        else DeCorrelatedQuantizer(d, world_size=n, num_levels=1, seed=seed + i)
        for i in range(n)
    ]
    errors = np.empty(rounds)
    for k in range(rounds):
        mean = torch.stack([client.compress(x).data for client in clients]).mean(dim=0)
        errors[k] = float(((mean - x) ** 2).sum())
    bound = clients[0].ab()[0] * float((x**2).sum())
    return Share(float(errors.mean() / bound), float(errors.std(ddof=1) / rounds**0.5 / bound))
