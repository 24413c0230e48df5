"""Stand-ins for data sets that cannot be had: learnable random numbers of the same shape."""

import hashlib

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def stand_in(name: str, N: int, d: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Random numbers of the same shape, kind of values and label counts as the named set.

    Made in integers, so they are the same on every machine. Labels follow a linear rule with
    integer weights, plus uniform noise of half an interquartile range to either side; the highest
    scores are the +1.

    Args:
        name: a9a, madelon or splice.
        N: number of samples.
        d: number of features.

    Returns:
        X of shape (N, d) and y of shape (N,), values -1 and +1.

    >>> X, y = stand_in("splice", 1000, 60)
    >>> X.shape, int(X.min()), int(X.max()), int((y > 0).sum())
    ((1000, 60), 1, 4, 517)
    """
    positives, draw = _STAND_INS[name]
    seed = hashlib.sha256(f"cqlib stand-in {name}".encode()).digest()[:16]
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(seed, "little")))
    X = draw(rng, N, d)
    score = X @ rng.integers(-8, 9, d)
    ranked = np.sort(score)
    width = (ranked[3 * N // 4] - ranked[N // 4]) // 2
    score += rng.integers(-width, width + 1, N)
    y = np.full(N, -1.0)
    y[np.argsort(-score, kind="stable")[:positives]] = 1
    return X.astype(np.float64), y


def _like_a9a(rng: np.random.Generator, N: int, d: int) -> Integers:
    # a single 1 in each of 14 blocks, as wide as a9a's attributes; low categories are likelier
    widths = np.array([5, 8, 5, 16, 5, 7, 14, 6, 5, 2, 2, 2, 5, 41])
    category = rng.integers(0, widths, (2, N, 14)).min(0)
    X = np.zeros((N, d), dtype=np.int64)
    np.put_along_axis(X, category + np.cumsum(widths) - widths, 1, axis=1)
    return X


def _like_madelon(rng: np.random.Generator, N: int, d: int) -> Integers:
    X: Integers = 480 + rng.integers(-20, 21, (4, N, d)).sum(0)  # standard deviation near 24
    return X


def _like_splice(rng: np.random.Generator, N: int, d: int) -> Integers:
    return rng.integers(1, 5, (N, d))


_STAND_INS = {  # how many +1, and the generator of X
    "a9a": (7841, _like_a9a),
    "madelon": (1000, _like_madelon),
    "splice": (517, _like_splice),
}
