"""MiniFL, by the paper's first author: PyTorch, one Python object per client.

Its messages are float32 vectors, already decoded, with a computed number of bits.
"""

from __future__ import annotations

from collections.abc import Callable

from MiniFL import compressors

from benchmarks.case import Case, Operation
from benchmarks.inputs import rows, tensor

Make = Callable[[int, int], compressors.Compressor]


def _compress(make: Make) -> Callable[[int, int], Operation]:
    def setup(n: int, d: int) -> Operation:
        x, compressor = tensor(d), make(n, d)
        return lambda: compressor.compress(x)

    return setup


def _cq(n: int, d: int) -> compressors.Compressor:
    return _cq_of(n, n - 1, d)


def _cq_of(n: int, i: int, d: int) -> compressors.Compressor:
    return compressors.CorrelatedQuantizer(size=d, rank=i, world_size=n, num_levels=1)


def _iq(n: int, d: int) -> compressors.Compressor:
    return compressors.DeCorrelatedQuantizer(size=d, world_size=n, num_levels=1)


def _mean(n: int, d: int) -> Operation:
    X, each = rows(n, d), [_cq_of(n, i, d) for i in range(n)]
    return lambda: sum(c.compress(x).data for c, x in zip(each, X, strict=True)) / n


def _eden(n: int, d: int) -> compressors.Compressor:
    return compressors.EdenUnbiasedCompressor(size=d, bits=1, world_size=n)


CASES = (
    Case("MiniFL CQ", "CorrelatedQuantizer.compress", _compress(_cq), 32, against="cq call"),
    Case("MiniFL IQ", "DeCorrelatedQuantizer.compress", _compress(_iq), 32, against="iq call"),
    Case("MiniFL EDEN", "1 bit, pads 2^k to 2^(k+1)", _compress(_eden), 32,
         against="drive call"),
    Case("MiniFL CQ mean", "100 clients compress, then mean", _mean, 32, n=100, sizes=(1024,),
         joint=True, against="cq simulated mean"),
)  # fmt: skip
