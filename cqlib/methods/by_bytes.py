"""MARINA client by client, with every compressed message as bytes: slow and simple."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cqlib.compressors import Compressor, average
from cqlib.keys import Key, Stream
from cqlib.methods.trace import Trace
from cqlib.payload import Payload
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS


def marina_by_bytes(
    problem: Problem, compressor: Compressor, *, p: float, stepsize: float, rounds: int, seed: int
) -> Trace:
    r"""Run Algorithm 1 literally, as a reference for :func:`marina`.

    Each client computes its own gradient, and encodes its message; the server reads the bytes.

    Args:
        problem: the problem to minimise.
        compressor: the clients' compressor.
        p: probability of a round of whole gradients, in (0, 1].
        stepsize: $\gamma$.
        rounds: T.
        seed: seed of coins and compressor.

    Raises:
        ValueError: if p is outside (0, 1], or a vector is too large to send because the run
            diverges.

    Source: Algorithm 1.

    >>> from cqlib import compressors, methods, problems
    >>> task = problems.quadratic_hessian_variance(n=4, d=8, noise=0.5, reg=0.1, seed=0)
    >>> options = dict(p=0.3, stepsize=0.2, rounds=5, seed=1)
    >>> slow = marina_by_bytes(task, compressors.make("cq"), **options)
    >>> fast = methods.marina(task, compressors.make("cq"), **options)
    >>> bool(np.allclose(slow.grad_norm_sq, fast.grad_norm_sq, rtol=1e-9))
    True
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")
    n, d = problem.n, problem.d
    clients = range(n)
    x, key, sent = problem.x0, Key(seed), 0.0
    gradients = [problem.gradient(i, x) for i in clients]
    g, cost = _average(gradients), float(FLOAT_BITS * d)
    rows = [(sent, _square(g), float(problem.value(x)))]
    for _ in range(rounds):
        x, key, sent = x - stepsize * g, key.next(), sent + cost
        old, gradients = gradients, [problem.gradient(i, x) for i in clients]
        rows.append((sent, _square(_average(gradients)), float(problem.value(x))))
        if key.uniform(Stream.COIN) < p:
            g, cost = _average(gradients), float(FLOAT_BITS * d)
        else:
            changes = torch.stack(gradients) - torch.stack(old)
            options: dict[str, Any] = {
                "n_clients": n,
                "key": key,
                "shared": compressor.statistic(changes),
            }
            received: dict[int, Payload | None] = {}
            for i in clients:
                payload = compressor.encode(changes[i], client=i, **options)
                received[i] = payload and Payload.from_bytes(payload.to_bytes())
            g = g + compressor.mean_of_received(received, d=d, **options)
            cost = compressor.bits(d, n)
    bits, norms, values = np.array(rows).T[:, :, None]
    return Trace(bits, norms, values, np.array([stepsize]), np.array([seed]))


def _average(vectors: list[Tensor]) -> Tensor:
    return average(torch.stack(vectors))


def _square(x: Tensor) -> float:
    return float((x**2).sum())
