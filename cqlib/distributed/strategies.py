"""Ways for processes to arrive at the compressed mean of their vectors.

Whichever way is taken, all processes get the bits of ``compressor.mean`` on the clients' vectors
stacked by rank, except where ``two_shot`` compresses once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors import Compressor, GlobalQSGD
from cqlib.distributed.messages import Outgoing, Round, decoded_sum, mean_of, message_bytes
from cqlib.distributed.plan import shard_ends
from cqlib.distributed.second_shot import check_second, second_shot
from cqlib.kernels import dispatch
from cqlib.kernels.derived import reduction


def all_gather(round: Round) -> Tensor:
    """Send the whole message to everybody; all decode all."""
    encoded = Outgoing(round)
    lengths = [message_bytes(round, client, round.d) for client in range(round.n)]
    message = round.x.new_zeros(max(lengths), dtype=torch.uint8)
    own = encoded.part(0, round.d)
    message[: len(own)] = own
    arrived = round.group.all_gather(message)
    parts = [row[:length] for row, length in zip(arrived, lengths, strict=True)]
    return mean_of(round, parts, round.d)


def two_shot(round: Round) -> Tensor:
    """Send every process its shard of the message; it decodes the mean of that, and sends it on.

    The mean of a shard goes as integers where the messages add up as such, compressed once more if
    ``round.second`` says so, and in the result's dtype otherwise.
    """
    second = second_shot(round)
    ends = shard_ends(round.d, round.n)
    shards = list(pairwise(ends))
    start, stop = shards[round.group.rank]
    encoded = Outgoing(round)
    arrived = round.group.all_to_all(
        [encoded.part(*shard) for shard in shards],
        [message_bytes(round, client, stop - start) for client in range(round.n)],
    )
    longest = max(second.length(b - a) for a, b in shards)
    own = second.write(arrived, stop - start)
    message = round.x.new_zeros(longest, dtype=torch.uint8)
    message[: len(own)] = own
    gathered = round.group.all_gather(message)
    mean = round.x.new_empty(round.d, dtype=round.result) if round.out is None else round.out
    for rank, (a, b) in enumerate(shards):
        if b > a:
            mean[a:b] = second.read(gathered[rank, : second.length(b - a)], b - a, rank)
    return mean


def all_reduce(round: Round) -> Tensor:
    """Add up the integers of linear Global-QSGD on their way."""
    c = round.compressor
    assert isinstance(c, GlobalQSGD) and round.shared is not None
    levels = dispatch.kernels_for(round.x).quantize_levels(
        round.x, float(round.shared), levels=c.s, key=round.key, client=round.group.rank
    )
    kind = torch.int8 if round.n * c.s <= 127 else torch.int32  # gloo adds up no 16 bits
    total = round.group.add(levels.to(kind))
    return decoded_sum(round, c, total)


def tree(round: Round) -> Tensor:
    """Add up the powers of two of exponential Global-QSGD in pairs, and send the sum to all."""
    c, group = round.compressor, round.group
    assert isinstance(c, GlobalQSGD)
    message = Outgoing(round).message
    kind = np.int8 if c.s + (round.n - 1).bit_length() <= 127 else np.int16
    total: NDArray[Any] = c.read_levels(message, round.d).astype(kind)
    first, distance = 0, 1
    while distance < round.n:
        nodes = -(-round.n // distance)
        place, apart = divmod(group.rank, distance)
        if apart == 0 and place % 2:
            group.send(_as_bytes(total), group.rank - distance)
        elif apart == 0 and place + 1 < nodes:
            other = group.receive(_as_bytes(total), group.rank + distance).numpy().view(kind)
            words = reduction.sum_words(round.key, np.array([first + place // 2]), round.d)[0]
            total = dispatch.host().add_powers(total, other, words).astype(kind)
        first, distance = first + nodes // 2, 2 * distance
    while distance > 1:
        distance //= 2
        place, apart = divmod(group.rank, distance)
        if apart == 0 and place % 2:
            total = group.receive(_as_bytes(total), group.rank - distance).numpy().view(kind)
        elif apart == 0 and group.rank + distance < round.n:
            group.send(_as_bytes(total), group.rank + distance)
    return decoded_sum(round, c, torch.from_numpy(total.copy()))


STRATEGIES: Mapping[str, Callable[[Round], Tensor]] = {
    "all_gather": all_gather,
    "two_shot": two_shot,
    "all_reduce": all_reduce,
    "tree": tree,
}


def check_suits(strategy: str, c: Compressor, second: Compressor | None, n: int = 1) -> None:
    """Refuse a strategy that does not suit the compressors.

    Raises:
        ValueError: for one that is not known, either.
    """
    if strategy not in STRATEGIES:
        known = ", ".join(("auto", *STRATEGIES))
        raise ValueError(f"unknown strategy {strategy!r}; known: {known}")
    if second is not None and strategy != "two_shot":
        raise ValueError(f"second goes with the strategy two_shot, not with {strategy}")
    if strategy == "two_shot":
        if not c.can_be_cut:
            raise ValueError(f"two_shot needs messages that can be cut; those of {c!r} cannot")
        if second is not None:
            check_second(second)
    if strategy == "all_reduce":
        if not (isinstance(c, GlobalQSGD) and c.linear):
            raise ValueError(f"all_reduce needs the integers of linear global_qsgd, not {c!r}")
        if n * c.s >= 2**31:
            raise ValueError(f"sums of {c.s} levels over {n} clients exceed 32 bits")
    if strategy == "tree" and not (isinstance(c, GlobalQSGD) and c.reduction == "tree"):
        raise ValueError(f"tree needs global_qsgd with exponential levels and a tree, not {c!r}")


def _as_bytes(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values).view(np.uint8))
