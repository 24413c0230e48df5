"""The contracts of the kernels: the operations of every backend, as protocols.

``Kernels``
    the operations of all backends, on arrays A: NumPy arrays for ``reference`` and ``cpu``, torch
    tensors for ``gpu``;
``HostKernels``
    these, and the operations of NumPy arrays only.

A backend is a package with functions of these names. mypy compares it with its protocol in
``dispatch``. ``limits`` lists the operations that a backend lacks or leaves to another one.
"""

from __future__ import annotations

from typing import Protocol

from cqlib.kernels.api.levels import HostLevels, Levels
from cqlib.kernels.api.norms import HostNorms, Norms
from cqlib.kernels.api.one_bit import OneBit
from cqlib.kernels.api.packing import HostPacking
from cqlib.kernels.api.powers import HostPowers, Powers
from cqlib.kernels.api.ranks import HostRanks
from cqlib.kernels.api.rotation import HostRotation, Rotation
from cqlib.kernels.api.shares import HostShares
from cqlib.kernels.api.types import A, Array, StreamKey
from cqlib.kernels.api.words import HostWords

__all__ = ["Array", "HostKernels", "Kernels", "StreamKey", "operations"]


class Kernels(Norms[A], OneBit[A], Levels[A], Powers[A], Rotation[A], Protocol[A]):
    """The operations of all backends."""


class HostKernels(
    Kernels[Array],
    HostNorms,
    HostWords,
    HostRanks,
    HostPacking,
    HostLevels,
    HostPowers,
    HostRotation,
    HostShares,
    Protocol,
):
    """The operations of the backends for NumPy arrays."""


def operations(protocol: type) -> list[str]:
    """Return the names of a protocol's operations, in alphabetical order.

    >>> operations(OneBit)
    ['average_one_bit', 'decode_one_bit', 'encode_one_bit', 'simulate_one_bit']
    """
    return sorted(name for name in dir(protocol) if not name.startswith("_"))
