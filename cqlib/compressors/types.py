"""What compressors are given, and what they return."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

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


class Context(NamedTuple):
    """What both ends know before anything is sent."""

    d: int  # dimension of the vectors
    clients: NDArray[np.int64]  # ids of the c clients at hand, in [0, n)
    n: int  # number of clients
    key: Key  # of the round, the only source of randomness
    shared: NDArray[np.float32] | None = None  # the pre-round statistic, shape (...), if any


class Symbols(NamedTuple):
    """What clients tell the server, before packing; a client's own come first in its row."""

    codes: Array  # shape (..., c, symbols)
    scales: NDArray[np.float32]  # shape (..., c, floats)


class Message(NamedTuple):
    """What one client sends, packed: tensors on the device of its vector."""

    codes: Tensor  # uint8
    scales: Tensor  # float32


class Sizes(NamedTuple):
    """How much of a row of :class:`Symbols` each client sends; one that sends nothing is silent."""

    codes: NDArray[np.int64]  # shape (c,)
    scales: NDArray[np.int64]  # shape (c,)
