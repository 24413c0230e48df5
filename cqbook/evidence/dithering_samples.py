"""Definitions 2 and 3, sampled: outputs are neighbouring levels with the right frequencies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from cqbook.evidence.quantizer_laws import dithering_levels
from cqlib import Key
from cqlib.compressors import make

Array = NDArray[np.float64]


class LevelTest(NamedTuple):
    """Counts of upper levels against their binomial laws, for the free coordinates."""

    neighbours: bool  # all outputs are neighbouring levels
    tail: float  # smallest tail probability of a count
    z: float  # largest deviation of a count, in standard errors
    tests: int  # coordinates that are not levels themselves


def levels_sent(
    name: str, x: Array, q: float, s: int, *, seed: int, clients: int = 64, rounds: int = 20
) -> LevelTest:
    r"""Test the outputs of a dithering for one vector.

    Coordinate j must be sign times norm times a neighbouring level, the upper one with the
    probability $\frac{y-\ell}{u-\ell}$.

    Args:
        name: "standard_dithering" or "natural_dithering".
        x: the vector of all clients, shape (d,).
        q: index of the norm.
        s: number of levels.
        seed: seed of the keys.
        clients: number of clients, each with its own randomness.
        rounds: number of rounds.

    Source: Definitions 2 and 3.
    """
    compressor: Any = make(name, p=q, s=s)
    levels = np.array([float(v) for v in dithering_levels(name, s)])
    X, norm = torch.from_numpy(np.tile(x, (clients, 1))), np.linalg.norm(x, ord=q)
    decoded = [compressor.compress(X, key=Key(seed, round=r)).numpy() for r in range(rounds)]
    values, y = np.concatenate(decoded) / norm, np.abs(x) / norm
    k = np.clip(np.searchsorted(levels, y, side="right") - 1, 0, len(levels) - 2)
    low, high = levels[k], levels[k + 1]
    up = np.isclose(values, np.sign(x) * high, rtol=1e-6, atol=0)
    near = up | np.isclose(values, np.sign(x) * low, rtol=1e-6, atol=1e-30)
    chance, total = (y - low) / (high - low), len(values)
    free = (chance > 0) & (chance < 1)
    ups, chance = up.sum(0)[free], chance[free]
    tails = binom.cdf(ups, total, chance), binom.sf(ups - 1, total, chance)
    z = (ups - total * chance) / np.sqrt(total * chance * (1 - chance))
    return LevelTest(
        bool(near.all()), float(np.min(tails)), float(np.abs(z).max()), int(free.sum())
    )


def keeps_zero(name: str, q: float, s: int, *, seed: int) -> bool:
    """Return True if a dithering sends the zero vector without error.

    >>> keeps_zero("natural_dithering", 2, 3, seed=0)
    True
    """
    sent = make(name, p=q, s=s).compress(torch.zeros(2, 5), key=Key(seed))
    return bool((sent == 0).all())
