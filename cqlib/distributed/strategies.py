"""The strategies by which processes compute the compressed mean of their vectors.

By every strategy, all processes get the bits of ``compressor.mean`` on the clients' vectors stacked
by rank, except where ``two_shot`` compresses a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors import Compressor, wire
from cqlib.compressors.parts import Sums
from cqlib.distributed.costs import ADDING, shard_ends
from cqlib.distributed.messages import (
    Call,
    Outgoing,
    could_not,
    decoded_sum,
    mean_of_parts,
    message_bytes,
)
from cqlib.distributed.second_shot import check_second, second_shot
from cqlib.kernels import dispatch
from cqlib.kernels.derived import reduction


def all_gather(call: Call) -> Tensor:
    """Send the whole message to every process; each decodes all messages."""
    encoded = Outgoing(call)
    lengths = [message_bytes(call, client, call.d) for client in range(call.n)]
    message = call.x.new_zeros(max(lengths), dtype=torch.uint8)
    own = encoded.part(0, call.d)
    message[: len(own)] = own
    arrived = call.group.all_gather(message)
    parts = [row[:length] for row, length in zip(arrived, lengths, strict=True)]
    return mean_of_parts(call, parts, call.d)


def two_shot(call: Call) -> Tensor:
    """Send every process its shard of the message; each sends the mean of its shard to all.

    That mean is compressed again if ``call.second`` is given, goes as a sum of integers if the
    messages add up as integers, and in the result's dtype otherwise.
    """
    second = second_shot(call)
    ends = shard_ends(call.d, call.n)
    shards = list(pairwise(ends))
    start, stop = shards[call.group.rank]
    encoded = Outgoing(call)
    arrived = call.group.all_to_all(
        [encoded.part(*shard) for shard in shards],
        [message_bytes(call, client, stop - start) for client in range(call.n)],
    )
    longest = max(second.length(b - a) for a, b in shards)
    own = second.write(arrived, stop - start)
    message = call.x.new_zeros(longest, dtype=torch.uint8)
    message[: len(own)] = own
    gathered = call.group.all_gather(message)
    mean = call.x.new_empty(call.d, dtype=call.result) if call.out is None else call.out
    for rank, (a, b) in enumerate(shards):
        if b > a:
            mean[a:b] = second.read(gathered[rank, : second.length(b - a)], b - a, rank)
    return mean


def all_reduce(call: Call) -> Tensor:
    """Add up the integers of all processes on their way, then decode the sum."""
    sums = _sums(call)
    kind = (
        torch.int8 if sums.bound(call.n) <= 127 else torch.int32
    )  # gloo cannot add 16-bit integers
    total = call.group.add(_own_integers(call, sums).to(kind))
    return decoded_sum(call, sums, total)


def tree(call: Call) -> Tensor:
    """Add up powers of two in pairs, round each sum to a power, and send the last to all."""
    sums, group = _sums(call), call.group
    kind = np.int8 if sums.bound(call.n) <= 127 else np.int16
    total: NDArray[Any] = _own_integers(call, sums).cpu().numpy().astype(kind)
    first, distance = 0, 1
    while distance < call.n:
        nodes = -(-call.n // distance)
        place, apart = divmod(group.rank, distance)
        if apart == 0 and place % 2:
            group.send(_as_bytes(total), group.rank - distance)
        elif apart == 0 and place + 1 < nodes:
            other = group.receive(_as_bytes(total), group.rank + distance).numpy().view(kind)
            words = reduction.sum_words(call.key, np.array([first + place // 2]), call.d)[0]
            total = dispatch.host().add_powers(total, other, words).astype(kind)
        first, distance = first + nodes // 2, 2 * distance
    while distance > 1:
        distance //= 2
        place, apart = divmod(group.rank, distance)
        if apart == 0 and place % 2:
            total = group.receive(_as_bytes(total), group.rank - distance).numpy().view(kind)
        elif apart == 0 and group.rank + distance < call.n:
            group.send(_as_bytes(total), group.rank + distance)
    return decoded_sum(call, sums, torch.from_numpy(total.copy()))


STRATEGIES: Mapping[str, Callable[[Call], Tensor]] = {
    "all_gather": all_gather,
    "two_shot": two_shot,
    "all_reduce": all_reduce,
    "tree": tree,
}


def check_suits(strategy: str, c: Compressor, second: Compressor | None, n: int = 1) -> None:
    """Raise ValueError unless the strategy is known and suits the compressors."""
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        known = ", ".join(("auto", *STRATEGIES))
        raise ValueError(f"unknown strategy {strategy!r}; known: {known}")
    if second is not None and strategy != "two_shot":
        raise ValueError(f"second needs the strategy two_shot, not {strategy}")
    if strategy == "two_shot":
        if not c.facts.can_be_cut:
            raise ValueError(f"two_shot needs messages that can be cut; those of {c!r} cannot")
        if second is not None:
            check_second(second)
    needed = {name: kind for kind, name in ADDING.items()}.get(strategy)
    if needed is None:
        return
    if c.sums is None or c.sums.kind != needed:
        raise ValueError(
            f"{strategy} needs messages that add up as {needed}; those of {c!r} do not"
        )
    if c.sums.bound(n) >= 2**31:
        raise ValueError(f"sums over {n} clients of {c!r} exceed 32 bits")


def _sums(call: Call) -> Sums:
    sums = call.compressor.sums
    assert sums is not None
    return sums


def _own_integers(call: Call, sums: Sums) -> Tensor:
    """Return the integers of this process, shape (d,), once all processes agree and can encode.

    If there is a statistic, its exchange has raised for vectors that cannot be encoded. Otherwise
    the processes tell each other.

    Raises:
        NotEncodedError: on all processes, if a process cannot encode its vector.
    """
    c, ctx = call.compressor, call.context(call.group.rank)
    fused = c.fused
    integers = call.x.new_zeros(call.d, dtype=torch.int64)
    try:
        if fused and fused.write_levels:
            integers = fused.write_levels(call.x, ctx)
        elif message := wire.write(c, call.x, ctx):
            integers = torch.from_numpy(wire.read_levels(c, sums, message, ctx)).to(call.x.device)
    except Exception as error:  # the other processes must not wait
        call.failures.append(error)
    call.agreement.wait()
    if c.before is None:
        failed = torch.tensor([1 + call.group.rank if call.failures else 0]).to(call.x.device)
        rank = int(call.group.largest(failed)) - 1
        if rank >= 0:
            raise could_not(call, rank)
    elif call.failures:
        raise call.failures[0]
    return integers


def _as_bytes(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values).view(np.uint8))
