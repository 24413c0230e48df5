"""Compressed means between real processes, over ``torch.distributed``."""

from cqlib.distributed.collectives import GroupError, NotEncodedError
from cqlib.distributed.hook import DDPHook
from cqlib.distributed.mean import Exchange, exchange, mean

__all__ = ["DDPHook", "Exchange", "GroupError", "NotEncodedError", "exchange", "mean"]
