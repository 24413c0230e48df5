"""A wrong argument on one process is an error on all of them, at once; the next mean works."""

import re
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from cqbook.network.processes import on_ranks
from cqlib import Key
from cqlib.compressors import make
from cqlib.distributed import mean
from tests.helpers import same_bits

pytestmark = pytest.mark.slow

BUDGET = 2.0  # seconds
X = torch.arange(12.0).reshape(3, 4)
Wrong = dict[str, Any]


def fake() -> Tensor:
    with FakeTensorMode():
        return torch.ones(3, 4)


def nested() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def distributed() -> Tensor:
    from torch.distributed.tensor import DeviceMesh, DTensor

    mesh = DeviceMesh("cpu", [0, 1], _init_backend=False)
    return DTensor.from_local(X.clone(), mesh, run_check=False)


class Units(Tensor):
    """A tensor that refuses almost every function of torch."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"Units does not support {func}")


def units() -> Tensor:
    return X.clone().as_subclass(Units)


def freed() -> Tensor:
    """A tensor whose memory was given back, as FSDP does it."""
    x = X.clone()
    x.untyped_storage().resize_(0)
    return x


def of_inference() -> Tensor:
    with torch.inference_mode():
        return torch.zeros(3, 4)


def out(value: Any) -> Wrong:
    return {"out": value}


# Name: a function that returns changed arguments, and a part of the error of the process that has
# them.
WRONG: dict[str, tuple[Callable[[], Wrong], str]] = {
    # x
    "integers": (lambda: {"x": X.int()}, "floats, got torch.int32"),
    "complex": (lambda: {"x": X.cfloat()}, "floats, got torch.complex64"),
    "float8": (lambda: {"x": X.to(torch.float8_e5m2)}, "floats, got torch.float8_e5m2"),
    "sparse": (lambda: {"x": X.to_sparse()}, "dense tensor, as .*, got torch.sparse_coo"),
    "csr": (lambda: {"x": X.to_sparse_csr()}, "dense tensor, .* got torch.sparse_csr"),
    "nested": (lambda: {"x": nested()}, "dense tensor, .* got nested"),
    "meta": (lambda: {"x": X.to("meta")}, "x is on the meta device, where tensors have no val"),
    "fake": (lambda: {"x": fake()}, "plain tensor, got a FakeTensor"),
    "units": (lambda: {"x": units()}, "plain tensor, got a Units"),
    "out: units": (lambda: out(units()), "out must be a plain tensor, got a Units"),
    "out: overlapping": (
        lambda: out(torch.zeros(6).as_strided((3, 4), (1, 1))),
        "coordinates share memory",
    ),
    "DTensor": (
        lambda: {"x": distributed()},
        r"part on this process, .to_local\(\), got a DT",
    ),
    "empty": (lambda: {"x": X[:0]}, r"one or more coordinates, got shape \(0, 4\)"),
    "freed": (lambda: {"x": freed()}, "the memory of x was freed"),
    "out: freed": (lambda: out(freed()), "the memory of out was freed"),
    "out: inference": (lambda: out(of_inference()), "out was made in inference mode"),
    "other shape": (lambda: {"x": X.reshape(4, 3)}, "not all ranks have the same arguments"),
    "list": (lambda: {"x": [1.0]}, "x must be a tensor, got list"),
    "array": (lambda: {"x": X.numpy()}, "x must be a tensor, got ndarray"),
    "other d": (lambda: {"x": X[:2]}, "not all ranks have the same arguments"),
    "other dtype": (lambda: {"x": X.double()}, "not all ranks have the same arguments"),
    # compressor and key
    "name": (
        lambda: {"compressor": "cq"},
        "compressor must be a Compressor, as make gives, got ",
    ),
    "class": (lambda: {"compressor": type(make("cq"))}, "compressor must be a Compressor"),
    "other compressor": (lambda: {"compressor": make("iq")}, "not all ranks have the same argum"),
    "seed": (lambda: {"key": 5}, "key must be a Key, got 5"),
    "no key": (lambda: {"key": None}, "key must be a Key, got None"),
    "other key": (lambda: {"key": Key(0, 10**6)}, "not all ranks have the same arguments"),
    # out
    "out: dtype": (lambda: out(X.double()), "out must be torch.float32 of shape"),
    "out: shape": (lambda: out(X.reshape(4, 3)), r"out must be .*, got .* of shape \(4, 3\)"),
    "out: sparse": (lambda: out(X.to_sparse()), "out must be a dense tensor"),
    "out: meta": (lambda: out(X.to("meta")), "out is on the meta device"),
    "out: list": (lambda: out([0.0]), "out must be a tensor, got list"),
    "out: expanded": (lambda: out(X[:, :1].expand(3, 4)), "coordinates share memory"),
    "out: fake": (lambda: out(fake()), "out must be a plain tensor, got a FakeTensor"),
    # strategy, second, link
    "strategy": (lambda: {"strategy": "ring"}, "unknown strategy 'ring'"),
    "no text": (lambda: {"strategy": ["tree"]}, r"unknown strategy \['tree'\]"),
    "tree": (lambda: {"strategy": "tree"}, "tree needs messages that add up as powers"),
    "other strategy": (lambda: {"strategy": "two_shot"}, "not all ranks have the same argum"),
    "second": (lambda: {"second": "iq"}, "second must be a Compressor"),
    "second of all": (lambda: {"second": make("global_qsgd")}, "second must compress one vector a"),
    "second, gathered": (
        lambda: {"second": make("iq"), "strategy": "all_gather"},
        "second needs the strategy two_shot",
    ),
    "other second": (lambda: {"second": make("iq")}, "not all ranks have the same argum"),
    "link": (lambda: {"link": 1e9}, "link must be a Link, got 1000000000.0"),
}


def called(given: Wrong, k: int) -> tuple[str, str, float]:
    """Return the error's name, its text, and the seconds until it was raised."""
    arguments = {"x": X.clone(), "compressor": make("cq"), "key": Key(0, k)} | given
    started = time.monotonic()
    try:
        mean(arguments.pop("x"), **arguments)
    except Exception as error:
        return type(error).__name__, str(error), time.monotonic() - started
    return "", "", time.monotonic() - started


