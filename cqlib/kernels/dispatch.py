"""Which implementation of the kernels runs.

``CQLIB_BACKEND`` forces one: "reference" (NumPy, slow, the normative one) or "cpu" (compiled by
Numba, the default). The bits are the same.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import NamedTuple

from cqlib.kernels import reference

VARIABLE = "CQLIB_BACKEND"
BACKENDS = ("reference", "cpu")


def forced() -> str | None:
    """Return the backend that the environment asks for, if any.

    Raises:
        ValueError: if it asks for one that is not known.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    if name not in BACKENDS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(BACKENDS)}, got {name!r}")
    return name


def host() -> ModuleType:
    """Return the kernels for NumPy arrays: ``cpu``, or ``reference`` where that is forced."""
    if forced() == "reference":
        return reference
    from cqlib.kernels import cpu  # Numba takes a while to import

    return cpu


class Choice(NamedTuple):
    """What runs the kernels for tensors of one kind of device, and why."""

    device: str
    backend: str
    why: str


def choices() -> list[Choice]:
    """Say which backend serves which device, and why."""
    name = forced()
    why = f"{VARIABLE}={name}" if name else "compiled by Numba; the default"
    return [Choice("cpu", name or "cpu", why)]
