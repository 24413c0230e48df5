"""Reductions of compressed messages in the alpha-beta model, with the cost of adding them up."""

from __future__ import annotations

from cqlib import theory
from cqlib.theory import Link


def tree_speedup(
    bandwidth: float,
    *,
    compression: float,
    slowdown: float,
    speed: float,
    n: int = 4,
    size: float = 1e8,
) -> float:
    """Return how many times faster a tree of smaller messages is than one of whole messages.

    Args:
        bandwidth: bytes a second; there is no latency.
        compression: how many times smaller messages are.
        slowdown: how many times slower a compressed byte is reduced.
        speed: bytes a second at which whole messages are reduced.
        n: number of clients.
        size: bytes of a whole message; it cancels.

    >>> tree_speedup(1e9, compression=4, slowdown=1, speed=2e12)  # all is a quarter
    4.0
    """
    link = Link(0.0, bandwidth)
    whole = theory.tree_all_reduce_seconds(n, size, link, reduce_speed=speed)
    small = theory.tree_all_reduce_seconds(
        n, size / compression, link, reduce_speed=speed / slowdown
    )
    return whole / small


def gather_beats_ring(compression: float, *, most: int = 40) -> list[int]:
    """Return the numbers of clients at which gathering smaller messages beats a whole ring.

    Args:
        compression: how many times smaller gathered messages are.
        most: numbers from 2 up to this one, exclusive.

    >>> gather_beats_ring(2.0)
    [2, 3]
    """
    byte = Link(0.0, 1.0)
    return [
        n
        for n in range(2, most)
        if theory.all_gather_seconds(n, 1 / compression, byte)
        < theory.ring_all_reduce_seconds(n, 1.0, byte) * (1 - 1e-12)
    ]
