"""Errors and nonzeros of Global-QSGD: exact, sampled, bounded, and as noted by a reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cqbook.evidence.sampling import standard_error
from cqlib import Key, theory
from cqlib.compressors import Compressor, make

Array = NDArray[np.float64]
Levels = Literal["linear", "exponential"]


def inputs(rng: np.random.Generator, n: int, d: int) -> dict[str, Array]:
    """Return vectors of n clients by name: Gaussian, equal, flat and heavy-tailed.

    >>> sorted(inputs(np.random.default_rng(0), 2, 3))
    ['Gaussian', 'equal', 'flat', 't, 2 degrees']
    """
    gaussian = rng.standard_normal((n, d))
    return {
        "Gaussian": gaussian,
        "equal": np.tile(gaussian[:1], (n, 1)),
        "flat": rng.choice([-1.0, 1.0], (n, d)),
        "t, 2 degrees": rng.standard_t(2, (n, d)),
    }


def score(X: Array, *, norm: float, seed: int, rounds: int, **options: Any) -> dict[str, float]:
    r"""Return the sampled mean and error of Global-QSGD against the exact ones.

    Args:
        X: rows, shape (n, d), with float32 entries.
        norm: 2 or infinity.
        seed: seed of the keys.
        rounds: number of samples.
        options: levels, s and reduction of the compressor.

    Returns:
        "exact", the squared error of the mean; "z of error" and "z of mean", scores of the samples
        (the second one along the mean); "theta n", n times the exact error over the mean squared
        norm; and "bound", n times its bound theta.

    Source: the class of compressors of Global-QSGD, Theorem on theta.

    >>> found = score(np.ones((2, 3)), norm=np.inf, seed=0, rounds=2, levels="linear", s=1)
    >>> found["exact"]  # all at the largest level
    0.0
    """
    n, d = X.shape
    c = make("global_qsgd", norm=norm, **options)
    tensor, target = torch.from_numpy(X), X.mean(0)
    means = np.stack([c.mean(tensor, key=Key(seed, r)).numpy() for r in range(rounds)])
    errors = ((means - target) ** 2).sum(1)
    exact, unit = c.mse(X), float((X**2).sum(1).mean())
    along = (means - target) @ target
    # The standard error of constant errors is zero; use a small number instead.
    least = max(standard_error(errors), 1e-9 * unit)
    return {
        "exact": exact,
        "z of error": float((errors.mean() - exact) / least),
        "z of mean": float((means - target).mean(0) @ target / max(standard_error(along), 1e-12)),
        "theta n": exact / unit * n,
        "bound": n * theory.global_qsgd_theta(n, d, norm=norm, **options),
    }


def theta_bound(levels: Levels, n: int, d: int, s: int) -> float:
    r"""Return the bound of theta for exact sums and the 2-norm.

    Linear: $\frac1n\min\{\frac{\sqrt{nd}}s,\frac{nd}{4s^2}\}$; exponential:
    $\frac1n\big(\frac18+\min\{t,\frac{t^2}4\}\big)$, $t=2^{1-s}\sqrt{nd}$.

    >>> theta_bound("linear", 4, 4, 1), theta_bound("exponential", 4, 4, 3)
    (1.0, 0.09375)
    """
    t = (n * d) ** 0.5
    if levels == "linear":
        return min(t / s, t**2 / (4 * s**2)) / n
    t *= 2.0 ** (1 - s)
    return (0.125 + min(t, t**2 / 4)) / n


def theta_as_noted(levels: Levels, n: int, d: int, s: int) -> float:
    r"""Return theta as noted by a reader, with $\sqrt d$ in place of $\sqrt{nd}$.

    >>> theta_as_noted("linear", 4, 4, 1), theta_as_noted("exponential", 4, 4, 3)
    (0.5, 0.15625)
    """
    if levels == "linear":
        return d**0.5 / (n * s)
    return 0.125 / n + d**0.5 / (n * 2 ** (s - 1))


def theta(X: Array, levels: Levels, s: int) -> float:
    """Return the exact error over the mean squared norm, 2-norm, exact sums.

    >>> theta(np.ones((1, 1)), "linear", 1)  # the norm is a level
    0.0
    """
    mse = theory.global_qsgd_mse(X, levels=levels, s=s, norm=2)
    return float(mse / (X**2).sum(1).mean())


def theta_curves(
    rng: np.random.Generator, n: int, dims: Sequence[int], levels: Levels, s: int
) -> pd.DataFrame:
    """Return exact values, bound and noted value by dimension: columns levels, curve, d, theta.

    Args:
        rng: generator of the vectors, new ones for every dimension.
        n: number of clients.
        dims: dimensions.
        levels: linear or exponential.
        s: number of levels.

    >>> len(theta_curves(np.random.default_rng(0), 2, [3, 5], "linear", 1))
    8
    """
    found: dict[str, list[float]] = {"flat": [], "Gaussian": []}
    for d in dims:
        some = inputs(rng, n, d)
        for name, values in found.items():
            values.append(theta(some[name], levels, s))
    found["bound, sqrt(nd)"] = [theta_bound(levels, n, d, s) for d in dims]
    found["as noted, sqrt(d)"] = [theta_as_noted(levels, n, d, s) for d in dims]
    rows = [
        (levels, name, d, value)
        for name, values in found.items()
        for d, value in zip(dims, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["levels", "curve", "d", "theta"])


def nonzeros_with_own_norms(X: Array, s: int) -> float:
    """Return the expected nonzeros of QSGD, where each client uses its own norm.

    >>> nonzeros_with_own_norms(np.array([[1.0, 0.0], [0.0, 5.0]]), 1)
    2.0
    """
    return float(sum(theory.expected_nonzeros(x[None], s=s, norm=2) for x in X))


def reduction_errors(
    rng: np.random.Generator, clients: Iterable[int], *, s: int, most_folds: int
) -> pd.DataFrame:
    """Return exact errors of exponential levels by kind of reduction.

    Equal clients have magnitudes within a factor of two; their error is relative to the squared
    norm of the mean. Independent clients have Gaussian vectors; their error is relative to the mean
    squared norm divided by n.

    Args:
        rng: generator of the Gaussian vectors.
        clients: numbers of clients.
        s: number of levels.
        most_folds: largest number of clients for the reduction "fold".

    Returns:
        Columns inputs, n, sums, error.

    >>> table = reduction_errors(np.random.default_rng(0), [2], s=3, most_folds=1)
    >>> table["sums"].tolist()
    ['sum', 'tree', 'sum', 'tree']
    """
    octave = 2.0 ** ((np.arange(128) + 0.5) / 128)
    rows = []
    for n in clients:
        alike = np.tile(octave, (n, 1))
        other = rng.standard_normal((n, len(octave)))
        for name, X in (("equal", alike), ("independent", other)):
            unit = (X**2).sum(1).mean() / (1 if name == "equal" else n)
            for sums in ("sum", "tree", "fold"):
                if sums == "fold" and n > most_folds:
                    continue
                mse = theory.global_qsgd_mse(
                    X, reduction=sums, levels="exponential", s=s, norm=np.inf
                )
                rows.append((name, n, sums, mse / unit))
    return pd.DataFrame(rows, columns=["inputs", "n", "sums", "error"])


def relative_error(c: Compressor, X: Array, key: Key) -> float:
    """Return the squared error of the mean over the squared norm of the mean.

    >>> relative_error(make("identity"), np.ones((2, 3)), Key(0))
    0.0
    """
    target = X.mean(0)
    found = c.mean(torch.from_numpy(X), key=key).numpy()
    return float(((found - target) ** 2).sum()) / float((target**2).sum())
