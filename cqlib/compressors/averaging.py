"""The average over clients, in one fixed order of summation: the same bits for everybody."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def average(values: Tensor) -> Tensor:
    """Return the average over the clients, shape (..., n, d) to (..., d), in float64.

    The sum runs over the clients in order and is divided by n last.

    >>> average(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    tensor([2.0000, 3.5000], dtype=torch.float64)
    """
    # NumPy's order of summation depends on the memory layout: make the layout always the same.
    rows = np.ascontiguousarray(values.detach().cpu().numpy())
    n_clients, d = rows.shape[-2:]
    if d == 1:  # NumPy would add the entries of a single column in pairs, not in order
        total = np.add.accumulate(rows, axis=-2, dtype=np.float64)[..., -1, :]
    else:
        total = np.add.reduce(rows, axis=-2, dtype=np.float64)
    total += 0.0  # a sum of -0 is 0, as for whoever starts from 0
    return torch.from_numpy(total / n_clients).to(values.device)
