"""Clients' gradients of real tasks: logistic regression, and a small network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits

from cqlib import problems
from cqlib.data import Dataset

Gradients = Callable[[int], torch.Tensor]  # maps n to the gradients of n clients, shape (n, d)

_SHAPES = [(32, 64), (32,), (10, 32), (10,)]  # weights and biases of two layers
_FAN_IN = [64, 64, 32, 32]


def descend(
    gradient: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, stepsize: float, steps: int
) -> torch.Tensor:
    r"""Return the last point of gradient descent from x.

    >>> descend(lambda x: 2 * x, torch.tensor([1.0]), 0.25, 2)
    tensor([0.2500])
    """
    for _ in range(steps):
        x = x - stepsize * gradient(x)
    return x


def logistic(dataset: Dataset, *, reg: float, steps: int) -> Gradients:
    r"""Return the gradients of logistic regression after gradient descent with stepsize $1/L_-$.

    Args:
        dataset: samples, divided among the clients.
        reg: weight $\lambda$ of the non-convex regulariser.
        steps: number of steps of gradient descent.
    """
    whole = problems.logistic(dataset, 1, reg)
    stepsize = 1 / whole.smoothness().L_minus
    x = descend(lambda x: whole.gradients(x)[0], whole.x0, stepsize, steps)
    return lambda n: problems.logistic(dataset, n, reg).gradients(x)


def network(*, seed: int, steps: int) -> Gradients:
    """Return gradients of a network of 64, 32 and 10 units on scikit-learn's digits.

    The loss is cross-entropy, the vector holds all 2410 weights, the stepsize is 1/2.

    Args:
        seed: seed of the first weights, which are uniform within one over the root of the number
            of inputs.
        steps: number of steps of gradient descent.
    """
    pixels, digit = load_digits(return_X_y=True)
    inputs, target = torch.from_numpy(pixels / 16), torch.from_numpy(digit)
    generator = torch.Generator().manual_seed(seed)
    draws = [
        (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) / k**0.5
        for shape, k in zip(_SHAPES, _FAN_IN, strict=True)
    ]
    cuts = [weights.numel() for weights in draws]

    def gradient(x: torch.Tensor, rows: slice) -> torch.Tensor:
        x = x.clone().requires_grad_()
        parts = zip(torch.split(x, cuts), _SHAPES, strict=True)
        W1, b1, W2, b2 = (part.reshape(shape) for part, shape in parts)
        scores = torch.relu(inputs[rows] @ W1.T + b1) @ W2.T + b2
        loss = torch.nn.functional.cross_entropy(scores, target[rows])
        return torch.autograd.grad(loss, x)[0]

    start = torch.cat([weights.flatten() for weights in draws])
    x = descend(lambda x: gradient(x, slice(None)), start, 0.5, steps)

    def of_clients(n: int) -> torch.Tensor:
        m = len(digit) // n
        return torch.stack([gradient(x, slice(i * m, i * m + m)) for i in range(n)])

    return of_clients


def heterogeneity(X: torch.Tensor) -> float:
    r"""Return $\sum_i\|a_i-\bar a\|^2/\sum_i\|a_i\|^2$.

    >>> heterogeneity(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    0.5
    """
    return float(((X - X.mean(0)) ** 2).sum() / (X**2).sum())


def flatness(a: torch.Tensor) -> float:
    r"""Return $\|a\|_1/(\sqrt d\,\|a\|_2)$: 1 if all coordinates have the same size.

    >>> flatness(torch.tensor([1.0, -1.0]))
    1.0
    """
    return float(a.abs().mean() / (a**2).mean() ** 0.5)
