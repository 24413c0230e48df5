r"""Time of collective operations in the alpha-beta model: latency and bandwidth of a link.

A message of S bytes takes $\alpha+S/\beta$. All processes send at the same time, each over a link
of its own; S is the size of the vector or message of one process.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Link(NamedTuple):
    """The link between a process and the others."""

    latency: float  # alpha, seconds a message
    bandwidth: float  # beta, bytes a second

    def seconds(self, messages: float, size: float) -> float:
        """Time of ``messages`` one after the other, with ``size`` bytes in total."""
        return messages * self.latency + size / self.bandwidth


def all_gather_seconds(n: int, size: float, link: Link) -> float:
    r"""Time of an all-gather by a ring: $(n-1)(\alpha+S/\beta)$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.

    Raises:
        ValueError: if n is below 1 or size is negative.

    Source: the usual count of messages and bytes of a ring.

    >>> all_gather_seconds(4, 125_000, Link(0.0, 12.5e6))  # 1 Mbit each at 100 Mbit/s
    0.03
    """
    _check(n, size)
    return link.seconds(n - 1, (n - 1) * size)


def all_to_all_seconds(n: int, size: float, link: Link) -> float:
    r"""Time of an all-to-all, S / n bytes to each: $(n-1)\alpha+\frac{n-1}nS/\beta$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.

    Raises:
        ValueError: if n is below 1 or size is negative.

    Source: the count of messages and bytes.

    >>> all_to_all_seconds(4, 100.0, Link(1.0, 25.0))
    6.0
    """
    _check(n, size)
    return link.seconds(n - 1, (n - 1) / n * size)


def ring_all_reduce_seconds(
    n: int, size: float, link: Link, *, reduce_speed: float = math.inf
) -> float:
    r"""Time of an all-reduce by a ring.

    $2(n-1)\alpha+\frac{2(n-1)}nS/\beta+\frac{n-1}nS/\gamma$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.
        reduce_speed: gamma, the bytes that a process adds up in a second.

    Raises:
        ValueError: if n is below 1 or size is negative.

    Source: the usual count of messages and bytes of a ring, and the model's gamma.

    >>> ring_all_reduce_seconds(4, 100.0, Link(1.0, 25.0))
    12.0
    """
    _check(n, size)
    share = (n - 1) / n * size
    return link.seconds(2 * (n - 1), 2 * share) + share / reduce_speed


def tree_all_reduce_seconds(
    n: int, size: float, link: Link, *, reduce_speed: float = math.inf
) -> float:
    r"""Time of an all-reduce by a tree: sums go up to the root, and the result comes down.

    $2\lceil\log_2n\rceil(\alpha+S/\beta)+\lceil\log_2n\rceil S/\gamma$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.
        reduce_speed: gamma, the bytes that a process adds up in a second.

    Raises:
        ValueError: if n is below 1 or size is negative.

    Source: Xin et al. 2023, the performance model.

    >>> tree_all_reduce_seconds(4, 100.0, Link(1.0, 100.0))
    8.0
    """
    _check(n, size)
    depth = math.ceil(math.log2(n))
    return link.seconds(2 * depth, 2 * depth * size) + depth * size / reduce_speed


def break_even_bandwidth(
    *, compression: float, reduce_slowdown: float, reduce_speed: float
) -> float:
    r"""Bandwidth, bytes a second, below which a compressed tree is faster than a plain one.

    $\frac{2(\rho-1)\gamma}{\omega-\rho}$, infinite for $\omega\le\rho$.

    Args:
        compression: $\rho$, size of a plain message over that of a compressed one, above 1.
        reduce_slowdown: $\omega$, time to add up a compressed byte over that of a plain one.
        reduce_speed: $\gamma$, the plain bytes that a process adds up in a second.

    Raises:
        ValueError: if a number is outside its range.

    Source: Xin et al. 2023, equation (8), for any $\rho$.

    >>> break_even_bandwidth(compression=4, reduce_slowdown=79, reduce_speed=2e12)  # 160 GB/s
    160000000000.0
    """
    if not (compression > 1 and reduce_slowdown > 0 and reduce_speed > 0):
        raise ValueError(
            f"need compression > 1 and positive speeds, got {compression}, {reduce_slowdown} and "
            f"{reduce_speed}"
        )
    if reduce_slowdown <= compression:
        return math.inf
    return 2 * (compression - 1) * reduce_speed / (reduce_slowdown - compression)


def _check(n: int, size: float) -> None:
    if n < 1 or not size >= 0:
        raise ValueError(f"need n >= 1 and size >= 0, got {n} and {size}")
