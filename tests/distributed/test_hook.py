"""The communication hook under DistributedDataParallel, on real processes."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cqbook.network.processes import on_ranks
from cqlib import Key
from cqlib.compressors import make
from cqlib.distributed import DDPHook
from tests.helpers import same_bits

pytestmark = pytest.mark.slow

WIDE = 64


class Recorder(DDPHook):
    """A hook that records its inputs and outputs."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen = []

    def __call__(self, state, bucket):
        x, step, index = bucket.buffer().clone(), self.step, bucket.index()
        future = super().__call__(state, bucket)
        self.seen.append((step, index, len(bucket.parameters()), x, future.value().clone()))
        return future


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = [nn.Linear(8, WIDE), nn.Tanh(), nn.Linear(WIDE, WIDE), nn.Tanh(), nn.Linear(WIDE, 1)]
    return nn.Sequential(*layers).to(dtype)


def batch(rank, step, dtype=torch.float32):
    generator = torch.Generator().manual_seed(100 * rank + step)
    return torch.randn(16, 8, generator=generator).to(dtype)


def train(model, rank, steps, dtype=torch.float32, first=0, scale=1.0):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(first, first + steps):
        optimizer.zero_grad()
        x = batch(rank, step, dtype)
        (scale * ((model(x) - x.sum(dim=1, keepdim=True)) ** 2).mean()).backward()
        optimizer.step()


def wrapped(hook, state=None, dtype=torch.float32):
    # A bucket holds about one layer, so that there are several after the rebuild.
    model = DistributedDataParallel(network(dtype), bucket_cap_mb=0.004)
    model.register_comm_hook(state, hook)
    return model


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


# --- what it returns -----------------------------------------------------------------------------


def recorded(rank, n, dtype):
    hook = Recorder(make("cq"), seed=7)
    model = wrapped(hook, dtype=dtype)
    train(model, rank, 4, dtype)
    return hook.seen, weights(model), hook.step, hook.sent_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_buckets_get_the_mean_of_the_simulator_through_the_rebuild(dtype):
    ranks = on_ranks(3, recorded, dtype)
    (seen, final, steps, sent), *others = ranks
    assert steps == 4 and sent > 0
    assert all(same_bits(final, other[1]) for other in others)
    buckets = [sum(step == s for step, *_ in seen) for s in range(4)]
    assert buckets[0] != buckets[1] == buckets[2] == buckets[3] > 1  # there was a rebuild
    for k, (step, index, _, _, mean) in enumerate(seen):
        X = torch.stack([other[0][k][3] for other in ranks])
        key = Key(7, step).fold(index)
        assert same_bits(mean, make("cq").mean(X.float(), key=key).to(dtype))
    assert len({(step, index) for step, index, *_ in seen}) == len(seen)


def whole(rank, n):
    model, plain = wrapped(DDPHook(make("identity"), seed=0)), DistributedDataParallel(network())
    train(model, rank, 5)
    train(plain, rank, 5)
    return weights(model), weights(plain)


def test_without_compression_it_is_plain_ddp():
    for model, plain in on_ranks(2, whole):
        torch.testing.assert_close(model, plain, rtol=1e-5, atol=1e-6)


# --- accumulation, groups, overflow --------------------------------------------------------------


def accumulated(rank, n):
    hook = Recorder(make("iq"), seed=1)
    model = wrapped(hook)
    for k in range(3):
        with model.no_sync():
            model(batch(rank, k)).square().mean().backward()
    without = len(hook.seen)
    model(batch(rank, 3)).square().mean().backward()
    total = network()
    for k in range(4):
        total(batch(rank, k)).square().mean().backward()
    own = torch.cat([p.grad.reshape(-1) for p in reversed(list(total.parameters()))])
    sent = torch.cat([x for _, _, _, x, _ in hook.seen])
    return without, hook.step, torch.allclose(own.sort()[0], sent.sort()[0], atol=1e-6)


def test_gradients_are_accumulated_before_they_are_sent():
    assert on_ranks(2, accumulated) == [(0, 1, True)] * 2


