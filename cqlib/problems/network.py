"""A small neural network: a smooth problem that is far from convex."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, grad_and_value, vjp, vmap

from cqlib.data import Dataset
from cqlib.problems.base import check_reg, split
from cqlib.problems.lanczos import largest_magnitudes
from cqlib.theory.smoothness import Smoothness, client_factors


@dataclass(frozen=True, eq=False)
class Network:
    r"""Logistic loss of a network with one hidden layer, m samples per client.

    $f_i(x)=\frac1m\sum_{k=1}^m\log(1+e^{-y_{ik}s(x,z_{ik})})+\frac\lambda2\|x\|^2$,
    $s(x,z)=v^\top\tanh(Wz+b)+c$.

    The point x of shape (d,) is W row by row, then b, v and c: $d=h(D+2)+1$ for D features and h
    hidden units. Derivatives are those of ``torch.func``, mapped over the clients.

    Args:
        features: $z_{ik}$, shape (n, m, D), float64.
        labels: $y_{ik}$, -1 or +1, shape (n, m), float64.
        hidden: h, at least 1.
        reg: $\lambda\ge0$.
        seed: seed of the start, an integer at least 0.
    """

    features: Tensor
    labels: Tensor
    hidden: int
    reg: float
    seed: int

    @property
    def n(self) -> int:
        """Number of clients."""
        return self.features.shape[0]

    @property
    def m(self) -> int:
        """Samples per client."""
        return self.features.shape[1]

    @property
    def d(self) -> int:
        """Number of weights."""
        return sum(self._sizes)

    @property
    def x0(self) -> Tensor:
        r"""Start: each weight uniform in $\pm1/\sqrt{\text{inputs of its unit}}$.

        Source: PyTorch's default for linear layers.
        """
        units = self.features.shape[2], self.features.shape[2], self.hidden, self.hidden
        reach = np.repeat(1 / np.sqrt(units), self._sizes)
        draws = np.random.default_rng(self.seed).uniform(-1.0, 1.0, self.d)
        return torch.from_numpy(reach * draws).to(self.features.device)

    def value(self, x: Tensor) -> Tensor:
        """f(x): shape () or (b,)."""
        losses: Tensor = self._over_clients(self._loss, x)
        return losses.mean(dim=-1)

    def gradients(self, x: Tensor) -> Tensor:
        """Gradients of all f_i: shape (n, d) or (b, n, d)."""
        return self.value_and_gradients(x)[1]

    def value_and_gradients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and the clients' gradients from one forward and one backward pass."""
        gradients, losses = self._over_clients(grad_and_value(self._loss), x)
        return losses.mean(dim=-1), gradients

    def gradient(self, i: int, x: Tensor) -> Tensor:
        """Gradient of f_i alone: x of shape (d,) to (d,)."""
        return grad(self._loss)(x, self.features[i], self.labels[i])

    def smoothness(self, weights: Sequence[float] | None = None) -> Smoothness:
        r"""Smoothness constants at the start alone: **lower bounds** of those of f.

        A network has no global constants: its Hessians grow with its weights. These are the
        constants of the quadratics with the Hessians $H_i$ of $f_i$ at $x^0$,
        $L_-=\lambda_{\max}(|\bar H|)$, $L_i=\lambda_{\max}(|H_i|)$,
        $L_{+,w}^2=\lambda_{\max}(\frac1n\sum_i\frac1{nw_i}H_i^2)$,
        $L_{\pm,w}^2=\lambda_{\max}(\frac1n\sum_i\frac1{nw_i}H_i^2-\bar H^2)$. Over any set that
        holds a neighbourhood of $x^0$ the constants are at least as large, so that a stepsize
        made from these has no guarantee. No Hessian is formed: eigenvalues come from products
        with vectors, to a relative residual of $10^{-10}$.

        Args:
            weights: $w_i$, shape (n,), for $L_{+,w}$ and $L_{\pm,w}$ (Assumptions 7 and 8).

        Raises:
            ValueError: unless weights are n positive numbers of sum 1.
        """
        return self._plain if weights is None else self._weighted(client_factors(self.n, weights))

    @cached_property
    def _plain(self) -> Smoothness:
        return self._weighted(client_factors(self.n))

    @cached_property
    def _unweighted(self) -> tuple[float, tuple[float, ...]]:
        """L_minus and all L_i."""
        curve = self._curvature()
        each = largest_magnitudes(curve, _directions(self.x0.expand(self.n, -1)))
        return self._largest(lambda V: curve(V).mean(dim=0)), tuple(each.tolist())

    def _weighted(self, factors: NDArray[np.float64]) -> Smoothness:
        curve = self._curvature()
        factor = torch.from_numpy(factors).to(self.features.device)[:, None]

        def square(V: Tensor) -> Tensor:
            return curve(factor * curve(V)).mean(dim=0)

        def variance(V: Tensor) -> Tensor:
            products = curve(V)  # the mean is subtracted first: squares would lose digits
            return curve(factor * products - products.mean(dim=0)).mean(dim=0)

        L_minus, L_i = self._unweighted
        plus = self._largest(square)
        spread = self._largest(variance, floor=1e-5 * plus)
        return Smoothness(L_minus, plus**0.5, spread**0.5, L_i)

    def _curvature(self) -> Callable[[Tensor], Tensor]:
        """Return the map from rows u_i to the rows H_i u_i, both of shape (n, d)."""

        def gradients(points: Tensor) -> Tensor:
            return vmap(grad(self._loss))(points, self.features, self.labels)

        pull: Callable[[Tensor], tuple[Tensor]] = vjp(gradients, self.x0.expand(self.n, -1))[1]
        return lambda rows: pull(rows)[0]  # the Jacobian has the symmetric H_i as its blocks

    def _largest(self, product: Callable[[Tensor], Tensor], floor: float = 0.0) -> float:
        """Largest magnitude for one operator; ``product`` gets its vector in all n rows."""

        def apply(v: Tensor) -> Tensor:
            return product(v.expand(self.n, -1))[None]

        return float(largest_magnitudes(apply, _directions(self.x0[None]), floor=floor))

    @property
    def _sizes(self) -> list[int]:
        """Numbers of weights in W, b, v and c."""
        return [self.hidden * self.features.shape[2], self.hidden, self.hidden, 1]

    def _loss(self, x: Tensor, rows: Tensor, signs: Tensor) -> Tensor:
        """f_i(x) from the client's samples, (m, D), and labels, (m,)."""
        W, b, v, c = torch.split(x, self._sizes)
        units = torch.tanh(torch.nn.functional.linear(rows, W.view(self.hidden, -1), b))
        loss = -torch.nn.functional.logsigmoid(signs * (units @ v + c)).mean()
        return loss + self.reg / 2 * (x**2).sum()

    def _over_clients(self, function: Callable[..., Any], x: Tensor) -> Any:
        """Map a function of point, samples and labels over clients, and over the points of x."""
        mapped = vmap(function, in_dims=(None, 0, 0))
        mapped = mapped if x.ndim == 1 else vmap(mapped, in_dims=(0, None, None))
        return mapped(x, self.features, self.labels)


