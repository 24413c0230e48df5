"""Reductions of compressed messages in the alpha-beta model, with the cost of additions."""

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
    """Return the speedup of a tree of compressed messages over a tree of whole messages.

    Args:
        bandwidth: bytes per second; there is no latency.
        compression: factor by which messages are smaller.
        slowdown: factor by which the reduction of a compressed byte is slower.
        speed: bytes per second of the reduction of whole messages.
        n: number of clients.
        size: bytes of a whole message; the result does not depend on it.

    >>> tree_speedup(1e9, compression=4, slowdown=1, speed=2e12)  # all times are a quarter
    4.0
    """
    link = Link(0.0, bandwidth)
    whole = theory.tree_all_reduce_seconds(n, size, link, reduce_speed=speed)
    small = theory.tree_all_reduce_seconds(
        n, size / compression, link, reduce_speed=speed / slowdown
    )
    return whole / small


def gather_beats_ring(compression: float, *, most: int = 40) -> list[int]:
    """Return the numbers of clients at which gathering compressed messages beats a ring.

    Args:
        compression: factor by which gathered messages are smaller.
        most: numbers of clients from 2 to this one, exclusive, are tried.

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