def one_wrong(rank: int, n: int) -> list[tuple[str, str, float, bool]]:
    mean(X.clone(), compressor=make("cq"), key=Key(1))  # compiles
    expected = make("cq").mean(torch.stack([X.reshape(-1)] * 2), key=Key(1))
    found = []
    for k, (change, _) in enumerate(WRONG.values()):
        said = called(change() if rank == k % 2 else {}, k)
        after = mean(X.clone(), compressor=make("cq"), key=Key(1))
        found.append((*said, same_bits(after.reshape(-1), expected)))
    return found


def test_a_wrong_argument_on_one_process_reaches_both() -> None:
    ranks = on_ranks(2, one_wrong, seconds=20)
    for k, (name, (_, told)) in enumerate(WRONG.items()):
        (kind, said, seconds, works), (other, heard, later, also) = (
            ranks[k % 2][k],
            ranks[1 - k % 2][k],
        )
        differ = told.startswith("not all ranks")
        assert kind == ("PayloadError" if differ else "ValueError"), (name, kind, said)
        assert re.search(told, said), (name, said)
        assert other == "PayloadError" and "not all ranks have the same arguments" in heard, (
            name,
            heard,
        )
        assert seconds < BUDGET and later < BUDGET, (name, seconds, later)
        assert works and also, name


def all_wrong(rank: int, n: int) -> list[tuple[str, str, float]]:
    return [called(change(), k) for k, (change, _) in enumerate(WRONG.values())]


def test_the_same_wrong_argument_everywhere_is_the_same_error() -> None:
    (first, second) = on_ranks(2, all_wrong, seconds=20)
    for name, (a, told), (b, also) in zip(
        WRONG, (x[:2] for x in first), (x[:2] for x in second), strict=True
    ):
        differ = WRONG[name][1].startswith("not all ranks")
        assert a == b == ("" if differ else "ValueError") and told == also, name


def other_version(rank: int, n: int, place: str) -> tuple[str, str, float]:
    mean(X.clone(), compressor=make("cq"), key=Key(1))  # compiles
    if rank:
        setattr(sys.modules["cqlib.distributed.mean"], place, "0.0.1")
    return called({}, 0)


@pytest.mark.parametrize("place", ["__version__", "LAYOUT"])
def test_versions_are_compared(place: str) -> None:
    for rank, (kind, told, seconds) in enumerate(on_ranks(2, other_version, place, seconds=20)):
        assert kind == "PayloadError" and seconds < BUDGET
        assert ("0.0.1" in told) == (rank == 1), told


def failing(rank: int, n: int) -> list[tuple[str, str, float]]:
    """An error of one process while it encodes, such as of memory."""
    from cqlib.compressors import wire

    original = wire.write

    def write(*arguments: Any) -> Any:
        if rank:
            raise MemoryError("no more")
        return original(*arguments)

    wire.write = write
    ways = [("cq", "all_gather"), ("cq", "two_shot"), ("global_qsgd", "all_gather")]
    given = [{"compressor": make(name), "strategy": strategy} for name, strategy in ways]
    return [called(each, k) for k, each in enumerate(given)]


def test_any_error_while_encoding_reaches_all() -> None:
    ranks = on_ranks(2, failing, seconds=20)
    for (kind, told, seconds), (own, _, also) in zip(*ranks, strict=True):
        assert kind == "NotEncodedError" and "rank 1 could not encode" in told
        assert own == "MemoryError" and seconds < BUDGET and also < BUDGET


def test_a_transformed_tensor_is_refused() -> None:
    """Inside torch.vmap a tensor has no memory of its own, although its type says Tensor."""
    with pytest.raises(ValueError, match=r"x has no memory of its own, as in torch\.vmap"):
        torch.vmap(lambda x: mean(x, compressor=make("cq"), key=Key(0)))(X)


def test_a_view_that_negates_is_a_usual_vector() -> None:
    negated = torch._neg_view(X)
    plain, out = -X, torch._neg_view(torch.zeros(3, 4))
    expected = mean(plain, compressor=make("cq"), key=Key(0))
    assert torch.equal(mean(negated, compressor=make("cq"), key=Key(0)), expected)
    mean(plain, compressor=make("cq"), key=Key(0), out=out)
    assert torch.equal(out, expected)
