"""What compressors are given, and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.keys import Key

Array = NDArray[Any]
Constants = Literal["valid", "homogeneous", "paper"]


class AB(NamedTuple):
    r"""Constants of the AB-inequality (Assumption 5).

    $\mathbb E\|\frac1n\sum_i C_i(a_i)-\bar a\|^2 \le A\frac1n\sum_i\|a_i\|^2-B\|\bar a\|^2$,
    for all inputs, or only for equal ones where ``homogeneous_only``.
    """

    A: float
    B: float
    homogeneous_only: bool


class Facts(NamedTuple):
    """What is true of a compressor, whatever the vectors."""

    unbiased: bool  # E C_i(x) = x for every client and every x (Assumption 4)
    joint: bool = False  # clients need each other: shared randomness, or their number
    deterministic: bool = False  # no randomness is used
    may_be_silent: bool = False  # a client may have nothing to send in a round
    can_be_cut: bool = False  # any run of whole strips of a message is a message: see Layout


class Context(NamedTuple):
    """What both ends know before anything is sent."""

    d: int  # dimension of the vectors
    clients: NDArray[np.int64]  # ids of the c clients that are computed, in [0, n)
    n: int  # number of clients
    key: Key  # of the round, the only source of randomness
    shared: NDArray[np.float32] | None = None  # the pre-round statistic, shape (...), if any


class Layout(NamedTuple):
    """What the messages of the clients hold; a client with neither codes nor scales is silent.

    A message can be cut (``Facts.can_be_cut``) if it has one symbol a coordinate, in order, each
    decoded by itself, and its scales are either the same for all coordinates, or belong to blocks
    of coordinates, in order, whose size divides 5120.
    """

    alphabet: int  # different symbols, at least 1
    codes: int | NDArray[np.int64]  # symbols of a client; shape (c,) where clients differ
    scales: int | NDArray[np.int64]  # floats of a client; shape (c,) where clients differ

    def each(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of symbols and of floats of each of so many clients."""
        codes, scales = (np.broadcast_to(size, (count,)) for size in self[1:])
        return codes, scales

    def of_one(self) -> tuple[int, int]:
        """Return the numbers of symbols and of floats of the only client."""
        codes, scales = self.each(1)
        return int(codes[0]), int(scales[0])


class Symbols(NamedTuple):
    """The content of messages before packing; shorter rows are padded on the right."""

    codes: Array  # integers or booleans, shape (..., c, codes)
    scales: NDArray[np.float32]  # shape (..., c, scales)


class Message(NamedTuple):
    """What one client sends, packed: tensors on the device of its vector."""

    codes: Tensor  # uint8
    scales: Tensor  # float32


Received: TypeAlias = Sequence[tuple[Message, Context]]
"""Messages of different clients, each with its context."""
