"""What processes send each other in one exchange, and how it is checked and read.

A message is its tag, its floats and its codes. A process that cannot encode its vector sends the
inverted tag, so that all of them fail, and none waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors import Compressor, GlobalQSGD
from cqlib.compressors.types import Context, Message
from cqlib.distributed.collectives import Group, NotEncodedError
from cqlib.keys import Key
from cqlib.payload import PayloadError

_TAG_BYTES = 4
_COULD_NOT = "could not encode its vector: it holds NaN or infinity, or is too large"


class Agreement:
    """A comparison of what all processes are about to do, under way while they encode.

    What is compared, digests, has one size, whatever the processes are about to do.
    """

    def __init__(self, group: Group, plan: Mapping[str, Any], device: torch.device) -> None:
        self._own = f"rank {group.rank} is: {', '.join(f'{k} = {v!r}' for k, v in plan.items())}"
        digest = hashlib.sha256(repr(dict(plan)).encode()).digest()
        own = int.from_bytes(digest[:8], "little", signed=True)
        self._ends = torch.tensor([own, ~own], device=device)  # the latter turns the order
        self._wait = group.start_largest(self._ends)

    def wait(self) -> None:
        """Wait for the others; messages, whose sizes depend on it, are not sent before.

        Raises:
            PayloadError: on all processes, if one is about to do something else.
        """
        self._wait()
        self._wait = lambda: None
        largest, smallest = self._ends.tolist()
        if largest != ~smallest:
            raise PayloadError(f"not all ranks are about to do what {self._own}")


@dataclass(frozen=True)
class Round:
    """One exchange, seen from one process.

    Args:
        compressor: what all compress with.
        key: the round's key.
        group: the processes; a process is the client of its rank.
        x: this one's vector, shape (d,), float32 or float64.
        result: dtype of the mean.
        agreement: of all processes on this.
        second: compressor of the means of shards, where they are compressed.
        out: where to put the mean, shape (d,), if there is a place for it.
    """

    compressor: Compressor
    key: Key
    group: Group
    x: Tensor
    result: torch.dtype
    agreement: Agreement
    second: Compressor | None = None
    out: Tensor | None = None

    @property
    def d(self) -> int:
        """Dimension."""
        return len(self.x)

    @property
    def n(self) -> int:
        """Number of clients."""
        return self.group.size

    @cached_property
    def shared(self) -> NDArray[np.float32] | None:
        """The statistic of all clients, exchanged when it is first asked for."""
        if not self.compressor.statistic_bits:
            return None
        self.agreement.wait()
        return exchange_statistic(self)

    def context(self, client: int, d: int | None = None) -> Context:
        """Context of a client's message, or of a part of it of d coordinates."""
        d = self.d if d is None else d
        return Context(d, np.array([client]), self.n, self.key, self.shared)

    def tag(self, client: int) -> int:
        """Tag of a client's message."""
        return self.compressor.tag(
            self.d, client=client, n_clients=self.n, key=self.key, shared=self.shared
        )


class Outgoing:
    """This process's message, to be sent whole or in parts, once all agree.

    Raises:
        PayloadError: on all processes, if they do not.
    """

    def __init__(self, round: Round) -> None:
        self._round, client = round, round.group.rank
        self._ctx, self._tag = round.context(client), round.tag(client)
        nothing = round.x.new_zeros(0)
        empty = Message(nothing.to(torch.uint8), nothing.to(torch.float32))
        self.failure: ValueError | None = None
        try:
            self.message = round.compressor.write(round.x, self._ctx) or empty
        except ValueError as error:
            self.failure, self.message = error, empty
            self._tag ^= 2**32 - 1
        round.agreement.wait()

    def part(self, start: int, stop: int) -> Tensor:
        """Bytes of the coordinates from start to stop, which are whole tiles."""
        device = self._round.x.device
        if self.failure:
            length = message_bytes(self._round, self._round.group.rank, stop - start)
            body = torch.zeros(length - _TAG_BYTES, dtype=torch.uint8, device=device)
        else:
            codes, scales = self.message
            if (start, stop) != (0, self._round.d):
                c = self._round.compressor
                codes = codes[c.code_bytes(start, self._ctx) : c.code_bytes(stop, self._ctx)]
            body = torch.cat([raw_bytes(scales), codes])
        tag = np.array([self._tag], dtype="<u4").view(np.uint8)
        return torch.cat([torch.from_numpy(tag).to(device), body])