def network(
    dataset: Dataset, n_clients: int, *, hidden: int = 16, reg: float = 1e-3, seed: int = 0
) -> Network:
    r"""Split a dataset over clients that fit a network, $m=\lfloor N/n\rfloor$ samples each.

    Samples go in order, and those beyond n m are dropped, as in :func:`logistic`.

    Args:
        dataset: N samples with labels -1 and +1.
        n_clients: n, in [1, N].
        hidden: h, number of hidden units, at least 1.
        reg: weight $\lambda\ge0$ of the regulariser $\frac12\|x\|^2$.
        seed: seed of the start $x^0$, at least 0.

    Raises:
        ValueError: if a number is outside its range.

    Source: not from the paper, whose tasks are logistic regression and quadratics.

    >>> from cqlib import data
    >>> problem = network(data.load("digits"), n_clients=16)
    >>> problem.n, problem.m, problem.d  # 16 (64 + 2) + 1 weights
    (16, 112, 1057)
    """
    rows, labels = split(dataset, n_clients)
    check_reg(reg)
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1, got {hidden}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    return Network(rows, labels, hidden, float(reg), seed)


def _directions(like: Tensor) -> Tensor:
    """Random rows from which an iteration starts, the same in every call."""
    draws = np.random.default_rng(0).standard_normal(like.shape)
    return torch.from_numpy(draws).to(like.device)
