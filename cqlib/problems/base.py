"""The interface of problems, as methods use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from cqlib.data import Dataset
from cqlib.theory.smoothness import Smoothness


class Problem(Protocol):
    r"""Minimise $f(x)=\frac1n\sum_{i=1}^nf_i(x)$ over $x\in\mathbb R^d$ (problem (1)).

    Points have shape (d,), or (b, d) for a batch; results then have a leading axis b.
    """

    @property
    def n(self) -> int:
        """Number of clients."""

    @property
    def d(self) -> int:
        """Dimension."""

    @property
    def x0(self) -> Tensor:
        """Start, shape (d,), float64."""

    def value(self, x: Tensor) -> Tensor:
        """f(x): shape () or (b,)."""

    def gradients(self, x: Tensor) -> Tensor:
        """Gradients of all f_i: shape (n, d) or (b, n, d)."""

    def value_and_gradients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value and gradients from one evaluation."""

    def gradient(self, i: int, x: Tensor) -> Tensor:
        """Gradient of f_i alone at one point: shape (d,)."""

    def smoothness(self, weights: Sequence[float] | None = None) -> Smoothness:
        """Smoothness constants; with weights, L_plus and L_pm are those of Assumptions 7 and 8."""


def split(dataset: Dataset, n_clients: int) -> tuple[Tensor, Tensor]:
    r"""Split a dataset over clients, $m=\lfloor N/n\rfloor$ samples each, in order; drop the rest.

    Returns:
        Samples of shape (n, m, D) and labels of shape (n, m), float64.

    Raises:
        ValueError: if n is outside [1, N].

    Source: Section 4.2 and Table 3.
    """
    total = len(dataset.y)
    if not 1 <= n_clients <= total:
        raise ValueError(f"n_clients must be in [1, {total}] for {dataset.name}, got {n_clients}")
    used = total // n_clients * n_clients
    rows = dataset.X[:used].reshape(n_clients, -1, dataset.d)
    return torch.tensor(rows), torch.tensor(dataset.y[:used].reshape(n_clients, -1))


LARGEST = 1e100  # of a parameter: squares of the constants must not overflow


def check_reg(reg: float) -> None:
    """Raise unless the weight of a regulariser is in range."""
    if not 0 <= reg <= LARGEST:
        raise ValueError(f"reg must be at least 0 and at most {LARGEST}, got {reg}")
