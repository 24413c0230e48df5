"""The types of inputs and outputs of compressors."""

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
    for all inputs, or only for equal ones if ``homogeneous_only``.
    """

    A: float
    B: float
    homogeneous_only: bool


class Facts(NamedTuple):
    """Properties of a compressor that hold for all vectors."""

    unbiased: bool  # E C_i(x) = x for every client and every x (Assumption 4)
    joint: bool = False  # a message depends on shared randomness or on n
    deterministic: bool = False  # no randomness is used
    may_be_silent: bool = False  # a client may have nothing to send in a round
    can_be_cut: bool = False  # whole strips of a message are valid messages: see Layout


class Context(NamedTuple):
    """The data that both sender and receiver know before a message."""

    d: int  # dimension of the vectors
    clients: NDArray[np.int64]  # ids of the c clients that are computed, in [0, n)
    n: int  # number of clients
    key: Key  # the round's key, the only source of randomness
    shared: NDArray[np.float32] | None = None  # the statistic, shape (...), if any


class Layout(NamedTuple):
    """The sizes of the clients' messages; a client with neither symbols nor scales is silent.

    A message can be cut (``Facts.can_be_cut``) if it has one symbol per coordinate, in order, and
    each symbol is decoded separately. Its scales either hold for all coordinates, or for blocks of
    coordinates, in order, whose size divides 5120.
    """

    alphabet: int  # number of different symbols, at least 1
    symbols: int | NDArray[np.int64]  # symbols per client; shape (c,) if clients differ
    scales: int | NDArray[np.int64]  # floats per client; shape (c,) if clients differ

    def each(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of symbols and of scales of each of ``count`` clients."""
        symbols, scales = (np.broadcast_to(size, (count,)) for size in self[1:])
        return symbols, scales

    def of_one(self) -> tuple[int, int]:
        """Return the numbers of symbols and of scales of a single client."""
        symbols, scales = self.each(1)
        return int(symbols[0]), int(scales[0])


class Symbols(NamedTuple):
    """The content of messages before packing; shorter ones are padded on the right."""

    values: Array  # integers or booleans, shape (..., c, symbols)
    scales: NDArray[np.float32]  # shape (..., c, scales)


class Message(NamedTuple):
    """The packed message of one client: tensors on the device of its vector."""

    codes: Tensor  # uint8
    scales: Tensor  # float32


Received: TypeAlias = Sequence[tuple[Message, Context]]
"""Messages of different clients, each with its context."""
