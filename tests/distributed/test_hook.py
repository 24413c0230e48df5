"""The communication hook under DistributedDataParallel, on real processes."""

import copy
import os
import pickle
from functools import partial

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
        ({"step": -1}, "must have a step, an integer in .0, 2.63., got -1"),
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


# --- inputs that DDP takes -----------------------------------------------------------------------


class Mixed(nn.Module):
    """Complex, channels-last, sliced, 0-dimensional and empty parameters in one model."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.complex = nn.Parameter(torch.randn(2, 3, dtype=torch.complex64))
        self.conv = nn.Conv2d(2, 3, 2).to(memory_format=torch.channels_last)
        self.sliced = nn.Parameter(torch.randn(4, 6)[:, ::2])
        self.number = nn.Parameter(torch.tensor(2.0))
        self.empty = nn.Parameter(torch.empty(0, 4, dtype=torch.float64))

    def forward(self, x):
        image = self.conv(x.reshape(1, 2, 2, 2).contiguous(memory_format=torch.channels_last))
        rest = self.complex.abs().square().sum() + (self.sliced * x.reshape(4, 2)[:, :1]).sum()
        return (image.square().sum() + rest) * self.number + self.empty.sum()


def flat_gradients(model):
    return torch.cat([torch.view_as_real(p.grad.cfloat()).reshape(-1) for p in model.parameters()])


def mixed(rank, n, make_hook):
    """Return the gradients of some steps with a hook, and without."""
    found = []
    for hook in (make_hook(), None):
        model = DistributedDataParallel(Mixed(), bucket_cap_mb=0.0001)
        if hook is not None:
            model.register_comm_hook(None, hook)
        steps = []
        for step in range(4):
            model.zero_grad()
            generator = torch.Generator().manual_seed(10 * rank + step)
            model(torch.randn(8, generator=generator)).backward()
            steps.append(flat_gradients(model.module))
        found.append(torch.stack(steps))
    return found


def identity_with_errors():
    return DDPHook(make("identity"), seed=0, error_feedback=True)


def largest_three():
    return DDPHook(make("top_k", k=3), seed=0, error_feedback=True)


def identity():
    return DDPHook(make("identity"), seed=0)


@pytest.mark.parametrize("make_hook", [identity, identity_with_errors])
def test_parameters_of_any_kind_are_those_of_plain_ddp(make_hook):
    for with_hook, plain in on_ranks(2, mixed, make_hook):
        torch.testing.assert_close(with_hook, plain, rtol=1e-5, atol=1e-6)


def kept_and_owed(rank, n):
    """Return by name the errors that are kept after one step, and this process's own gradients."""
    x = torch.randn(8, generator=torch.Generator().manual_seed(rank))
    hook, plain = largest_three(), Mixed()
    model = DistributedDataParallel(Mixed(), bucket_cap_mb=0.0001)
    model.register_comm_hook(None, hook)
    model(x).backward()
    plain(x).backward()
    kept = hook.state_dict(model.module)["errors"]
    return {name: (kept.get(name), p.grad) for name, p in plain.named_parameters()}


def test_kept_errors_belong_to_their_own_coordinates():
    """After a step the error of a coordinate is its gradient, or 0 if that was sent."""
    for found in on_ranks(2, kept_and_owed):
        sent = 0
        for name, (error, gradient) in found.items():
            if name == "empty":
                assert error is None
                continue
            assert error.shape == gradient.shape
            if error.is_complex():  # the two parts of an entry are sent one by one
                error, gradient = torch.view_as_real(error), torch.view_as_real(gradient)
            assert ((error == gradient) | (error == 0)).all(), name
            sent += int((error != gradient).sum())
        assert sent > 0


def sparse(rank, n, feedback):
    hook = DDPHook(make("top_k", k=1) if feedback else make("cq"), seed=0, error_feedback=feedback)
    found = []
    for chosen in (hook, None):
        torch.manual_seed(0)
        bag = nn.EmbeddingBag(5, 2, sparse=True, mode="sum")
        model = DistributedDataParallel(nn.Sequential(bag, nn.Linear(2, 1)))
        if chosen is not None:
            model.register_comm_hook(None, chosen)
        model(torch.tensor([[rank, 1 + rank]])).sum().backward()
        model.zero_grad()
        model(torch.tensor([[rank, 1 + rank]])).sum().backward()
        found.append(bag.weight.grad.to_dense())
    return (*found, hook.step, hook.sent_bytes)


