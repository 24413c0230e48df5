"""MARINA: clients send compressed changes of their gradients, and sometimes whole gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cqlib.compressors import Compressor, average
from cqlib.kernels.derived.streams import uniform_of_each
from cqlib.keys import Key, Stream, runs_of_keys
from cqlib.methods.descend import Progress, descend_together
from cqlib.methods.trace import Trace
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS


class CombinatorialCompressor(Protocol):
    r"""A random map S of all clients' vectors, $\mathbb E\,S(a_1,\dots,a_n)=\bar a$ (Assumption 6).

    Every unbiased compressor of the library is one: S is its ``mean``. ``iscc`` draws a few clients
    with given probabilities.
    """

    def mean(self, X: Tensor, *, key: Key) -> Tensor:
        """S of the rows of X: (n, d) to (d,), or (b, n, d) to (b, d)."""

    def bits(self, d: int, n: int) -> float:
        """Expected bits per client for one evaluation of S."""


@dataclass(frozen=True)
class MarinaMemory:
    """State that the clients and the server keep between rounds."""

    gradients: Tensor  # the clients' last gradients, shape (b, n, d)
    direction: Tensor  # the server's estimate g^t, shape (b, d)


def marina_init(gradients: Tensor, *, key: Key) -> Progress:
    """Send whole gradients: g^0 = grad f(x^0)."""
    direction = average(gradients)
    memory = MarinaMemory(gradients, direction)
    return Progress(memory, direction, FLOAT_BITS * gradients.shape[-1])


def marina_step(
    memory: MarinaMemory,
    gradients: Tensor,
    *,
    key: Key,
    compressor: CombinatorialCompressor,
    p: float,
) -> Progress:
    """Send whole gradients with probability p, else compressed differences (Algorithm 1, line 8).

    With any S in place of the clients' average it is a round of weighted MARINA (Algorithm 4). All
    clients and all members of a batch share the coin.
    """
    if key.uniform(Stream.COIN) < p:
        return marina_init(gradients, key=key)
    n, d = gradients.shape[-2:]
    change = compressor.mean(gradients - memory.gradients, key=key)
    direction = memory.direction + change
    return Progress(MarinaMemory(gradients, direction), direction, compressor.bits(d, n))


def marina_step_of_seeds(
    memory: MarinaMemory,
    gradients: Tensor,
    *,
    keys: Sequence[Key],
    compressor: CombinatorialCompressor,
    p: float,
) -> Progress:
    """Do :func:`marina_step` for members with keys, and so coins, of their own."""
    runs, ends = runs_of_keys(keys)
    coins = np.repeat(uniform_of_each(runs, Stream.COIN) < p, np.diff([0, *ends]))
    if coins.all():
        return marina_init(gradients, key=keys[0])
    n, d = gradients.shape[-2:]
    bits = np.where(coins, FLOAT_BITS * d, compressor.bits(d, n))
    if not coins.any():
        change = mean_of_each(compressor, gradients - memory.gradients, keys)
        direction = memory.direction + change
        return Progress(MarinaMemory(gradients, direction), direction, bits)
    whole, rest = torch.from_numpy(np.flatnonzero(coins)), torch.from_numpy(np.flatnonzero(~coins))
    change = mean_of_each(
        compressor,
        gradients[rest] - memory.gradients[rest],
        [keys[i] for i in rest.tolist()],
    )
    direction = torch.empty_like(memory.direction)
    direction[whole] = average(gradients[whole])
    direction[rest] = memory.direction[rest] + change
    return Progress(MarinaMemory(gradients, direction), direction, bits)


def mean_of_each(c: CombinatorialCompressor, X: Tensor, keys: Sequence[Key]) -> Tensor:
    """Return S of the members of a batch with keys of their own: (b, n, d) to (b, d)."""
    if isinstance(c, Compressor):
        return c.mean(X, key=keys)
    runs, ends = runs_of_keys(keys)
    parts = torch.tensor_split(X, ends[:-1])
    return torch.cat([c.mean(part, key=key) for key, part in zip(runs, parts, strict=True)])


def marina(
    problem: Problem,
    compressor: CombinatorialCompressor,
    *,
    p: float,
    stepsize: ArrayLike,
    bit_budget: float | None = None,
    rounds: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Trace:
    r"""Run MARINA (Algorithm 1).

    $x^{t+1}=x^t-\gamma g^t$; with probability p, $g^{t+1}=\nabla f(x^{t+1})$ at 32 d bits per
    client, else $g^{t+1}=g^t+\frac1n\sum_iC_i(\nabla f_i(x^{t+1})-\nabla f_i(x^t))$ at
    ``compressor.bits(d, n)``.

    Args:
        problem: the problem to minimise.
        compressor: C.
        p: probability of a round of whole gradients, in (0, 1].
        stepsize: $\gamma$, a number or shape (b,); see ``theory.marina_stepsize``.
        bit_budget: bits that a client may send; the first whole gradient counts.
        rounds: number of rounds; give this or ``bit_budget``.
        seed: seed of coins and compressor, in [0, 2^64), or several, run in one batch.

    Raises:
        ValueError: unless stepsizes are positive and finite, exactly one of ``bit_budget`` and
            ``rounds`` is given, and p is in (0, 1].

    Source: Algorithm 1; Gorbunov, Burlachenko, Li, Richtarik, ICML 2021.

    >>> from cqlib import compressors, data, problems
    >>> problem = problems.logistic(data.load("breast_cancer"), n_clients=30, reg=0.1)
    >>> trace = marina(problem, compressors.make("cq"), p=0.1, stepsize=[0.1, 0.2], rounds=4)
    >>> trace.bits.shape, trace.bits[1].tolist()
    ((5, 2), [960.0, 960.0])
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")
    return descend_together(
        problem,
        lambda gradients, *, keys: marina_init(gradients, key=keys[0]),
        partial(marina_step_of_seeds, compressor=compressor, p=p),
        stepsize=stepsize,
        bit_budget=bit_budget,
        rounds=rounds,
        seed=seed,
    )
