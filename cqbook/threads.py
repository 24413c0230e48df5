"""Threads of the libraries that compute."""

from __future__ import annotations

import os

import threadpoolctl
import torch

# Libraries read these when they are loaded.
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread() -> None:
    """Set one thread for this process and for those that it starts later.

    Numbers are then repeatable, and jobs at the same time do not slow each other down: on a busy
    machine a product of matrices with two threads may take 20 times as long as with one.
    """
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