@pytest.mark.parametrize("feedback", [False, True])
def test_sparse_gradients_are_added_up_as_without_a_hook(feedback):
    for with_hook, plain, step, sent in on_ranks(2, sparse, feedback):
        torch.testing.assert_close(with_hook, plain)
        assert step == 2 and sent > 2 * (2 * 8 + 4 * 4)  # two indices and four values


# --- gradient scalers, copies --------------------------------------------------------------------


class Slope(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(4))

    def forward(self):
        return (self.w * torch.tensor([4.0, 3.0, 2.0, 1.0])).sum()


def scaled(rank, n, known, factors, interval):
    """Return what each step of SGD subtracts; a factor of inf is an overflow."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=interval)
    model = DistributedDataParallel(Slope())
    hook = DDPHook(
        make("top_k", k=1), seed=0, error_feedback=True, scaler=scaler if known else None
    )
    model.register_comm_hook(None, hook)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    steps = []
    for factor in factors:
        optimizer.zero_grad()
        before = model.module.w.detach().clone()
        scaler.scale(model() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        steps.append(before - model.module.w.detach())
    return torch.stack(steps), scaler.get_scale()


@pytest.mark.parametrize("known", [False, True])
def test_nothing_more_than_is_owed_arrives_after_an_overflow(known):
    """One entry a step; errors of other units would bring 9 of the 6 that are owed."""
    inf = float("inf")
    for steps, scale in on_ranks(2, scaled, known, [1.0, inf, 1.0, 1.0], 2000):
        assert scale == 2.0**15
        owed = torch.tensor([4.0, 3.0, 2.0, 1.0]) * torch.tensor([1.0, 1.0, 2.0, 3.0])[:, None]
        assert (steps.cumsum(dim=0) <= owed).all()
        assert steps[1].abs().sum() == 0 and steps[3].tolist() == [0, 6, 0, 0]


def test_errors_stay_right_when_the_scale_grows():
    """The scaler doubles its scale after each step; the entries arrive as without a scaler."""
    for steps, scale in on_ranks(2, scaled, True, [1.0, 1.0, 1.0, 1.0], 1):
        assert scale == 2.0**20
        assert steps.tolist() == [[4, 0, 0, 0], [0, 6, 0, 0], [8, 0, 0, 0], [0, 0, 8, 0]]


def test_small_errors_of_16_bits_survive_without_the_scale():
    hook = DDPHook(
        make("top_k", k=1), seed=0, error_feedback=True, scaler=torch.amp.GradScaler("cpu")
    )
    p = nn.Parameter(torch.zeros(3, dtype=torch.float16))
    errors = torch.tensor([0.01, -3e-4, 7.0], dtype=torch.float16)
    hook._keep([p], errors)
    assert same_bits(hook._fed_back([p], errors), errors)


def test_errors_in_other_units_are_refused():
    model, options = Slope(), {"seed": 0, "error_feedback": True}
    plain = DDPHook(make("top_k", k=1), **options)
    other = DDPHook(make("top_k", k=1), **options, scaler=torch.amp.GradScaler("cpu"))
    for saved, loading in ((plain, other), (other, plain)):
        with pytest.raises(ValueError, match="only one hook has a scaler"):
            loading.load_state_dict(saved.state_dict(model), model)


def copied(rank, n):
    hook = DDPHook(make("top_k", k=1), seed=0, error_feedback=True)
    copy.deepcopy(hook), pickle.dumps(hook)  # no errors yet
    model = DistributedDataParallel(Slope())
    model.register_comm_hook(None, hook)
    model().backward()
    refused = []
    for copies in (
        copy.deepcopy,
        copy.copy,
        pickle.dumps,
        partial(torch.save, f=os.devnull),
    ):
        with pytest.raises(ValueError, match="keep hook.state_dict"):
            copies(hook)
        refused.append(True)
    plain = DDPHook(make("cq"), seed=3)
    plain.step = 5
    again = [copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))]
    return refused, [(each.step, each.state_dict() == plain.state_dict()) for each in again]


def test_copies_that_would_lose_errors_are_refused():
    for refused, again in on_ranks(2, copied):
        assert refused == [True] * 4 and again == [(5, True)] * 2


def test_a_copy_would_have_another_scaler():
    hook = DDPHook(make("cq"), seed=0, scaler=torch.amp.GradScaler("cpu"))
    for copies in (copy.deepcopy, copy.copy, partial(torch.save, f=os.devnull)):
        with pytest.raises(ValueError, match="a copy would be another"):
            copies(hook)


def test_a_copy_has_kept_errors_of_its_own():
    hook = DDPHook(make("top_k", k=1), seed=0, error_feedback=True)
    assert copy.copy(hook)._errors is not hook._errors
