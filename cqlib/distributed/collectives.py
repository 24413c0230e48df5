"""Bytes between the processes of a group, and how many of them one process sends.

Only bytes and integers cross the wire here, so that every backend takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class GroupError(RuntimeError):
    """There is no process group, or a member could not take part."""


class NotEncodedError(GroupError):
    """The vector of a member holds NaN or infinity, or is too large to send."""


@dataclass
class Group:
    """The processes that exchange, seen from one of them, and what it has sent to the others.

    Args:
        handle: torch's process group; None for the default one, or for a single process where
            there is none.
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

    def all_gather(self, message: Tensor) -> Tensor:
        """Gather messages of m bytes, shape (m,), equal on all: shape (n, m), by rank."""
        if self.size == 1:
            return message[None]
        gathered = message.new_empty((self.size, len(message)))
        _all_gather(gathered.reshape(-1), message.contiguous(), self.handle)
        self.sent_bytes += (self.size - 1) * _bytes(message)
        return gathered

    def all_to_all(self, messages: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:
        """Send message j to rank j; return what arrives from each, of these lengths."""
        if self.size == 1:
            return list(messages)
        sent = [len(message) for message in messages]
        arrived = messages[0].new_empty(sum(lengths))
        dist.all_to_all_single(
            arrived, torch.cat(list(messages)), list(lengths), sent, group=self.handle
        )
        self.sent_bytes += sum(_bytes(m) for j, m in enumerate(messages) if j != self.rank)
        return list(torch.split(arrived, list(lengths)))

    def add(self, values: Tensor) -> Tensor:
        """Add up integers of all, in place; counted as a ring sends them."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def largest(self, values: Tensor) -> Tensor:
        """Take the elementwise maximum over all, in place."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def broadcast(self, message: Tensor) -> Tensor:
        """Return rank 0's bytes, of any number, on all."""
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
        """Send bytes to one other."""
        dist.send(values.contiguous(), group=self.handle, group_dst=peer)
        self.sent_bytes += _bytes(values)

    def receive(self, like: Tensor, peer: int) -> Tensor:
        """Receive bytes of that number from one other."""
        arrived = torch.empty_like(like)
        dist.recv(arrived, group=self.handle, group_src=peer)
        return arrived

    def _reduce(self, values: Tensor, operation: Any) -> Tensor:
        if self.size > 1:
            dist.all_reduce(values, op=operation, group=self.handle)
            self.sent_bytes += round(2 * (self.size - 1) * _bytes(values) / self.size)
        return values


def _all_gather(gathered: Tensor, message: Tensor, handle: Any) -> None:
    collective = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    collective(gathered, message, group=handle)


def _bytes(values: Tensor) -> int:
    return values.numel() * values.element_size()
