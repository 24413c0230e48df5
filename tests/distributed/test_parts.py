"""Exchanges use only the parts of a compressor: two defined here have messages that add up."""

import ast
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from cqbook import paths
from cqbook.network.processes import on_ranks
from cqlib import Key
from cqlib.compressors import Compressor, Facts, Layout, Symbols, make, names
from cqlib.compressors.parts import Sums
from cqlib.distributed import GroupError, exchange
from cqlib.distributed.costs import SHARD, predicted_seconds
from cqlib.kernels.reference import packing
from tests.cases import spread
from tests.helpers import same_bits

MOST, STEP = 15, 0.125


class Steps(Sums):
    def levels(self, codes):
        return codes.astype(np.int64) - MOST

    def bound(self, n):
        return n * MOST

    def decode(self, total, shared, n):
        return total * STEP / n


@dataclass(frozen=True)
class FixedSteps(Compressor):
    """Multiples of 1/8 for all vectors: integers that add up, without a statistic."""

    name: ClassVar[str] = "fixed_steps"
    facts = Facts(unbiased=False, deterministic=True, can_be_cut=True)
    sums = Steps()

    def layout(self, ctx):
        return Layout(2 * MOST + 1, ctx.d, 0)

    def quantize(self, x, ctx):
        codes = np.clip(np.rint(x / STEP), -MOST, MOST).astype(np.int64) + MOST
        return Symbols(codes, np.zeros((*x.shape[:-1], 0), dtype=np.float32))

    def dequantize(self, symbols, ctx):
        return (self.sums.levels(symbols.values) * STEP).astype(np.float32)

    def bits(self, d, n):
        return 5.0 * d


class Doublings(Sums):
    kind = "powers"

    def levels(self, codes):
        return packing.levels_of(codes)

    def bound(self, n):
        return 1 + (n - 1).bit_length()

    def decode(self, total, shared, n):
        return np.sign(total) * np.exp2(np.abs(total) - 1.0) * (total != 0) / n


@dataclass(frozen=True)
class Signs(Compressor):
    """-1, 0 or 1, with sums rounded to powers of two."""

    name: ClassVar[str] = "signs"
    facts = Facts(unbiased=False, deterministic=True)
    sums = Doublings()

    def layout(self, ctx):
        return Layout(3, ctx.d, 0)

    def quantize(self, x, ctx):
        codes = packing.symbols_of(np.sign(x))
        return Symbols(codes, np.zeros((*x.shape[:-1], 0), dtype=np.float32))

    def dequantize(self, symbols, ctx):
        return packing.levels_of(symbols.values).astype(np.float32)

    def bits(self, d, n):
        return 1.6 * d


def ways(rank, n, d):
    X = spread(n, d, dtype=torch.float32, base=2.0)
    found = []
    for c, strategies in (
        (FixedSteps(), ("all_gather", "two_shot", "all_reduce")),
        (Signs(), ("all_gather", "tree")),
    ):
        for strategy in strategies:
            result = exchange(X[rank], compressor=c, key=Key(1), strategy=strategy)
            found.append(result.mean)
            found.append(torch.tensor(result.sent_bytes))
        bad = X[rank].clone()
        bad[3] = float("nan") if rank == n - 1 else 0.0
        for strategy in strategies:
            with pytest.raises(GroupError, match=f"rank {n - 1} could not encode"):
                exchange(bad, compressor=c, key=Key(1), strategy=strategy)
    return found


@pytest.mark.slow
def test_messages_that_add_up_take_every_way_that_suits_them():
    n, d = 3, 2 * SHARD + 10
    X = spread(n, d, dtype=torch.float32, base=2.0)
    for found in on_ranks(n, ways, d):
        means = found[::2]
        for c, own in ((FixedSteps(), means[:3]), (Signs(), means[3:])):
            wanted = c.mean(X, key=Key(1))
            assert wanted.any() and all(same_bits(mean, wanted) for mean in own)
        _, shards, reduced = (int(sent) for sent in found[1:6:2])
        assert shards < 2 * 4 * SHARD  # sums below 46 take seven bits, and floats 32
        assert reduced < 1.4 * d  # a ring of bytes sends 4 d / 3


def test_a_sum_is_that_of_the_levels():
    X = torch.tensor([[0.5, -0.25, 9.0], [0.25, 0.25, 0.0]])
    assert FixedSteps().mean(X, key=Key(0)).tolist() == [0.375, 0.0, 0.9375]
    assert Signs().mean(torch.ones(2, 1), key=Key(0)).tolist() == [1.0]


def test_the_choice_knows_which_ways_suit():
    assert set(predicted_seconds(FixedSteps(), d=100, n=4)) == {
        "all_gather",
        "two_shot",
        "all_reduce",
    }
    assert set(predicted_seconds(Signs(), d=100, n=4)) == {"all_gather", "tree"}
    assert "all_reduce" not in predicted_seconds(FixedSteps(), d=100, n=2**28)  # beyond 32 bits


@pytest.mark.parametrize(
    ("c", "strategy", "message"),
    [
        (Signs(), "all_reduce", "add up as integers; those of Signs"),
        (FixedSteps(), "tree", "add up as powers; those of FixedSteps"),
        (Signs(), "two_shot", "that can be cut"),
    ],
    ids=str,
)
def test_a_way_that_does_not_suit_is_refused(c, strategy, message):
    with pytest.raises(ValueError, match=message):
        exchange(torch.ones(4), compressor=c, key=Key(0), strategy=strategy)


def test_no_compressor_is_named_in_the_code():
    classes = {type(make(name)).__name__ for name in names()}
    for path in (paths.root() / "cqlib" / "distributed").glob("*.py"):
        tree = ast.parse(path.read_text())
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        used |= {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert not used & classes, path
