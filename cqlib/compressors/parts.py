"""The optional parts of a compressor: objects with an interface of their own.

A compressor without a part has None there, and the general code is used.
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
    """Kernels that do several steps in one pass, with the same bits as the general code."""

    write: Callable[[Tensor, Context], Message] | None = None
    """Map the vector of one client, shape (d,), to its message."""

    read: Callable[[Message, Context], Tensor] | None = None
    """Map the message of one client to its decoded vector, float32 of shape (d,)."""

    mean: Callable[[Received, int, int, torch.dtype], Tensor | None] | None = None
    """Map messages, d, n and a dtype to the sum of the decoded vectors over n, or to None if the
    kernel does not cover these messages."""

    simulate: Callable[[Tensor, Context], Tensor] | None = None
    """Map the vectors of all clients, shape (..., n, d), to the mean, shape (..., d)."""

    simulate_each: Callable[[Tensor, Context, Sequence[Key]], Tensor] | None = None
    """As ``simulate``, for vectors of shape (b, n, d) and a key for each of the b members."""

    write_levels: Callable[[Tensor, Context], Tensor] | None = None
    """Map the vector of one client to the signed integers that :class:`Sums` adds up."""

    read_levels: Callable[[Message, Context], Array] | None = None
    """Map the message of one client to the same integers."""


class Coder(ABC):
    """Coder of the symbols of one message into bytes; ``str`` describes the content."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of symbols."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of bytes."""

    @abstractmethod
    def pack(self, symbols: Array) -> NDArray[np.uint8]:
        """Pack symbols, shape (count,), into bytes."""

    @abstractmethod
    def unpack(self, data: NDArray[np.uint8]) -> Array:
        """Undo :meth:`pack`.

        Raises:
            ValueError: for bytes that :meth:`pack` never makes. A wrong number of bytes is found
                before anything is allocated.
        """


class Statistic(ABC):
    """A statistic: a number that all clients agree on ahead of a round, to encode and to decode."""

    bits: ClassVar[int] = 32
    """The bits that a client sends for it."""

    @property
    def largest(self) -> bool:
        """True if :meth:`merge` takes the maximum."""
        return False

    @abstractmethod
    def of(self, x: Tensor) -> float:
        """Return a client's own number, from its vector of shape (d,).

        Raises:
            ValueError: if the vector cannot be encoded.
        """

    @abstractmethod
    def merge(self, stats: Sequence[float]) -> float:
        """Return the statistic of all clients from the number of each.

        Raises:
            ValueError: if a number is invalid, or the result exceeds float32.
        """

    @abstractmethod
    def joint(self, rows: Array, clients: Array) -> NDArray[np.float32]:
        """Return the statistic from all vectors: shape (...) for rows of shape (..., n, d)."""


class Sums(ABC):
    """Messages that are added up as integers before they are decoded."""

    kind: Literal["integers", "powers"] | None = "integers"
    """How messages are added on the network: "integers"; "powers" for signed exponents of two,
    added in pairs, where shared randomness rounds each sum to a power; None if only the server adds
    them."""

    @abstractmethod
    def levels(self, symbols: Array) -> Array:
        """Return the signed integers of symbols, in the same shape (..., d)."""

    @abstractmethod
    def bound(self, n: int) -> int:
        """Return the largest absolute value of a sum over n clients."""

    @abstractmethod
    def decode(
        self, total: Array, shared: NDArray[np.float32] | None, n: int
    ) -> NDArray[np.float64]:
        """Return the mean over n clients, shape (..., d), from a sum of levels."""

    def mean(
        self, levels: Array, shared: NDArray[np.float32] | None, key: Key, n: int
    ) -> NDArray[np.float64]:
        """Return the mean over n clients from the levels of c of them, shape (..., c, d).

        Missing clients count as zero.
        """
        if self.kind == "powers":
            total = reduction.tree_sum(levels.astype(np.int16), key)
        else:
            total = levels.sum(axis=-2, dtype=np.int64)
        return self.decode(total, shared, n)