def two_groups(rank, n):
    groups = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    group = groups[rank // 2]
    hook = Recorder(make("cq"), seed=rank // 2)
    model = DistributedDataParallel(network(), process_group=group)
    model.register_comm_hook(group, hook)
    train(model, rank, 2)
    return hook.seen, weights(model)


def test_several_process_groups():
    ranks = on_ranks(4, two_groups)
    for pair, seed in ((ranks[:2], 0), (ranks[2:], 1)):
        assert same_bits(pair[0][1], pair[1][1])
        for k, (step, index, _, _, mean) in enumerate(pair[0][0]):
            X = torch.stack([seen[k][3] for seen, _ in pair])
            assert same_bits(mean, make("cq").mean(X, key=Key(seed, step).fold(index)))
    assert not same_bits(ranks[0][1], ranks[2][1])


def overflowing(rank, n):
    hook = DDPHook(make("cq"), seed=0)
    model = wrapped(hook)
    scale = float("inf") if rank == 1 else 1.0
    train(model, rank, 1, scale=scale)
    return bool(torch.isnan(weights(model)).any()), hook.step


def test_an_overflow_on_one_reaches_all_as_nan():
    assert on_ranks(2, overflowing) == [(True, 1)] * 2


# --- state ---------------------------------------------------------------------------------------


def resumed(rank, n, feedback):
    def fresh():
        c = make("top_k", k=8) if feedback else make("cq")
        return DDPHook(c, seed=3, error_feedback=feedback)

    hook = fresh()
    model = wrapped(hook)
    train(model, rank, 3)
    kept = {"hook": hook.state_dict(model.module)}
    kept["model"] = {name: value.clone() for name, value in model.module.state_dict().items()}
    train(model, rank, 3, first=3)
    again = fresh()
    other = wrapped(again)
    train(other, rank, 2)  # DDP rebuilds its buckets after the first step
    other.module.load_state_dict(kept["model"])
    again.load_state_dict(kept["hook"], other.module)
    train(other, rank, 3, first=3)
    return weights(model), weights(other), again.step


@pytest.mark.parametrize("feedback", [False, True])
def test_a_run_goes_on_where_its_state_was_taken(feedback):
    for straight, again, step in on_ranks(2, resumed, feedback):
        assert step == 6
        assert same_bits(again, straight)


def fed_back(rank, n):
    hook = Recorder(make("top_k", k=1), seed=0, error_feedback=True)
    model = DistributedDataParallel(nn.Linear(6, 1, bias=False))
    model.register_comm_hook(None, hook)
    with torch.no_grad():
        model.module.weight.zero_()
    for _ in range(12):
        model.zero_grad()
        (model(torch.arange(1.0, 7.0)[None]) * 1.0).sum().backward()
    return torch.stack([mean for *_, mean in hook.seen]).sum(dim=0)


def test_errors_that_are_fed_back_arrive_in_the_end():
    # The gradient is (1, ..., 6) in each of 12 rounds, and one entry a round is sent.
    total = on_ranks(2, fed_back)[0]
    assert (total > 0).sum() >= 5
    assert float(total.sum()) > 12 * 21 - 6 * 21


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"compressor": "IQ()"}, "compressor"),
        ({"second": "IQ()"}, "second"),
        ({"seed": 1}, "seed"),
        ({"step": -1}, "must have a step, an integer from 0 on, got -1"),
        ({"step": None}, "must have a step"),
        ({"errors": {}}, "error_feedback"),
    ],
)
def test_a_state_of_another_hook_is_refused(state, message):
    hook = DDPHook(make("cq"), seed=0)
    with pytest.raises(ValueError, match=message):
        hook.load_state_dict(hook.state_dict() | state)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="seed must be"):
        DDPHook(make("cq"), seed=-1)
    with pytest.raises(ValueError, match="compressor must be a Compressor"):
        DDPHook("cq", seed=0)
    with pytest.raises(ValueError, match="tree needs messages that add up as powers"):
        DDPHook(make("cq"), seed=0, strategy="tree")
    with pytest.raises(ValueError, match="second needs the strategy two_shot, not"):
        DDPHook(make("cq"), seed=0, strategy="all_gather", second=make("iq"))
    with pytest.raises(ValueError, match="second must be a Compressor, as make gives, got 'iq'"):
        DDPHook(make("cq"), seed=0, second="iq")
    with pytest.raises(ValueError, match="second must compress one vector alone"):
        DDPHook(make("cq"), seed=0, second=make("global_qsgd"))
    with pytest.raises(ValueError, match="unknown strategy 'ring'"):
        DDPHook(make("cq"), seed=0, strategy="ring")
    with pytest.raises(ValueError, match="no error to feed back"):
        DDPHook(make("global_qsgd"), seed=0, error_feedback=True)
    with pytest.raises(ValueError, match="give the model"):
        DDPHook(make("top_k"), seed=0, error_feedback=True).state_dict()
