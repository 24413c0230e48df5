"""What the second shot of a two-shot exchange carries: the mean of a shard."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cqlib.compressors import Compressor, GlobalQSGD
from cqlib.compressors.types import Context, Message
from cqlib.distributed.collectives import NotEncodedError
from cqlib.distributed.messages import Round, decoded_sum, mean_of, opened, raw_bytes
from cqlib.kernels import dispatch
from cqlib.kernels.reference import packing

_UNREADABLE = 0xFF  # floats of such bytes are NaN, and no alphabet uses all bits
_SECOND = 2**63  # which part of the round's randomness belongs to second shots


class _AsResult:
    """The mean of a shard in the result's dtype."""

    def __init__(self, round: Round) -> None:
        self.round = round

    def length(self, d: int) -> int:
        return d * self.round.result.itemsize

    def write(self, arrived: list[Tensor], d: int) -> Tensor:
        if not d:
            opened(self.round, arrived, d)
            return arrived[0].new_zeros(0)
        return mean_of(self.round, arrived, d).view(torch.uint8)

    def read(self, data: Tensor, d: int, rank: int) -> Tensor:
        return data.clone().view(self.round.result)


class _AsIntegers:
    """The sum of a shard of linear Global-QSGD, at as many bits as it may need."""

    def __init__(self, round: Round, c: GlobalQSGD) -> None:
        self.round, self.c, self.most = round, c, round.n * c.s
        self.width = (2 * self.most).bit_length()

    def length(self, d: int) -> int:
        return packing.integer_bytes(d, self.width)

    def write(self, arrived: list[Tensor], d: int) -> Tensor:
        total = np.full(d, self.most, dtype=np.int64)
        for message, _ in opened(self.round, arrived, d):
            total += self.c.read_levels(message, d)
        packed = dispatch.host().pack_integers(total, self.width)
        return torch.from_numpy(packed).to(self.round.x.device)

    def read(self, data: Tensor, d: int, rank: int) -> Tensor:
        total = dispatch.host().unpack_integers(data.cpu().numpy(), d, self.width) - self.most
        return decoded_sum(self.round, self.c, torch.from_numpy(total))


class _Compressed:
    """The mean of a shard, compressed once more, by the process that has it alone."""

    def __init__(self, round: Round, second: Compressor) -> None:
        self.round, self.second = round, second

    def _context(self, d: int, rank: int) -> Context:
        return Context(d, np.zeros(1, dtype=np.int64), 1, self.round.key.fold(_SECOND + rank))

    def length(self, d: int) -> int:
        if not d:
            return 0
        ctx = self._context(d, 0)
        codes, scales = (int(size[0]) for size in self.second.sizes(ctx))
        return 4 * scales + self.second.code_bytes(codes, ctx)

    def write(self, arrived: list[Tensor], d: int) -> Tensor:
        if not d:
            opened(self.round, arrived, d)
            return arrived[0].new_zeros(0)
        mean = self.round.compressor.read_mean(opened(self.round, arrived, d), d, self.round.n)
        try:
            message = self.second.write(mean, self._context(d, self.round.group.rank))
        except ValueError:
            return mean.new_full((self.length(d),), _UNREADABLE, dtype=torch.uint8)
        assert message is not None
        return torch.cat([raw_bytes(message.scales), message.codes])

    def read(self, data: Tensor, d: int, rank: int) -> Tensor:
        ctx = self._context(d, rank)
        end = 4 * int(self.second.sizes(ctx).scales[0])
        message = Message(data[end:].contiguous(), data[:end].clone().view(torch.float32))
        try:
            return self.second.read(message, ctx).to(self.round.result)
        except ValueError as error:
            raise NotEncodedError(f"rank {rank} could not send its mean: {error}") from None


def second_shot(round: Round) -> _AsResult | _AsIntegers | _Compressed:
    """Return how the means of shards are sent: what writes, measures and reads them."""
    c = round.compressor
    if round.second is not None:
        return _Compressed(round, round.second)
    if isinstance(c, GlobalQSGD) and c.linear:
        return _AsIntegers(round, c)
    return _AsResult(round)


def check_second(second: Compressor) -> None:
    """Refuse what compresses no single vector.

    Raises:
        ValueError: then.
    """
    if not isinstance(second, Compressor):
        raise ValueError(f"second must be a Compressor, as make gives, got {second!r}")
    if second.statistic_bits or second.may_be_silent:
        raise ValueError(f"a second shot takes a compressor of one vector, not {second!r}")
