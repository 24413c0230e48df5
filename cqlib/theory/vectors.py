"""Inputs of the exact formulas: the clients' vectors as a NumPy array or a torch tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Vectors: TypeAlias = "NDArray[Any] | torch.Tensor"


def rows_and_unit(X: Vectors) -> tuple[NDArray[np.float64], float]:
    """Return the vectors divided by their largest absolute entry, and that entry.

    The squares of the divided vectors do not overflow, and their sum does not underflow.

    Args:
        X: shape (n, d), one row a client, finite.

    Raises:
        ValueError: if X is not of shape (n, d), or holds NaN or infinity.
    """
    rows = np.asarray(X if isinstance(X, np.ndarray) else _on_host(X))
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"X must have shape (n, d) with n, d >= 1, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("X holds NaN or infinity")
    unit = float(np.abs(rows).max()) or 1.0
    return rows.astype(np.float64) / unit, unit


def squared_norms(X: Vectors) -> NDArray[np.float64]:
    """Return the squared 2-norm of each client's vector, shape (n,)."""
    rows, unit = rows_and_unit(X)
    return np.asarray(np.sum(rows**2, axis=1)) * unit * unit


def mean_and_spread(X: Vectors) -> tuple[float, float]:
    r"""Return $\frac1n\sum_i\|a_i\|^2$ and $\frac1n\sum_i\|a_i-\bar a\|^2$."""
    rows, unit = rows_and_unit(X)
    deviations = rows - rows.mean(axis=0)
    square = unit * unit
    n = len(rows)
    return float(np.sum(rows**2)) / n * square, float(np.sum(deviations**2)) / n * square


def _on_host(X: Any) -> Any:
    """Return a tensor detached and on the CPU, and anything else unchanged."""
    return X.detach().cpu() if hasattr(X, "detach") else X
