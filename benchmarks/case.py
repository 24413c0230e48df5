"""What is measured: one operation on vectors of d coordinates with n clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Operation = Callable[[], Any]

D_BAR = 2**24  # where speeds are compared with the bars
SIZES = tuple(2**i for i in range(14, 27, 2))


@dataclass(frozen=True)
class Case:
    """An operation, how it is set up, and where it is measured.

    Args:
        name: what rows and bars call it.
        what: one line for the reader.
        setup: from n and d to the operation, inputs and outputs made and touched.
        bits: held per coordinate by what the operation returns.
        n: number of clients.
        sizes: the d at which it is measured.
        counts: numbers of clients, if they are varied; then d is the first of ``sizes``.
        joint: whether the operation reads n vectors of d floats, and not one.
        against: name of our case that does the same, for cases of other libraries.
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
        """Return how many floats are read, or for a mean of messages written."""
        return n * d if self.joint else d
