"""Largest eigenvalues of symmetric operators that are known by their products alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def largest_magnitudes(
    apply: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    tolerance: float = 1e-10,
    floor: float = 0.0,
) -> Tensor:
    r"""Largest $|\lambda|$ of each of r symmetric operators on $\mathbb R^d$, all at once.

    Lanczos iteration with full reorthogonalisation, at most d steps. Row k stops counting when
    its Ritz pair has a residual of at most ``tolerance`` times the value found, so that an
    eigenvalue lies that near. That it is the largest is sure but for a start that is orthogonal to
    its eigenvectors: give a random one.

    Args:
        apply: from vectors of shape (r, d) to the products of operator k with row k.
        start: shape (r, d), float64, no zero row.
        tolerance: relative residual at which to stop, positive.
        floor: a value counts as at least this when its residual is judged, so that an operator
            which is zero up to rounding ends the iteration.

    Returns:
        Shape (r,), float64.

    Source: Golub and Van Loan, Matrix Computations, Chapter 10.

    >>> diagonals = torch.tensor([[1.0, -5.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    >>> largest_magnitudes(lambda v: diagonals * v, torch.ones_like(diagonals)).round(decimals=9)
    tensor([5., 0.], dtype=torch.float64)
    """
    basis = (start / start.norm(dim=1, keepdim=True))[:, None]  # (r, steps, d)
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    while True:
        newest = basis[:, -1]
        rest = apply(newest)
        diagonal.append((rest * newest).sum(dim=1))
        for _ in range(2):  # once leaves rounding errors that grow
            rest = rest - ((basis @ rest[:, :, None]).mT @ basis)[:, 0]
        length = rest.norm(dim=1)
        found, residual = _ritz(diagonal, beside, length)
        if len(diagonal) == start.shape[1] or (residual <= tolerance * found.clamp(floor)).all():
            return found
        # An exhausted Krylov space leaves only rounding: then zero, which adds the eigenvalue 0.
        alive = length > 1e-14 * found
        beside.append(torch.where(alive, length, 0.0))
        step = torch.where(alive[:, None], rest / length[:, None].clamp(1e-300), 0.0)
        basis = torch.cat([basis, step[:, None]], dim=1)


def _ritz(
    diagonal: Sequence[Tensor], beside: Sequence[Tensor], length: Tensor
) -> tuple[Tensor, Tensor]:
    """Largest magnitude among the eigenvalues of the tridiagonal matrices, and its residual."""
    matrix = torch.diag_embed(torch.stack(list(diagonal), dim=1))
    if beside:  # eigh reads the lower triangle alone
        matrix = matrix + torch.diag_embed(torch.stack(list(beside), dim=1), offset=-1)
    values, vectors = torch.linalg.eigh(matrix)
    place = values.abs().argmax(dim=1, keepdim=True)
    last = vectors[:, -1].gather(1, place)[:, 0]
    return values.gather(1, place)[:, 0].abs(), length * last.abs()
