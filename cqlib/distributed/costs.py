"""The predicted time of each strategy, from bytes on the link and numbers to decode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cqlib.compressors import Compressor
from cqlib.theory.collectives import (
    Link,
    all_gather_seconds,
    all_to_all_seconds,
    ring_all_reduce_seconds,
    tree_all_reduce_seconds,
)

LINK = Link(latency=1e-4, bandwidth=1.25e8)  # 1 Gbit/s, over a few switches
SHARD = 5120  # coordinates: whole tiles of every alphabet
ADDING = {"integers": "all_reduce", "powers": "tree"}  # strategies that add up on the way
DECODED = 1e9  # numbers that a process decodes and adds up in a second


def fastest(compressor: Compressor, *, d: int, n: int, itemsize: int = 4, link: Link = LINK) -> str:
    """Return the strategy with the least predicted time; all give the same result.

    Args:
        compressor: the compressor.
        d: coordinates.
        n: processes.
        itemsize: bytes of a coordinate of the result.
        link: the link between the processes.

    >>> from cqlib.compressors import make
    >>> [fastest(make("standard_dithering"), d=2**20, n=n) for n in (4, 16)]
    ['all_gather', 'two_shot']
    """
    times = predicted_seconds(compressor, d=d, n=n, itemsize=itemsize, link=link)
    return min(times, key=lambda name: times[name])


def predicted_seconds(
    compressor: Compressor,
    *,
    d: int,
    n: int,
    itemsize: int = 4,
    link: Link = LINK,
    decoded: float = DECODED,
) -> Mapping[str, float]:
    """Return the predicted seconds of each strategy that suits the compressor.

    Args:
        compressor: the compressor.
        d: coordinates.
        n: processes.
        itemsize: bytes of a coordinate of the result.
        link: the link between the processes.
        decoded: numbers that a process decodes and adds up in a second.
    """
    numbers = {"all_gather": n * d}
    if compressor.facts.can_be_cut:
        numbers["two_shot"] = d
    if compressor.sums and compressor.sums.kind and compressor.sums.bound(n) < 2**31:
        numbers[ADDING[compressor.sums.kind]] = 0
    how: dict[str, Any] = {"d": d, "n": n, "itemsize": itemsize, "link": link}
    return {
        strategy: wire_seconds(compressor, strategy, **how) + count / decoded
        for strategy, count in numbers.items()
    }


def wire_seconds(
    compressor: Compressor,
    strategy: str,
    *,
    d: int,
    n: int,
    itemsize: int = 4,
    link: Link = LINK,
    second: Compressor | None = None,
) -> float:
    """Return the seconds that the messages of a strategy take on the wire.

    Args:
        compressor: the compressor.
        strategy: one that suits it.
        d: coordinates.
        n: processes.
        itemsize: bytes of a coordinate of the result.
        link: the link between the processes.
        second: compressor of the means of shards in a two-shot exchange.
    """
    size = compressor.bits(d, n) / 8
    if strategy == "all_gather":
        seconds = all_gather_seconds(n, size, link)
    elif strategy == "two_shot":
        share = n * longest_shard(d, n) / d  # longest shard over the average shard
        seconds = all_to_all_seconds(n, share * size, link)
        seconds += all_gather_seconds(n, second_bytes(compressor, d, n, itemsize, second), link)
    elif strategy == "all_reduce":
        width = 1 if compressor.sums is None or compressor.sums.bound(n) <= 127 else 4
        seconds = ring_all_reduce_seconds(n, width * d, link)
    elif strategy == "tree":
        seconds = tree_all_reduce_seconds(n, d, link)
    else:
        raise ValueError(f"unknown strategy {strategy!r}")
    ahead = ring_all_reduce_seconds(n, 8, link) if compressor.before else 0.0
    return seconds + ahead


def second_bytes(
    compressor: Compressor, d: int, n: int, itemsize: int, second: Compressor | None = None
) -> float:
    """Bytes of a message of the second shot: of the mean of the longest shard, for all shards."""
    longest = longest_shard(d, n)
    if second is not None:
        return second.bits(longest, 1) / 8
    if compressor.sums and compressor.sums.kind == "integers":
        return (2 * compressor.sums.bound(n)).bit_length() * longest / 8
    return itemsize * longest


def shard_ends(d: int, n: int) -> list[int]:
    """Return the starts of n shards, multiples of ``SHARD`` or d, followed by d.

    >>> shard_ends(20_000, 2), shard_ends(100, 2)
    ([0, 10240, 20000], [0, 0, 100])
    """
    tiles = -(-d // SHARD)
    return [min(tiles * i // n * SHARD, d) for i in range(n)] + [d]


def longest_shard(d: int, n: int) -> int:
    """Return the number of coordinates of the longest of n shards.

    >>> longest_shard(20_000, 2), longest_shard(100, 2**40)
    (10240, 100)
    """
    tiles = -(-d // SHARD)
    most = -(-tiles // n)  # tiles of the last shard, and perhaps of others
    others = tiles - n * (most - 1) > 1  # the last tile may be a part of one
    return most * SHARD if others else d - (tiles - most) * SHARD
