"""The choice of a backend.

The variable ``CQLIB_BACKEND`` forces one: "reference" (NumPy, slow, normative), "cpu" (compiled by
Numba) or "gpu" (Triton; on a CPU only under ``TRITON_INTERPRET=1``, for tests). By default
"gpu" takes tensors on a CUDA device, if Triton is installed, and "cpu" all other arguments. All
backends give the same bits.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import NamedTuple

import torch
from torch import Tensor

from cqlib.kernels import reference
from cqlib.kernels.api import HostKernels, Kernels
from cqlib.kernels.api.on_tensors import OnTensors
from cqlib.kernels.caches.triton import give_triton_a_folder

VARIABLE = "CQLIB_BACKEND"
BACKENDS = ("reference", "cpu", "gpu")


class Choice(NamedTuple):
    """A backend for tensors on one kind of device, and the reason for it."""

    device: str
    backend: str
    why: str


def choose(device: str) -> Choice:
    """Return the backend for tensors on a device ("cpu", "cuda"), and the reason.

    Raises:
        ValueError: if ``CQLIB_BACKEND`` is unknown or cannot run on this device.
    """
    name = _forced()
    if name == "gpu":
        missing = _no_triton(device)
        if missing:
            raise ValueError(f"{VARIABLE}=gpu does not serve tensors on {device!r}: {missing}")
    if name:
        return Choice(device, name, f"{VARIABLE}={name}")
    if device == "cpu":
        return Choice(device, "cpu", "compiled by Numba; the default")
    missing = _no_triton(device)
    if missing:
        return Choice(device, "cpu", f"copied to main memory and back: {missing}")
    return Choice(device, "gpu", "Triton is installed")


def available() -> list[str]:
    """Return the backends that can run here on CPU tensors."""
    return [name for name in BACKENDS if name != "gpu" or not _no_triton("cpu")]


def host() -> HostKernels:
    """Return the kernels for NumPy arrays: ``cpu``, or ``reference`` if that is forced."""
    return _in_main_memory("reference" if _forced() == "reference" else "cpu")


def kernels_for(x: Tensor) -> Kernels[Tensor]:
    """Return the kernels that take and return tensors on the device of x."""
    name = choose(x.device.type).backend
    if name == "gpu":
        give_triton_a_folder()
        from cqlib.kernels import gpu  # here, since Triton may be missing

        return gpu
    return _on_tensors(name)


@functools.cache
def _on_tensors(name: str) -> OnTensors:
    return OnTensors(_in_main_memory(name))


@functools.cache
def _in_main_memory(name: str) -> HostKernels:
    if name == "reference":
        return reference
    from cqlib.kernels import cpu  # here, since importing Numba takes a while

    return cpu


def _forced() -> str:
    name = os.environ.get(VARIABLE, "")
    if name and name not in BACKENDS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(BACKENDS)}, got {name!r}")
    return name


def _no_triton(device: str) -> str:
    """Return the reason why Triton cannot serve tensors on a device; empty if it can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install 'cqlib[gpu]')"
    if device == "cuda" and not torch.cuda.is_available():
        return "there is no CUDA device"
    if device != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "Triton needs a CUDA device, or TRITON_INTERPRET=1 for tests"
    return ""
