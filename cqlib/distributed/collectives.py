"""Collective operations of a group, with a count of the bytes that one process sends.

Only bytes and integers are sent, so that every backend of torch can send them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class GroupError(RuntimeError):
    """There is no process group, or one of its processes could not take part."""


class NotEncodedError(GroupError):
    """The vector of a process holds NaN or infinity, or is too large to send."""


@dataclass
class Group:
    """A process group as seen by one process, and the bytes that this process has sent.

    Args:
        handle: torch's process group; None for the default one, or for a single process if there
            is no group.
    """

    handle: Any = None
    rank: int = field(init=False, default=0)
    size: int = field(init=False, default=1)
    sent_bytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if dist.is_available() and dist.is_initialized():
            self.rank, self.size = dist.get_rank(self.handle), dist.get_world_size(self.handle)
            if self.rank < 0:
                raise GroupError("this process is not a member of the group")
        elif self.handle is not None:
            raise GroupError("call torch.distributed.init_process_group first")

    @property
    def devices(self) -> tuple[str, ...]:
        """The types of devices whose tensors the group can send; empty for one process alone."""
        if not (dist.is_available() and dist.is_initialized()):
            return ()
        config = dist.get_backend_config(self.handle)  # such as "cpu:gloo,cuda:nccl"
        return tuple(part.partition(":")[0] for part in config.split(","))

    @property
    def device(self) -> torch.device:
        """A device for messages that belong to no tensor: the CPU if the group can send from it."""
        known = self.devices
        return torch.device("cpu" if "cpu" in known or not known else known[0])

    def all_gather(self, message: Tensor) -> Tensor:
        """Gather the messages of all processes, m bytes each: shape (m,) to (n, m), by rank."""
        if self.size == 1:
            return message[None]
        gathered = message.new_empty((self.size, len(message)))
        collective = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        collective(gathered.reshape(-1), message.contiguous(), group=self.handle)
        self.sent_bytes += (self.size - 1) * _bytes(message)
        return gathered

    def all_to_all(self, messages: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:
        """Send message j to rank j; return the messages from all ranks, of the given lengths.

        Gloo sends a message after its receiver has announced that it is ready. Here a process
        announces this before it sends. In gloo's own all-to-all, announcements wait behind
        messages, and links idle.
        """
        arrived = [messages[0].new_empty(length) for length in lengths]
        messages = [message.contiguous() for message in messages]
        arrived[self.rank] = messages[self.rank]
        for step in range(1, self.size):
            to, source = (self.rank + step) % self.size, (self.rank - step) % self.size
            operations = [
                dist.P2POp(dist.irecv, arrived[source], group=self.handle, group_peer=source),
                dist.P2POp(dist.isend, messages[to], group=self.handle, group_peer=to),
            ]
            for work in dist.batch_isend_irecv([op for op in operations if op.tensor.numel()]):
                work.wait()
            self.sent_bytes += _bytes(messages[to])
        return arrived

    def add(self, values: Tensor) -> Tensor:
        """Add up the integers of all processes, in place; bytes are counted as for a ring."""
        if self.size > 1:
            self._count_reduced(values)
            dist.all_reduce(values, group=self.handle)
        return values

    def largest(self, values: Tensor) -> Tensor:
        """Take the elementwise maximum over all processes, in place."""
        self.start_largest(values)()
        return values

    def start_largest(self, values: Tensor, *, counted: bool = True) -> Callable[[], None]:
        """Start to take the maximum; return a function that waits for the result."""
        if self.size == 1:
            return lambda: None
        if counted:
            self._count_reduced(values)
        work = dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.handle, async_op=True)
        return lambda: work.wait()

    def broadcast(self, message: Tensor) -> Tensor:
        """Return rank 0's message, of any length, on all processes."""
        if self.size == 1:
            return message
        length = torch.tensor([len(message)], dtype=torch.int64, device=message.device)
        dist.broadcast(length, group=self.handle, group_src=0)
        if self.rank:
            message = message.new_empty(int(length))
        if len(message):
            dist.broadcast(message, group=self.handle, group_src=0)
        if self.rank == 0:
            self.sent_bytes += (self.size - 1) * (8 + _bytes(message))
        return message

    def send(self, values: Tensor, peer: int) -> None:
        """Send bytes to another process."""
        dist.send(values.contiguous(), group=self.handle, group_dst=peer)
        self.sent_bytes += _bytes(values)

    def receive(self, like: Tensor, peer: int) -> Tensor:
        """Receive a tensor of the shape and dtype of ``like`` from another process."""
        arrived = torch.empty_like(like)
        dist.recv(arrived, group=self.handle, group_src=peer)
        return arrived

    def _count_reduced(self, values: Tensor) -> None:
        self.sent_bytes += round(2 * (self.size - 1) * _bytes(values) / self.size)


def _bytes(values: Tensor) -> int:
    return values.numel() * values.element_size()
