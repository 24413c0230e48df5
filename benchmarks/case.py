"""A measured case: one operation on vectors of d coordinates with n clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Operation = Callable[[], Any]

D_BAR = 2**24  # at which speeds are compared with the bars
SIZES = tuple(2**i for i in range(14, 27, 2))


@dataclass(frozen=True)
class Case:
    """An operation, how it is set up, and where it is measured.

    Args:
        name: its name in rows and bars.
        what: a description of one line.
        setup: makes the operation for n and d; memory of inputs and outputs has been touched.
        bits: bits per coordinate of the operation's result.
        n: number of clients.
        sizes: the d at which it is measured.
        counts: numbers of clients, if they are varied; then d is the first of ``sizes``.
        joint: whether the operation reads n vectors of d floats instead of one.
        against: for cases of other libraries, the name of our case that does the same.
    """

    name: str
    what: str
    setup: Callable[[int, int], Operation]
    bits: float
    n: int = 16
    sizes: tuple[int, ...] = SIZES
    counts: tuple[int, ...] = ()
    joint: bool = False
    against: str = ""

    def points(self) -> list[tuple[int, int]]:
        """Return all (n, d) at which it is measured, the cheap ones first."""
        if self.counts:
            return [(n, self.sizes[0]) for n in self.counts]
        return [(self.n, d) for d in self.sizes]

    def coordinates(self, n: int, d: int) -> int:
        """Return the number of floats that are read, or, by a mean of messages, written."""
        return n * d if self.joint else d
