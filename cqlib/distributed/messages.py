"""The bytes that processes send each other in one call, and how they are checked and read.

A message is its tag, its scales and its codes. A process that cannot encode its vector sends the
inverted tag, so that all processes raise and none waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors import Compressor, wire
from cqlib.compressors.parts import Statistic, Sums
from cqlib.compressors.types import Context, Message, Received
from cqlib.distributed.collectives import Group, NotEncodedError
from cqlib.distributed.warm_up import Compilation
from cqlib.keys import Key
from cqlib.payload import PayloadError

_TAG_BYTES = 4
_MOMENT = 0.2  # seconds between two rounds of comparison, while a process compiles
_COULD_NOT = (
    "could not encode its vector: it holds NaN or infinity, is too large, or that rank has another "
    "error"
)


class Agreement:
    """The comparison of the arguments of all processes, which runs while they encode.

    Digests of the arguments are compared, since these have the same size. Their lowest bit says
    that a process still compiles its kernels. Then all compare again, until none does: so a process
    that compiles for a minute is never silent for longer than a moment, and nobody gives it up.
    Only the first round counts as bytes sent, since the number of rounds depends on time.

    Args:
        group: the processes.
        arguments: what must be equal, by name.
        device: device of the numbers to send.
        compilation: the thread in which this process compiles, if it does; until it has ended, the
            process only compares.

    Raises:
        PayloadError: on all processes, if their arguments differ, and this one compiles.
    """

    def __init__(
        self,
        group: Group,
        arguments: Mapping[str, Any],
        device: torch.device,
        compilation: Compilation | None = None,
    ) -> None:
        told = ", ".join(f"{name} = {value!r}" for name, value in arguments.items())
        self._own = f"rank {group.rank} has {told}"
        digest = hashlib.sha256(repr(dict(arguments)).encode()).digest()
        self._digest = int.from_bytes(digest[:8], "little", signed=True) & ~1
        self._group, self._device, self._started = group, device, False
        while compilation and compilation.goes_on:
            self._start(busy=True)
            compilation.wait(_MOMENT)
            self._all_ready()
        self._start(busy=False)

    def wait(self) -> None:
        """Wait for the result. Messages are sent later, since their sizes depend on the arguments.

        Raises:
            PayloadError: on all processes, if the arguments of one differ.
        """
        while not self._all_ready():
            self._start(busy=False)

    def _start(self, *, busy: bool) -> None:
        """Start a round; the maximum of ~x gives the minimum of x."""
        numbers = [self._digest | busy, ~self._digest]
        self._ends = torch.tensor(numbers, device=self._device)
        self._wait = self._group.start_largest(self._ends, counted=not self._started)
        self._started = True

    def _all_ready(self) -> bool:
        """End a round: True if no process compiles."""
        self._wait()
        self._wait = lambda: None
        largest, smallest = self._ends.tolist()
        if largest & ~1 != ~smallest:
            raise PayloadError(f"not all ranks have the same arguments: {self._own}")
        return not largest & 1


@dataclass(frozen=True)
class Call:
    """One call of ``mean`` under way, as seen by one process.

    Args:
        compressor: the compressor of all processes.
        key: the round's key.
        group: the processes; a process is the client of its rank.
        x: this process's vector, shape (d,), float32 or float64.
        result: dtype of the mean.
        agreement: the comparison of the arguments of all processes.
        second: compressor of the means of shards; None if they are not compressed.
        out: tensor for the mean, shape (d,); None to make one.
        failures: errors of this process while it encodes; the others learn of them.
    """

    compressor: Compressor
    key: Key
    group: Group
    x: Tensor
    result: torch.dtype
    agreement: Agreement
    second: Compressor | None = None
    out: Tensor | None = None
    failures: list[Exception] = field(default_factory=list)  # of this process, while it encodes

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
        """The statistic of all clients, exchanged on first use."""
        before = self.compressor.before
        if before is None:
            return None
        self.agreement.wait()
        return exchange_statistic(self, before)

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
    """This process's message, to be sent whole or in parts, once all processes agree.

    Raises:
        PayloadError: on all processes, if they do not agree.
    """

    def __init__(self, call: Call) -> None:
        self._call, client = call, call.group.rank
        self._tag = call.tag(client)
        nothing = call.x.new_zeros(0)
        empty = Message(nothing.to(torch.uint8), nothing.to(torch.float32))
        try:
            self.message = wire.write(call.compressor, call.x, call.context(client)) or empty
        except Exception as error:  # the other processes must not wait
            call.failures.append(error)
            self.message = empty
            self._tag ^= 2**32 - 1
        call.agreement.wait()

    def part(self, start: int, stop: int) -> Tensor:
        """Bytes of the message for the coordinates of a shard, from start to stop, or of all."""
        call, device = self._call, self._call.x.device
        if call.failures:
            length = message_bytes(call, call.group.rank, stop - start)
            body = torch.zeros(length - _TAG_BYTES, dtype=torch.uint8, device=device)
        else:
            codes, scales = self.message
            if (start, stop) != (0, call.d):
                codes, scales = self._cut(codes, scales, start, stop)
            body = torch.cat([raw_bytes(scales), codes])
        tag = np.array([self._tag], dtype="<u4").view(np.uint8)
        return torch.cat([torch.from_numpy(tag).to(device), body])

    def _cut(self, codes: Tensor, scales: Tensor, start: int, stop: int) -> Message:
        """Return the codes of these coordinates, and their blocks' scales or else all scales."""
        (first, scale), (last, end) = self._size(start), self._size(stop)
        of_blocks = self._size(0)[1] == 0
        return Message(codes[first:last], scales[scale:end] if of_blocks else scales)

    def _size(self, d: int) -> tuple[int, int]:
        """Bytes of codes and number of scales of the first d coordinates."""
        return wire.size(self._call.compressor, self._call.context(self._call.group.rank, d))


