"""The optional parts of a compressor: values of their own, that others ask for.

A compressor without a part has None in its place, and the general way serves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.types import Array, Context, Message, Received
from cqlib.kernels.derived import reduction
from cqlib.keys import Key


class Fused(NamedTuple):
    """Kernels that do several steps at once; each gives the bits of the general way."""

    write: Callable[[Tensor, Context], Message] | None = None
    """Vector of one client, shape (d,), to its message."""

    read: Callable[[Message, Context], Tensor] | None = None
    """Message of one client to its vector, float32 of shape (d,)."""

    mean: Callable[[Received, int, int, torch.dtype], Tensor | None] | None = None
    """Messages, d, n and a dtype to the sum of their vectors over n; None if it cannot do these."""

    simulate: Callable[[Tensor, Context], Tensor] | None = None
    """Vectors of all clients, shape (..., n, d), to the mean, shape (..., d)."""

    write_levels: Callable[[Tensor, Context], Tensor] | None = None
    """Vector of one client to the signed integers that :class:`Sums` adds up."""

    read_levels: Callable[[Message, Context], Array] | None = None
    """Message of one client to the same integers."""


class Coder(ABC):
    """How the symbols of one message become bytes; ``str`` describes the content."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of symbols."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of bytes."""

    @abstractmethod
    def pack(self, codes: Array) -> NDArray[np.uint8]:
        """Pack symbols, shape (count,), into bytes."""

    @abstractmethod
    def unpack(self, data: NDArray[np.uint8]) -> Array:
        """Undo :meth:`pack`.

        Raises:
            ValueError: for bytes that :meth:`pack` never makes; before anything is allocated, if
                there are too many or too few.
        """


class Statistic(ABC):
    """A number that all clients agree on ahead of the round; encoding and decoding are given it."""

    bits: ClassVar[int] = 32
    """Bits that a client sends for it."""

    @property
    def largest(self) -> bool:
        """Whether :meth:`merge` takes the maximum."""
        return False

    @abstractmethod
    def of(self, x: Tensor) -> float:
        """Return what a client tells about its vector, shape (d,).

        Raises:
            ValueError: for a vector that cannot be encoded.
        """

    @abstractmethod
    def merge(self, stats: Sequence[float]) -> float:
        """Return the statistic of all clients from what each tells.

        Raises:
            ValueError: for what no client tells, or a result beyond float32.
        """

    @abstractmethod
    def joint(self, rows: Array, clients: Array) -> NDArray[np.float32]:
        """Return the same from all vectors at once: shape (...) for rows of shape (..., n, d)."""


class Sums(ABC):
    """Messages that are added up as integers before they are decoded."""

    kind: Literal["integers", "powers"] | None = "integers"
    """How they add up on their way: as integers; as signed exponents of two, added in pairs, each
    sum rounded to a power by shared randomness; or not at all, only at the server."""

    @abstractmethod
    def levels(self, codes: Array) -> Array:
        """Return the signed integers of symbols, of their shape (..., d)."""

    @abstractmethod
    def bound(self, n: int) -> int:
        """Return the largest absolute value of a sum over n clients."""

    @abstractmethod
    def decode(
        self, total: Array, shared: NDArray[np.float32] | None, n: int
    ) -> NDArray[np.float64]:
        """Return the mean over n clients, shape (..., d), that a sum of levels stands for."""

    def mean(
        self, levels: Array, shared: NDArray[np.float32] | None, key: Key, n: int
    ) -> NDArray[np.float64]:
        """Return the mean over n clients from the levels of c of them, shape (..., c, d).

        Those that are missing count zero.
        """
        if self.kind == "powers":
            total = reduction.tree_sum(levels.astype(np.int16), key)
        else:
            total = levels.sum(axis=-2, dtype=np.int64)
        return self.decode(total, shared, n)
