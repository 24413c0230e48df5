"""Algorithm 3 as the library runs it: form of its messages, bias, and error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cqbook.evidence.sampling import normal_scores, scores, squared_errors, standard_error
from cqlib import Key, theory
from cqlib.compressors import make

Array = NDArray[np.float64]


def sample(X: Array, b: int, *, rounds: int, seed: int) -> Array:
    """Return the decoded vectors of PermK+CQ in a number of rounds.

    Args:
        X: the clients' vectors, shape (n, d).
        b: number of blocks.
        rounds: number of rounds.
        seed: seed of the keys.

    Returns:
        Shape (rounds, n, d).
    """
    compressor, tensor = make("permk_cq", b=b), torch.from_numpy(X)
    decoded = [compressor.compress(tensor, key=Key(seed, t)).numpy() for t in range(rounds)]
    return np.stack(decoded).astype(np.float64)


def has_blocks(decoded: Array, X: Array, b: int) -> bool:
    r"""Return True if messages have the form of Algorithm 3.

    Each client keeps $\frac db$ coordinates, $\frac nb$ clients keep each coordinate, there are b
    different sets of coordinates, and kept ones are $\pm b$ times the norm of the kept part.

    Args:
        decoded: result of :func:`sample`, shape (rounds, n, d).
        X: the clients' vectors, shape (n, d), with nonzero entries.
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

    error: float  # signed deviation of the squared error of the clients' mean
    bias: float  # largest deviation of a coordinate of a client from its input


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
    """Return True if PermK+CQ with b = 1 decodes to the same numbers as CQ, bit for bit.

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


def bias_scores(decoded: Array, X: Array) -> Array:
    """Return the deviations of all sampled means from the inputs, as normal scores.

    First come all coordinates of all clients, then each client's inner product with its input.

    Args:
        decoded: shape (rounds, n, d).
        X: the clients' vectors, shape (n, d).

    Returns:
        Shape (n d + n,).
    """
    deviations = decoded - X
    along = (deviations * X).sum(axis=2)
    return np.concatenate(
        [
            normal_scores(each.mean(axis=0), standard_error(each), len(each)).ravel()
            for each in (deviations, along)
        ]
    )


def refuses(n: int, b: int) -> bool:
    """Return True if n clients with b blocks raise ValueError.

    >>> refuses(3, 2), refuses(4, 2)
    (True, False)
    """
    try:
        make("permk_cq", b=b).compress(torch.ones(n, 6), key=Key(0))
    except ValueError:
        return True
    return False


def error_of_partition(a: Array, n: int, b: int, order: NDArray[np.int64]) -> float:
    r"""Return the exact error of PermK+CQ for n equal clients, given the blocks of coordinates.

    $\frac1{b^2}\sum_J\mathrm{MSE}_{n/b}(b\,a_J)$.

    Args:
        a: the vector of all clients, shape (d,).
        n: number of clients, a multiple of b.
        b: number of blocks, a divisor of d.
        order: permutation of the coordinates, which is cut into b blocks.

    Source: Corollary 3, with CQ's exact error.

    >>> error_of_partition(np.ones(8), 4, 2, np.arange(8))
    8.0
    """
    blocks = np.split(a[order], b)
    return float(sum(theory.cq_mse(np.tile(b * v, (n // b, 1))) for v in blocks) / b**2)


def corollary_3(
    n: int, d: int, b: int, *, rounds: int, seed: int, rng: np.random.Generator
) -> dict[str, float]:
    r"""Return bits and errors of equal clients, in units of $\frac{bd}{n^2}\|a\|^2$.

    Args:
        n: number of clients, a multiple of b.
        d: number of coordinates, a multiple of b.
        b: number of blocks.
        rounds: number of sampled rounds.
        seed: of the keys.
        rng: generator of the signs, and of 200 vectors with partitions, for the worst case.

    Source: Corollary 3.
    """
    unit = b * d / n**2
    signs = rng.choice([-1.0, 1.0], d)
    flat = error_of_partition(signs, n, b, np.arange(d)) / d
    shares = []
    for _ in range(200):
        a = rng.standard_normal(d) * np.exp(rng.standard_normal(d))
        error = error_of_partition(a, n, b, rng.permutation(d))
        shares.append(error / float(a @ a) / unit)
    compressor, X = make("permk_cq", b=b), torch.from_numpy(np.tile(signs, (n, 1)))
    errors = squared_errors(compressor, X, rounds=rounds, seed=seed) / d
    spread = max(standard_error(errors), 1e-12)
    z = float(normal_scores(errors.mean() - flat, spread, rounds)) if flat > 1e-9 else 0.0
    return {
        "n": n,
        "d": d,
        "b": b,
        "bits": compressor.bits(d, n),
        "d / b + 32": d / b + 32,
        "signs, exact": flat / unit,
        "signs, sampled": float(errors.mean()) / unit,
        "z": z,
        "worst partition": max(shares),
    }
