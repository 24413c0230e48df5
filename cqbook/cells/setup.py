"""How the kernel of a notebook is set up."""

from __future__ import annotations

import torch

from cqbook.cells import plotting


def ready() -> None:
    """Make the kernel ready: one thread, for the same numbers; figure style."""
    torch.set_num_threads(1)
    plotting.use_style()
