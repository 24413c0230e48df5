"""Largest eigenvalues of symmetric operators, from products with vectors alone."""

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

    Lanczos iteration with full reorthogonalisation, at most d steps. Operator k has converged
    when the residual of its Ritz pair is at most ``tolerance`` times the value found: an eigenvalue
    then lies within the residual. It is the largest one unless the start is orthogonal to its
    eigenvectors, so give a random start.

    Args:
        apply: maps rows, shape (r, d), to the products of operator k with row k.
        start: shape (r, d), float64, rows nonzero.
        tolerance: relative residual at which to stop, positive.
        floor: residuals are relative to at least this value, so that the iteration ends for an
            operator that is zero up to rounding.

    Returns:
        Shape (r,), float64.

    Source: Golub and Van Loan, Matrix Computations, Chapter 10.

    >>> diagonals = torch.tensor([[1.0, -5.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    >>> largest_magnitudes(lambda v: diagonals * v, torch.ones_like(diagonals)).round(decimals=9)
    tensor([5., 0.], dtype=torch.float64)
    """
    basis = (start / start.norm(dim=1, keepdim=True))[:, None]  # (r, steps, d)
    diagonal: list[Tensor] = []
    off_diagonal: list[Tensor] = []
    while True:
        newest = basis[:, -1]
        rest = apply(newest)
        diagonal.append((rest * newest).sum(dim=1))
        for _ in range(2):  # a single pass leaves rounding errors that grow
            rest = rest - ((basis @ rest[:, :, None]).mT @ basis)[:, 0]
        length = rest.norm(dim=1)
        found, residual = _ritz(diagonal, off_diagonal, length)
        if len(diagonal) == start.shape[1] or (residual <= tolerance * found.clamp(floor)).all():
            return found
        # If the Krylov space is exhausted, rest is rounding; a zero step adds the eigenvalue 0.
        alive = length > 1e-14 * found
        off_diagonal.append(torch.where(alive, length, 0.0))
        step = torch.where(alive[:, None], rest / length[:, None].clamp(1e-300), 0.0)
        basis = torch.cat([basis, step[:, None]], dim=1)


def _ritz(
    diagonal: Sequence[Tensor], off_diagonal: Sequence[Tensor], length: Tensor
) -> tuple[Tensor, Tensor]:
    """Largest magnitude among the eigenvalues of the tridiagonal matrices, and its residual."""
    matrix = torch.diag_embed(torch.stack(list(diagonal), dim=1))
    if off_diagonal:  # eigh reads the lower triangle alone
        matrix = matrix + torch.diag_embed(torch.stack(list(off_diagonal), dim=1), offset=-1)
    values, vectors = torch.linalg.eigh(matrix)
    place = values.abs().argmax(dim=1, keepdim=True)
    last = vectors[:, -1].gather(1, place)[:, 0]
    return values.gather(1, place)[:, 0].abs(), length * last.abs()
