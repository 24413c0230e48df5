"""Search for the input with the largest ratio of the two sides of an inequality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

Array = NDArray[np.float64]
Ratio = Callable[[Array], Array]

POPULATION = 64


@dataclass(frozen=True)
class Worst:
    """The worst input found by a search.

    Args:
        ratio: left side of the inequality over its right side; above 1 the inequality fails.
        at: the input, shape (size,), entries in [-1, 1].
        evaluations: number of inputs tried.
        restarts: number of populations of random inputs from which the search started.
    """

    ratio: float
    at: tuple[float, ...]
    evaluations: int
    restarts: int


def attack(
    ratio: Ratio, size: int, *, evaluations: int = 100_000, restarts: int = 4, seed: int = 0
) -> Worst:
    """Maximise a ratio over the cube $[-1,1]^{size}$ by differential evolution, with restarts.

    The function ``ratio`` maps the cube to the inputs of the inequality. The digits of the result
    depend on the seed and on rounding, so a page should print only whether a bound was exceeded.

    Args:
        ratio: function from shape (k, size) to (k,): left side over right side; NaN counts as 0.
        size: number of entries of an input.
        evaluations: smallest number of inputs to try, over all restarts.
        restarts: number of starts, each from a new random population.
        seed: seed of the search.

    Raises:
        ValueError: if a number is below 1.

    Source: Storn and Price 1997, as implemented in SciPy.

    >>> found = attack(lambda z: 1 - (z**2).sum(axis=1), size=2, evaluations=5000)
    >>> round(found.ratio, 6), found.evaluations >= 5000, found.restarts
    (1.0, True, 4)
    """
    if size < 1 or evaluations < 1 or restarts < 1:
        raise ValueError(
            f"size, evaluations, restarts must be at least 1; got {size}, {evaluations}, {restarts}"
        )
    counted = 0

    def loss(z: Array) -> Array:  # z of shape (size, k)
        nonlocal counted
        counted += z.shape[1]
        found = np.nan_to_num(ratio(np.ascontiguousarray(z.T)), nan=0.0, neginf=0.0)
        return np.asarray(-found)

    generations = -(-evaluations // (restarts * POPULATION))
    worst = Worst(-np.inf, (), 0, restarts)
    for restart in range(restarts):
        rng = np.random.default_rng([seed, restart])
        result = differential_evolution(
            loss,
            [(-1.0, 1.0)] * size,
            init=rng.uniform(-1, 1, (POPULATION, size)),
            maxiter=generations,
            mutation=(0.4, 1.0),
            tol=0.0,
            atol=-1.0,  # every start uses all its evaluations
            polish=False,
            rng=rng,
            updating="deferred",
            vectorized=True,
        )
        if -result.fun > worst.ratio:
            worst = Worst(float(-result.fun), tuple(map(float, result.x)), 0, restarts)
    return Worst(worst.ratio, worst.at, counted, restarts)
