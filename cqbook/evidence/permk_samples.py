"""Algorithm 3 as the library runs it: the shape of its messages, bias, and error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence.sampling import scores, standard_error
from cqlib import Key
from cqlib.compressors import make

Array = NDArray[np.float64]


def sample(X: Array, b: int, *, rounds: int, seed: int) -> Array:
    """Return what PermK+CQ decodes in a number of rounds.

    Args:
        X: the clients' vectors, shape (n, d).
        b: number of blocks.
        rounds: number of rounds.
        seed: of the keys.

    Returns:
        Shape (rounds, n, d).
    """
    compressor, tensor = make("permk_cq", b=b), torch.from_numpy(X)
    decoded = [compressor.compress(tensor, key=Key(seed, t)).numpy() for t in range(rounds)]
    return np.stack(decoded).astype(np.float64)


def has_blocks(decoded: Array, X: Array, b: int) -> bool:
    r"""Return whether messages have the shape of Algorithm 3.

    Each client keeps $\frac db$ coordinates, each coordinate is kept by $\frac nb$ clients, there
    are b different sets of coordinates, and kept ones are $\pm b$ times the norm of the kept part.

    Args:
        decoded: as :func:`sample` returns it, shape (rounds, n, d); no entry of X is zero.
        X: the clients' vectors, shape (n, d).
        b: number of blocks, a divisor of n and d.
    """
    _, n, d = decoded.shape
    kept = decoded != 0
    ranges = b * np.sqrt((X**2 * kept).sum(axis=2, keepdims=True))
    sizes = bool((kept.sum(axis=2) == d // b).all() and (kept.sum(axis=1) == n // b).all())
    shared = all(len(np.unique(each, axis=0)) == b for each in kept)
    return sizes and shared and bool(np.allclose(np.abs(decoded), ranges * kept, rtol=2**-20))


class Scores(NamedTuple):
    """Deviations of sampled means, in standard errors."""

    error: float  # of the squared error of the clients' mean from its expectation, signed
    bias: float  # largest of a coordinate of a client from its input


def compare(decoded: Array, X: Array, expected: float) -> Scores:
    """Compare sampled means with the inputs, and sampled errors with the expected error.

    Args:
        decoded: shape (rounds, n, d).
        X: the clients' vectors, shape (n, d).
        expected: exact squared error of the mean.
    """
    errors = ((decoded.mean(axis=1) - X.mean(axis=0)) ** 2).sum(axis=1)
    bias = np.abs(decoded.mean(axis=0) - X) / standard_error(decoded)
    return Scores(float(scores(errors, expected)), float(bias.max()))


def one_block_is_cq(X: Array, *, seed: int, rounds: int = 1, ranks: str = "shift") -> bool:
    """Return whether PermK+CQ with b = 1 decodes to the same numbers as CQ, bit for bit.

    Args:
        X: the clients' vectors, shape (n, d).
        seed: of the keys.
        rounds: number of rounds.
        ranks: kind of ranks, "shift" or "permutation".

    >>> one_block_is_cq(np.ones((2, 3)), seed=0)
    True
    """
    tensor, keys = torch.from_numpy(X), [Key(seed, t) for t in range(rounds)]
    one, plain = make("permk_cq", b=1, ranks=ranks), make("cq", ranks=ranks)
    return all(
        torch.equal(one.compress(tensor, key=k), plain.compress(tensor, key=k)) for k in keys
    )
