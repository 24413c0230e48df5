"""Exchanges between real processes: they give the bits of the simulator, and fail together."""

import itertools
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.distributed as dist

from cqbook.network.processes import on_ranks
from cqlib import Key, PayloadError
from cqlib.compressors import make, names
from cqlib.distributed import GroupError, costs, exchange, mean
from cqlib.distributed.costs import SHARD, fastest, predicted_seconds
from cqlib.distributed.strategies import STRATEGIES
from cqlib.theory.collectives import Link
from tests.cases import VARIANTS, spread
from tests.helpers import same_bits

pytestmark = pytest.mark.slow

COMPRESSORS = [*map(make, names()), *VARIANTS]
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
EXPONENTIAL = make("global_qsgd", levels="exponential")


def affordable(c, d):
    return min(d, 40) if "uniform" in repr(c) or c.name in ("iscc", "compose") else d


def vectors(n, d, dtype):
    return (spread(n, d, seed=d, base=2.0) / 8).to(dtype)


def wanted(c, X, key):
    """Return the simulator's mean of 16-bit floats, widened without rounding."""
    wide = X if X.dtype in (torch.float32, torch.float64) else X.float()
    statistic = c.statistic(wide)
    ids = [
        {"client": i, "n_clients": len(X), "key": key, "shared": statistic} for i in range(len(X))
    ]
    sent = {i: c.encode(x, **who) for (i, x), who in zip(enumerate(wide), ids, strict=True)}
    options = {"d": X.shape[-1], "n_clients": len(X), "key": key, "shared": statistic}
    return c.mean_of_received(sent, **options).to(X.dtype)


def suits(c, strategy):
    return {
        "all_gather": True,
        "two_shot": c.facts.can_be_cut,
        "all_reduce": c.name == "global_qsgd" and c.levels == "linear",
        "tree": c.name == "global_qsgd" and c.reduction == "tree",
    }[strategy]


# --- the same bits whatever the way --------------------------------------------------------------


def every_way(rank, n, dimensions):
    """Return every disagreement with the simulator, and the number of exchanges."""
    wrong, count = [], 0
    for c, d, dtype in itertools.product(COMPRESSORS, dimensions, DTYPES):
        d, key = affordable(c, d), Key(n, d)
        X = vectors(n, d, dtype)
        expected = wanted(c, X, key)
        for strategy in filter(lambda name: suits(c, name), STRATEGIES):
            found = exchange(X[rank], compressor=c, key=key, strategy=strategy)
            count += 1
            if found.strategy != strategy or not same_bits(found.mean, expected):
                wrong.append(f"{c} {strategy} n={n} d={d} {dtype}")
    return wrong, count


@pytest.mark.parametrize(
    ("n", "dimensions"), [(1, (1, 700)), (2, (1, 6000)), (3, (100,)), (4, (2 * SHARD + 1,))]
)
def test_every_strategy_gives_the_bits_of_the_simulator(n, dimensions):
    for wrong, count in on_ranks(n, every_way, dimensions):
        assert not wrong and count > 4 * len(COMPRESSORS)


def many(rank, n):
    X = vectors(n, 11 * SHARD, torch.float32)
    found = []
    for c in (make("cq"), make("global_qsgd", s=3), EXPONENTIAL):
        key = Key(5)
        same = wanted(c, X, key)
        strategies = [name for name in STRATEGIES if suits(c, name)]
        options = {"compressor": c, "key": key}
        found += [same_bits(mean(X[rank], strategy=s, **options), same) for s in strategies]
    return found


def test_sixteen_ranks_agree_with_the_simulator():
    assert all(map(all, on_ranks(16, many)))


def shapes(rank, n):
    c, key = make("cq"), Key(1, 2)
    X = vectors(n, 24, torch.float32)
    expected = wanted(c, X, key)
    cube = X[rank].reshape(4, 3, 2)
    columns = cube.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    leaf = cube.clone().requires_grad_()
    group = dist.new_group([0, 1])
    out = torch.empty(4, 3, 2)
    mean(cube, compressor=c, key=key, out=out)
    in_place = cube.clone()
    returned = mean(in_place, compressor=c, key=key, out=in_place)
    if rank < 2:
        pair = same_bits(mean(X[rank], compressor=c, key=key, group=group), wanted(c, X[:2], key))
    else:
        with pytest.raises(GroupError, match="not a member"):
            mean(X[rank], compressor=c, key=key, group=group)
        pair = True
    found = [
        mean(cube, compressor=c, key=key),
        mean(columns, compressor=c, key=key),
        mean(leaf, compressor=c, key=key),
        out,
        in_place,
    ]
    right = [same_bits(each, expected.reshape(4, 3, 2)) for each in found]
    return [*right, not found[2].requires_grad, returned is in_place, pair]


