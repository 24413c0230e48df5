"""Which implementation of the kernels runs.

``CQLIB_BACKEND`` forces one: "reference" (NumPy, slow, the normative one), "cpu" (compiled by
Numba) or "triton" (for GPUs; on a CPU only under ``TRITON_INTERPRET=1``, for tests). Without it,
tensors on a CUDA device go to "triton" where that is installed, and everything else to "cpu". The
bits are the same.
"""

from __future__ import annotations

import importlib.util
import os
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cqlib.kernels import reference

VARIABLE = "CQLIB_BACKEND"
BACKENDS = ("reference", "cpu", "triton")


class Choice(NamedTuple):
    """What runs the kernels for tensors of one kind of device, and why."""

    device: str
    backend: str
    why: str


def choose(device: str) -> Choice:
    """Say which backend serves tensors on a device ("cpu", "cuda"), and why.

    Raises:
        ValueError: if the environment asks for a backend that is not known or cannot run here.
    """
    name = _forced()
    if name == "triton":
        missing = _no_triton(device)
        if missing:
            raise ValueError(f"{VARIABLE}=triton does not serve tensors on {device!r}: {missing}")
    if name:
        return Choice(device, name, f"{VARIABLE}={name}")
    if device == "cpu":
        return Choice(device, "cpu", "compiled by Numba; the default")
    missing = _no_triton(device)
    if missing:
        return Choice(device, "cpu", f"copied to main memory and back: {missing}")
    return Choice(device, "triton", "Triton is installed")


def available() -> list[str]:
    """Return the backends that run here on tensors in main memory."""
    return [name for name in BACKENDS if name != "triton" or not _no_triton("cpu")]


def host() -> ModuleType:
    """Return the kernels for NumPy arrays: ``cpu``, or ``reference`` where that is forced."""
    return _module("reference" if _forced() == "reference" else "cpu")


def kernels_for(x: Tensor) -> ModuleType:
    """Return the kernels for tensors like x."""
    return _module(choose(x.device.type).backend)


def native(x: Tensor, kernels: ModuleType) -> Any:
    """Return x as the kernels take it: a tensor for ``triton``, else a NumPy array."""
    return x if kernels.__name__.endswith("gpu") else x.cpu().numpy()


def _forced() -> str:
    name = os.environ.get(VARIABLE, "")
    if name and name not in BACKENDS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(BACKENDS)}, got {name!r}")
    return name


def _module(name: str) -> ModuleType:
    if name == "reference":
        return reference
    if name == "cpu":
        from cqlib.kernels import cpu  # Numba takes a while to import

        return cpu
    from cqlib.kernels import gpu

    return gpu


def _no_triton(device: str) -> str:
    """Return what keeps Triton from serving tensors on a device; nothing if it does."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install 'cqlib[gpu]')"
    if device == "cuda" and not torch.cuda.is_available():
        return "there is no CUDA device"
    if device != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "Triton needs a CUDA device, or TRITON_INTERPRET=1 for tests"
    return ""
