"""Setup of a notebook's kernel."""

from __future__ import annotations

import torch

from cqbook.cells import plotting


def ready() -> None:
    """Set one thread, for repeatable numbers, and the style of figures."""
    torch.set_num_threads(1)
    plotting.use_style()
