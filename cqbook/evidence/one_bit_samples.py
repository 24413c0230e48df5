"""IQ and CQ as the library runs them: ranks, decoded values, errors."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cqlib import Key
from cqlib.compressors import Compressor
from cqlib.compressors.steps import ranks_of

Array = NDArray[np.float64]


def order_scores(kind: str, n: int, *, draws: int, seed: int) -> Array:
    r"""Return the deviations of the counts of all n! orders of ranks, in standard errors.

    Args:
        kind: "shift" or "permutation".
        n: number of clients, small.
        draws: number of rounds, each with the ranks of one coordinate.
        seed: seed of the keys.

    Returns:
        Shape (n!,); the standard errors are those of the binomial law.
    """
    seen = [tuple(ranks_of(kind, Key(seed, t), 1, np.arange(n), n)[:, 0]) for t in range(draws)]
    orders = list(permutations(range(n)))
    counts = np.array([seen.count(order) for order in orders])
    chance = 1 / len(orders)
    return np.asarray((counts / draws - chance) / np.sqrt(chance * (1 - chance) / draws))


def every_rank_once(kind: str, n: int, d: int, *, seed: int) -> bool:
    """Return True if n clients have n different ranks at each of d coordinates.

    >>> every_rank_once("shift", 3, 100, seed=0)
    True
    """
    ranks = ranks_of(kind, Key(seed), d, np.arange(n), n)
    return bool((np.sort(ranks, axis=0) == np.arange(n)[:, None]).all())


class Decoded(NamedTuple):
    """Decoded vectors of a one-bit quantizer in a number of rounds."""

    two_values: bool  # all values are plus or minus the client's norm
    errors: Array  # squared error of the clients' mean in each round


def decode(quantizer: Compressor, X: Array, *, rounds: int, seed: int) -> Decoded:
    """Compress in a number of rounds; check the values and compute the error of the mean.

    Args:
        quantizer: IQ or CQ of one bit.
        X: the clients' vectors, shape (n, d).
        rounds: number of rounds.
        seed: seed of the keys.

    Source: Definitions 6 and 7.
    """
    tensor, norms = torch.from_numpy(X), np.linalg.norm(X, axis=1, keepdims=True)
    rows = [quantizer.compress(tensor, key=Key(seed, t)).numpy() for t in range(rounds)]
    return Decoded(
        all(np.allclose(np.abs(decoded), norms, rtol=2**-22) for decoded in rows),
        np.array([((decoded.mean(0) - X.mean(0)) ** 2).sum() for decoded in rows]),
    )


def outliers(n: int) -> tuple[int, float, Array]:
    r"""Return the number of outliers, their distance, and the positions of a family of inputs.

    Of n clients at $\frac12$, about $n^{3/4}$ are moved by $\frac14n^{-1/5}$, half of them up and
    half of them down. For large n the error of CQ is then close to $\frac{\sigma_{md}}n$.

    >>> outliers(16)[0], float(outliers(16)[2].mean())
    (8, 0.5)
    """
    number = max(round(n**0.75) // 2 * 2, 2)
    distance = n**-0.2 / 4
    y = np.full(n, 0.5)
    y[: number // 2] += distance
    y[number // 2 : number] -= distance
    return number, distance, y
