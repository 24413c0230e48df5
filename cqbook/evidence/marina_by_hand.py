"""Algorithms 1 and 4, written out step by step, to compare with the library's runs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib import Key, Payload
from cqlib.compressors import Compressor
from cqlib.keys import Stream
from cqlib.problems import Problem
from cqlib.problems.quadratic import Quadratic


class Watched:
    """A problem that records the points of its evaluations.

    Args:
        problem: the problem that is evaluated.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.x0 = problem, problem.x0
        self.seen: list[Tensor] = []

    def value_and_gradients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the problem, and record the first point of the batch."""
        self.seen.append(x[0].clone())
        return self.problem.value_and_gradients(x)


def algorithm_1(
    problem: Problem, compressor: Compressor, *, p: float, stepsize: float, rounds: int, seed: int
) -> tuple[Tensor, list[float]]:
    """Run MARINA client by client; every compressed message is converted to bytes and back.

    Args:
        problem: the problem to minimise.
        compressor: compressor of the gradient differences.
        p: probability of a round of whole gradients.
        stepsize: the stepsize gamma.
        rounds: number of rounds.
        seed: seed of the coins and the compressor.

    Returns:
        The iterates, shape (rounds + 1, d), and the bits per client before each, on average.

    Source: Algorithm 1.

    >>> from cqlib import problems
    >>> from cqlib.compressors import make
    >>> task = problems.quadratic_smoothness(n=4, d=3, noise=0.0, reg=0.0, seed=0)
    >>> _, bits = algorithm_1(task, make("iq"), p=1.0, stepsize=0.5, rounds=2, seed=0)
    >>> bits
    [0.0, 96.0, 192.0]
    """
    n, d, key = problem.n, problem.d, Key(seed)
    x = problem.x0.clone()
    last = [problem.gradient(i, x) for i in range(n)]
    g, cost = _average(last), 32.0 * d
    iterates, bits = [x], [0.0]
    for _ in range(rounds):
        key = key.next()
        coin = key.uniform(Stream.COIN) < p
        x = x - stepsize * g
        iterates.append(x)
        bits.append(bits[-1] + cost)
        new = [problem.gradient(i, x) for i in range(n)]
        if coin:
            g, cost = _average(new), 32.0 * d
        else:
            changes = [one - other for one, other in zip(new, last, strict=True)]
            received = _sent_as_bytes(compressor, changes, key)
            g = g + compressor.mean_of_received(received, d=d, n_clients=n, key=key)
            sent = [m for m in received.values() if m is not None]
            cost = sum(8 * len(m.codes) + 32 * len(m.scales) for m in sent) / n
        last = new
    return torch.stack(iterates), bits


def _average(vectors: list[Tensor]) -> Tensor:
    return torch.stack(vectors).sum(dim=0) / len(vectors)


def _sent_as_bytes(
    compressor: Compressor, vectors: list[Tensor], key: Key
) -> dict[int, Payload | None]:
    """Return the messages of all clients, read back from bytes; None for a silent client."""
    found: dict[int, Payload | None] = {}
    for i, vector in enumerate(vectors):
        sent = compressor.encode(vector, client=i, n_clients=len(vectors), key=key)
        found[i] = None if sent is None else Payload.from_bytes(sent.to_bytes())
    return found


def algorithm_4(
    problem: Quadratic, compressor: Compressor, *, p: float, stepsize: float, rounds: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run weighted MARINA on a quadratic from its dense Hessians.

    Args:
        problem: of Algorithm 5 or 6.
        compressor: the compressor S; only its ``mean`` is used.
        p: probability of a round of whole gradients.
        stepsize: the stepsize gamma.
        rounds: number of rounds.
        seed: seed of the coins and of S.

    Returns:
        Squared gradient norms of f at the iterates, and bits per client before each; shape
        (rounds + 1,) each.

    Source: Algorithm 4.

    >>> from cqlib import problems
    >>> from cqlib.compressors import make
    >>> task = problems.quadratic_smoothness(n=4, d=3, noise=0.0, reg=0.0, seed=0)
    >>> path, _ = algorithm_4(task, make("iq"), p=1.0, stepsize=0.5, rounds=2, seed=0)
    >>> bool((np.diff(path) < 0).all())  # p = 1 is gradient descent
    True
    """
    H, key = problem.hessians(), Key(seed)
    offset = problem.gradients(torch.zeros(problem.d, dtype=torch.float64))

    def gradients(x: Tensor) -> Tensor:
        return H @ x + offset

    x = problem.x0.clone()
    g, cost = gradients(x).mean(0), 32.0 * problem.d
    path, bits = [float((g**2).sum())], [0.0]
    for _ in range(rounds):
        key = key.next()
        new = x - stepsize * g
        bits.append(bits[-1] + cost)
        if key.uniform(Stream.COIN) < p:
            g, cost = gradients(new).mean(0), 32.0 * problem.d
        else:
            g = g + compressor.mean(gradients(new) - gradients(x), key=key)
            cost = compressor.bits(problem.d, problem.n)
        x = new
        path.append(float((gradients(x).mean(0) ** 2).sum()))
    return np.array(path), np.array(bits)