def test_any_shape_layout_and_group():
    assert on_ranks(3, shapes) == [[True] * 8] * 3


# --- bytes ---------------------------------------------------------------------------------------


def traffic(rank, n, d):
    x = vectors(n, d, torch.float32)[rank]
    linear = make("global_qsgd", s=7)
    ways = [
        (make("cq"), "all_gather", None),
        (make("cq"), "two_shot", None),
        (make("cq"), "two_shot", make("iq")),
        (linear, "two_shot", None),
        (linear, "all_reduce", None),
        (EXPONENTIAL, "tree", None),
    ]
    found, digest = [], round(2 * (n - 1) * 16 / n)
    for c, strategy, second in ways:
        options = {"compressor": c, "key": Key(0), "strategy": strategy, "second": second}
        found.append(exchange(x, **options).sent_bytes - digest)
    return found


def test_bytes_are_those_of_the_messages():
    n, d = 4, 4 * SHARD
    codes, scale, tag = d // 8, 4, 4
    statistic = round(2 * 3 * 8 / 4)  # one number, by an all-reduce over a ring
    for rank, found in enumerate(on_ranks(n, traffic, d)):
        gather, floats, again, integers, ring, tree = found
        assert gather == 3 * (codes + scale + tag)
        first = 3 * (codes // 4 + scale + tag)
        assert floats == first + 3 * 4 * d // 4
        assert again == first + 3 * (codes // 4 + scale)
        levels = 3 * (4 * d // 8 // 4 + tag)  # 15 symbols: four bits; sums up to 28: six bits
        assert integers == statistic + levels + 3 * 6 * d // 8 // 4
        assert ring == statistic + 2 * 3 * d // 4
        sends = {0: 2, 1: 1, 2: 2, 3: 1}[rank]  # one message up, unless it is the root; then down
        assert tree == statistic + sends * d


# --- the second shot -----------------------------------------------------------------------------


def requantised(rank, n, rounds):
    X = vectors(n, 2 * SHARD, torch.float32)
    c, second = make("cq"), make("standard_dithering", s=63)
    found = []
    for r in range(rounds):
        options = {"compressor": c, "key": Key(9, r), "second": second}
        found.append(mean(X[rank], **options) - mean(X[rank], compressor=c, key=Key(9, r)))
    return torch.stack(found)


def test_a_compressed_second_shot_adds_its_own_error_and_no_bias():
    rounds = 60
    errors, *others = on_ranks(2, requantised, rounds)
    assert all(same_bits(errors, other) for other in others)
    X, second = vectors(2, 2 * SHARD, torch.float32), make("standard_dithering", s=63)
    expected = [
        sum(float(second.variance(shard[None])[0]) for shard in first.split(SHARD))
        for first in (wanted(make("cq"), X, Key(9, r)) for r in range(rounds))
    ]
    squared = (errors.double() ** 2).sum(dim=1)
    assert 0.8 < float(squared.mean()) / np.mean(expected) < 1.25
    # The mean over rounds of independent unbiased errors shrinks like one over their number.
    assert float((errors.double().mean(dim=0) ** 2).sum()) < 1.5 * np.mean(expected) / rounds


# --- failures ------------------------------------------------------------------------------------


def failures(rank, n):
    """Return each process's errors for failures on one of them; all go on afterwards."""
    x = vectors(n, 2 * SHARD, torch.float32)[rank]
    bad = x.clone()
    if rank == 1:
        bad[7] = float("nan")
    large = torch.zeros(len(x))
    large[0] = 3e38
    cases = [
        (bad, make("cq"), Key(0), "all_gather"),
        (bad, make("cq"), Key(0), "two_shot"),
        (bad, make("global_qsgd"), Key(0), "all_reduce"),
        (bad, make("global_qsgd", norm=2), Key(0), "all_gather"),
        (large, make("global_qsgd", norm=2), Key(0), "all_gather"),
        (x, make("cq"), Key(rank), "all_gather"),
        (x, make("cq", ranks="permutation" if rank else "shift"), Key(0), "two_shot"),
        (x, make("global_qsgd", s=3 + rank), Key(0), "all_reduce"),
        (x, make("global_qsgd", s=3 + rank, norm=2), Key(0), "all_gather"),
        (x[: len(x) // (1 + rank)], make("cq"), Key(0), "two_shot"),
        (x, make("cq" if rank else "identity"), Key(0), "all_gather"),
        (x.double() if rank else x, make("cq"), Key(0), "all_gather"),
        (x, make("cq"), Key(0), "two_shot" if rank else "all_gather"),
        (x, make("global_qsgd" if rank else "cq"), Key(0), "all_gather"),
        (x, make("cq"), Key(0), "ring" if rank == 2 else "all_gather"),
        (x.int() if rank == 2 else x, make("cq"), Key(0), "all_gather"),
        (x, make("drive"), Key(0), "two_shot" if rank == 2 else "all_gather"),
        (torch.full_like(x, 6e4).half(), make("iq"), Key(0), "all_gather"),
    ]
    said = []
    for vector, c, key, strategy in cases:
        try:
            mean(vector, compressor=c, key=key, strategy=strategy)
            said.append("nothing")
        except (GroupError, PayloadError, ValueError) as error:
            said.append(f"{type(error).__name__}: {error}")
    try:
        large = torch.full_like(x, 3e38)
        mean(
            large,
            compressor=make("natural_dithering", p=float("inf")),
            key=Key(0),
            second=make("iq"),
            out=large,
        )
        said.append("nothing")
    except GroupError as error:
        said.append(f"{type(error).__name__}: {error}")
    said.append(str(bool((large == torch.full_like(x, 3e38)).all())))  # unchanged
    fine = mean(x, compressor=make("cq"), key=Key(3))
    said.append(str(bool(torch.isfinite(fine).all())))
    return said


def test_all_ranks_fail_together_and_can_go_on():
    for rank, said in enumerate(on_ranks(3, failures)):
        for text in said[:2]:
            assert text.startswith("NotEncodedError: rank 1 could not encode its vector")
        for text in said[2:4]:
            assert text.startswith("NotEncodedError: a rank could not encode its vector")
        assert said[4].startswith("NotEncodedError: ")
        assert all(text.startswith("PayloadError: not all ranks") for text in said[5:14])
        refused = "ValueError: " if rank == 2 else "PayloadError: not all ranks"
        assert all(text.startswith(refused) for text in said[14:17])
        assert said[17] == "NotEncodedError: the mean exceeds the largest float16"
        assert said[18].startswith("NotEncodedError: rank 1 could not send its mean")
        assert said[19:] == ["True", "True"]


X = torch.ones(4)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.ones(4, dtype=torch.int32), {}, "floats, got torch.int32"),
        ([1.0], {}, "x must be a tensor, got list"),
        (torch.ones(0, 3), {}, r"one or more coordinates, got shape \(0, 3\)"),
        (X, {"out": torch.ones(5)}, r"out must be torch.float32 of shape \(4,\)"),
        (X, {"out": X.double()}, "out must be torch.float32"),
        (X, {"strategy": "ring"}, "unknown strategy 'ring'; known: auto, all_gather"),
        (X, {"strategy": "tree"}, "tree needs messages that add up as powers"),
        (X, {"strategy": "all_reduce"}, "all_reduce needs messages that add up as integers"),
        (X, {"compressor": make("drive"), "strategy": "two_shot"}, "messages that can be cut"),
        (X, {"second": make("iq"), "strategy": "all_gather"}, "second needs the strategy"),
        (X, {"second": make("global_qsgd")}, "second must compress one vector"),
        (X, {"group": object()}, "init_process_group first"),
        (X, {"compressor": "cq"}, "compressor must be a Compressor"),
        (X, {"key": 3}, "key must be a Key, got 3"),
    ],
)
def test_what_does_not_fit_is_refused(x, options, message):
    with pytest.raises((ValueError, GroupError), match=message):
        mean(x, **{"compressor": make("cq"), "key": Key(0)} | options)


# --- the choice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d"), [(8, 50_000), (16, 20_000), (3, 100), (4, 2**20), (2, 15_361), (3, 10_240)]
)
def test_the_model_of_a_two_shot_knows_the_longest_shard(n, d):
    c, link = make("natural_compression"), Link(0.0, 1.0)
    ends = costs.shard_ends(d, n)
    longest = max(b - a for a, b in pairwise(ends))
    assert ends[0] == 0 and ends[-1] == d and longest == costs.longest_shard(d, n)
    wire = costs.wire_seconds(c, "two_shot", d=d, n=n, link=link)
    assert wire == pytest.approx((n - 1) * (9 * longest / 8 + 4 * longest))


def test_the_choice_follows_the_size_the_number_and_the_link():
    slow = Link(latency=1e-4, bandwidth=1.25e7)
    assert fastest(make("cq"), d=2**20, n=4, link=slow) == "all_gather"
    assert fastest(make("cq"), d=2**20, n=64, link=slow) == "two_shot"
    assert fastest(make("drive"), d=2**20, n=64, link=slow) == "all_gather"
    assert fastest(make("global_qsgd", s=1), d=2**20, n=16, link=slow) != "all_gather"
    late = Link(latency=1.0, bandwidth=1e12)
    assert fastest(EXPONENTIAL, d=100, n=64, link=late) == "tree"
    for c in COMPRESSORS:
        found = predicted_seconds(c, d=1000, n=8)
        assert set(found) == {name for name in STRATEGIES if suits(c, name)}
        assert all(np.isfinite(list(found.values())))


# --- the ends of the range of floats -------------------------------------------------------------


def at_an_end(n, size, dtype):
    """Return vectors of which one entry is as large or small as a dtype allows."""
    return (torch.full((n, 1), size, dtype=torch.float64) * (torch.arange(9) == 3)).to(dtype)


def ends(rank, n):
    """Return every disagreement with the simulator, and the kinds of outcomes."""
    wrong, kinds = [], set()
    rounds = [(c, Key(n)) for c in COMPRESSORS] + [(EXPONENTIAL, Key(n, r)) for r in range(8)]
    for (c, key), dtype in itertools.product(rounds, DTYPES):
        facts = torch.finfo(dtype)
        top = min(facts.max, torch.finfo(torch.float32).max)
        for size in (top, facts.smallest_normal / 64):
            X = at_an_end(n, size, dtype)
            try:
                expected = c.mean(X if dtype in DTYPES[:2] else X.float(), key=key).to(dtype)
                expected = expected if expected.isfinite().all() else None
            except ValueError:
                expected = None
            for strategy in filter(lambda name: suits(c, name), STRATEGIES):
                try:
                    found = mean(X[rank], compressor=c, key=key, strategy=strategy)
                except GroupError:
                    found = None
                kinds.add((dtype, found is None))
                refused = {expected is None, found is None}
                if refused == {False, True} or (
                    refused == {False} and not same_bits(found, expected)
                ):
                    wrong.append(f"{c} {strategy} {dtype} {size}: {found}, {expected}")
    return wrong, kinds


def refused_in_place(rank, n):
    """Return vectors before and after means that are refused, written over the vectors."""
    c, found = make("standard_dithering", s=1), []
    for strategy in ("all_gather", "two_shot"):
        x = torch.tensor([3.004e38, 1.588e38], dtype=torch.bfloat16)
        before = x.clone()
        try:
            mean(x, compressor=c, key=Key(1), strategy=strategy, out=x)
        except GroupError as error:
            found.append((str(error), same_bits(x, before)))
    return found


def test_a_refused_mean_leaves_out_as_it_is():
    said = ("the mean exceeds the largest bfloat16", True)
    assert on_ranks(2, refused_in_place) == [[said] * 2] * 2


def test_means_at_the_ends_of_the_range_are_those_of_the_simulator():
    for wrong, kinds in on_ranks(3, ends):
        assert wrong == []
        assert len(kinds) == 2 * len(DTYPES)
