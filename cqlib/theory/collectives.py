r"""Time of collectives: latency and bandwidth of a link, the alpha-beta model.

A message of S bytes takes $\alpha+S/\beta$. All processes send at the same time, each over a link
of its own; S is what one process brings in.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Link(NamedTuple):
    """What joins a process to the others."""

    latency: float  # alpha, seconds a message
    bandwidth: float  # beta, bytes a second

    def seconds(self, messages: float, size: float) -> float:
        """Time of so many messages one after the other, of so many bytes in all."""
        return messages * self.latency + size / self.bandwidth


def all_gather_seconds(n: int, size: float, link: Link) -> float:
    r"""Time of an all-gather by a ring: $(n-1)(\alpha+S/\beta)$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.

    Raises:
        ValueError: for n below 1 or a negative size.

    Source: the usual count of messages and bytes of a ring.

    >>> all_gather_seconds(4, 125_000, Link(0.0, 12.5e6))  # 1 Mbit each at 100 Mbit/s
    0.03
    """
    _check(n, size)
    return link.seconds(n - 1, (n - 1) * size)


def all_to_all_seconds(n: int, size: float, link: Link) -> float:
    r"""Time of an all-to-all, an n-th of S for each: $(n-1)\alpha+\frac{n-1}nS/\beta$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.

    Raises:
        ValueError: for n below 1 or a negative size.

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
        reduce_speed: gamma, bytes a second that a process adds up.

    Raises:
        ValueError: for n below 1 or a negative size.

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
    r"""Time of an all-reduce by a tree, and its way back.

    $2\lceil\log_2n\rceil(\alpha+S/\beta)+\lceil\log_2n\rceil S/\gamma$.

    Args:
        n: number of processes.
        size: S, bytes.
        link: alpha and beta.
        reduce_speed: gamma, bytes a second that a process adds up.

    Raises:
        ValueError: for n below 1 or a negative size.

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
        compression: $\rho$, how many times smaller messages are, above 1.
        reduce_slowdown: $\omega$, how many times as long their bytes take to add up.
        reduce_speed: $\gamma$, bytes a second that a process adds up without compression.

    Raises:
        ValueError: for numbers outside their range.

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
        raise ValueError(f"need n of at least 1 and no negative size, got {n} and {size}")
