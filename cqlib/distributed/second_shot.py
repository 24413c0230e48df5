"""The second shot of a two-shot exchange: the mean of a shard, in one of three forms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cqlib.compressors import Compressor, wire
from cqlib.compressors.parts import Sums
from cqlib.compressors.types import Context, Message
from cqlib.distributed.collectives import NotEncodedError
from cqlib.distributed.messages import Call, decoded_sum, mean_of_parts, opened, raw_bytes
from cqlib.kernels import dispatch
from cqlib.kernels.reference import packing

_UNREADABLE = 0xFF  # floats of such bytes are NaN, and codes never have all bits set
_SECOND_SHOT = 2**63  # the key of rank r's second shot is key.fold(_SECOND_SHOT + r)


class _AsResult:
    """The mean of a shard in the result's dtype."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def length(self, d: int) -> int:
        return d * self.call.result.itemsize

    def write(self, arrived: list[Tensor], d: int) -> Tensor:
        if not d:
            opened(self.call, arrived, d)
            return arrived[0].new_zeros(0)
        return mean_of_parts(self.call, arrived, d).view(torch.uint8)

    def read(self, data: Tensor, d: int, rank: int) -> Tensor:
        return data.clone().view(self.call.result)


class _AsIntegers:
    """The sum of the integers of a shard, in as many bits as the largest sum needs."""

    def __init__(self, call: Call, sums: Sums) -> None:
        self.call, self.sums, self.most = call, sums, sums.bound(call.n)
        self.width = (2 * self.most).bit_length()

    def length(self, d: int) -> int:
        return packing.integer_bytes(d, self.width)

    def write(self, arrived: list[Tensor], d: int) -> Tensor:
        total = np.full(d, self.most, dtype=np.int64)
        for message, ctx in opened(self.call, arrived, d):
            total += wire.read_levels(self.call.compressor, self.sums, message, ctx)
        packed = dispatch.host().pack_integers(total, self.width)
        return torch.from_numpy(packed).to(self.call.x.device)

    def read(self, data: Tensor, d: int, rank: int) -> Tensor:
        total = dispatch.host().unpack_integers(data.cpu().numpy(), d, self.width) - self.most
        return decoded_sum(self.call, self.sums, torch.from_numpy(total))


class _Compressed:
    """The mean of a shard, compressed again by the process that computed it."""

    def __init__(self, call: Call, second: Compressor) -> None:
        self.call, self.second = call, second

    def _context(self, d: int, rank: int) -> Context:
        return Context(d, np.zeros(1, dtype=np.int64), 1, self.call.key.fold(_SECOND_SHOT + rank))

    def length(self, d: int) -> int:
        if not d:
            return 0
        codes, scales = wire.size(self.second, self._context(d, 0))
        return 4 * scales + codes

    def write(self, arrived: list[Tensor], d: int) -> Tensor:
        if not d:
            opened(self.call, arrived, d)
            return arrived[0].new_zeros(0)
        mean = wire.mean(self.call.compressor, opened(self.call, arrived, d), d, self.call.n)
        try:
            message = wire.write(self.second, mean, self._context(d, self.call.group.rank))
        except ValueError:
            return mean.new_full((self.length(d),), _UNREADABLE, dtype=torch.uint8)
        assert message is not None
        return torch.cat([raw_bytes(message.scales), message.codes])

    def read(self, data: Tensor, d: int, rank: int) -> Tensor:
        ctx = self._context(d, rank)
        end = 4 * self.second.layout(ctx).of_one()[1]
        message = Message(data[end:].contiguous(), data[:end].clone().view(torch.float32))
        try:
            return wire.read(self.second, message, ctx).to(self.call.result)
        except ValueError as error:
            raise NotEncodedError(f"rank {rank} could not send its mean: {error}") from None


def second_shot(call: Call) -> _AsResult | _AsIntegers | _Compressed:
    """Return the object that writes and reads the means of shards."""
    if call.second is not None:
        return _Compressed(call, call.second)
    sums = call.compressor.sums
    if sums is not None and sums.kind == "integers":
        return _AsIntegers(call, sums)
    return _AsResult(call)


def check_second(second: Compressor) -> None:
    """Raise ValueError unless ``second`` is a compressor that can compress one vector alone."""
    if not isinstance(second, Compressor):
        raise ValueError(f"second must be a Compressor, as make gives, got {second!r}")
    if second.before or second.facts.may_be_silent:
        raise ValueError(f"second must compress one vector alone, which {second!r} cannot")