def message_bytes(round: Round, client: int, d: int) -> int:
    """Bytes of a client's message, or of a part of it of d coordinates."""
    ctx = round.context(client, d)
    codes, scales = (int(size[0]) for size in round.compressor.sizes(ctx))
    return _TAG_BYTES + 4 * scales + round.compressor.code_bytes(codes, ctx)


def opened(round: Round, parts: list[Tensor], d: int) -> list[tuple[Message, Context]]:
    """Messages and contexts of all clients that are not silent.

    Raises:
        NotEncodedError: if one could not encode its vector.
        PayloadError: if one has another compressor, d or key.
    """
    tags = torch.stack([part[:_TAG_BYTES] for part in parts]).cpu().numpy().view("<u4")[:, 0]
    for client, tag in enumerate(tags.tolist()):
        expected = round.tag(client)
        if tag == expected ^ (2**32 - 1):
            raise NotEncodedError(f"rank {client} {_COULD_NOT}")
        if tag != expected:
            raise PayloadError(
                f"rank {client} does not exchange what rank {round.group.rank} does: "
                f"{round.compressor!r}, d = {round.d}, n = {round.n}, {round.key}"
            )
    opened = []
    for client, part in enumerate(parts):
        ctx = round.context(client, d)
        n_codes, n_scales = (int(size[0]) for size in round.compressor.sizes(ctx))
        if n_codes == n_scales == 0:
            continue
        end = _TAG_BYTES + 4 * n_scales
        scales = part[_TAG_BYTES:end].clone().view(torch.float32)
        opened.append((Message(part[end:].contiguous(), scales), ctx))
    return opened


def mean_of(round: Round, parts: list[Tensor], d: int) -> Tensor:
    """Mean of the vectors that messages stand for, in the result's dtype."""
    mean = round.compressor.read_mean(opened(round, parts, d), d, round.n, round.result)
    return mean.to(round.x.device)


def decoded_sum(round: Round, c: GlobalQSGD, total: Tensor) -> Tensor:
    """Mean that a sum of all clients' levels stands for, in the result's dtype."""
    assert round.shared is not None
    mean = c.decode_sum(total.cpu().numpy().astype(np.int64), round.shared, round.n)
    return torch.from_numpy(mean).to(device=round.x.device, dtype=round.result)


def exchange_statistic(round: Round) -> NDArray[np.float32]:
    """Exchange the statistics of all clients: one number each, by one collective."""
    c, group = round.compressor, round.group
    try:
        own = c.stat(round.x)
    except ValueError:
        own = float("inf")
    number = torch.tensor([own], dtype=torch.float64, device=round.x.device)
    if isinstance(c, GlobalQSGD) and c.norm == float("inf"):
        stats = group.largest(number).tolist()
    else:
        stats = group.all_gather(number.view(torch.uint8)).view(torch.float64)[:, 0].tolist()
    if not np.isfinite(stats).all():
        raise NotEncodedError(f"a rank {_COULD_NOT}")
    try:
        return np.asarray(c.merge_stats(stats), dtype=np.float32)
    except ValueError as error:  # a norm of all beyond float32, on all ranks alike
        raise NotEncodedError(str(error)) from None


def raw_bytes(values: Tensor) -> Tensor:
    """Bytes of a vector."""
    return torch.cat([values]).view(torch.uint8)  # a copy: other strides have no bytes