def message_bytes(call: Call, client: int, d: int) -> int:
    """Bytes of a client's message, or of a part of it of d coordinates."""
    codes, scales = wire.size(call.compressor, call.context(client, d))
    return _TAG_BYTES + 4 * scales + codes


def opened(call: Call, parts: list[Tensor], d: int) -> Received:
    """Return the messages and contexts of all clients that are not silent.

    Raises:
        NotEncodedError: if a process could not encode its vector.
        PayloadError: if a process has another compressor, d or key.
    """
    tags = torch.stack([part[:_TAG_BYTES] for part in parts]).cpu().numpy().view("<u4")[:, 0]
    for client, tag in enumerate(tags.tolist()):
        expected = call.tag(client)
        if tag == expected ^ (2**32 - 1):
            raise could_not(call, client)
        if tag != expected:
            raise PayloadError(
                f"rank {client} has other arguments than rank {call.group.rank}, which has "
                f"{call.compressor!r}, d = {call.d}, n = {call.n}, {call.key}"
            )
    opened = []
    for client, part in enumerate(parts):
        ctx = call.context(client, d)
        n_codes, n_scales = call.compressor.layout(ctx).of_one()
        if n_codes == n_scales == 0:
            continue
        end = _TAG_BYTES + 4 * n_scales
        scales = part[_TAG_BYTES:end].clone().view(torch.float32)
        opened.append((Message(part[end:].contiguous(), scales), ctx))
    return opened


def mean_of_parts(call: Call, parts: list[Tensor], d: int) -> Tensor:
    """Mean from the messages of all clients, or from parts of them, in the result's dtype."""
    mean = wire.mean(call.compressor, opened(call, parts, d), d, call.n, call.result)
    return mean.to(call.x.device)


def decoded_sum(call: Call, sums: Sums, total: Tensor) -> Tensor:
    """Mean from the sum of all clients' integers, in the result's dtype."""
    mean = sums.decode(total.cpu().numpy().astype(np.int64), call.shared, call.n)
    return torch.from_numpy(mean).to(device=call.x.device, dtype=call.result)


def exchange_statistic(call: Call, before: Statistic) -> NDArray[np.float32]:
    """Exchange one number per client, and return the statistic that they make."""
    try:
        own = before.of(call.x)
    except ValueError:
        own = float("inf")
    number = torch.tensor([own], dtype=torch.float64, device=call.x.device)
    if before.largest:
        stats = call.group.largest(number).tolist()
    else:
        stats = call.group.all_gather(number.view(torch.uint8)).view(torch.float64)[:, 0].tolist()
    if not np.isfinite(stats).all():
        raise NotEncodedError(f"a rank {_COULD_NOT}")
    try:
        return np.asarray(before.merge(stats), dtype=np.float32)
    except ValueError as error:  # the norm exceeds float32; all ranks raise
        raise NotEncodedError(str(error)) from None


def could_not(call: Call, rank: int) -> Exception:
    """Return the error for a process that could not encode its vector.

    A process with an error that is not about its vector, such as of memory, raises that one.
    """
    told = NotEncodedError(f"rank {rank} {_COULD_NOT}")
    if not call.failures:
        return told
    own = call.failures[0]
    if not isinstance(own, ValueError):
        return own
    told.__cause__ = own
    return told


def raw_bytes(values: Tensor) -> Tensor:
    """Bytes of a vector."""
    return torch.cat([values]).view(torch.uint8)  # a contiguous copy, as view needs
