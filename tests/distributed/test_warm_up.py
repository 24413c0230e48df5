"""Nothing is compiled between the collectives of a mean."""

import importlib
import itertools
import pkgutil

import pytest
import torch

from cqbook.network.processes import on_ranks
from cqlib import Key
from cqlib.compressors import make
from cqlib.distributed import exchange, warm_up
from cqlib.distributed.strategies import STRATEGIES
from cqlib.kernels.cpu import compiled
from tests.distributed.test_distributed import COMPRESSORS, DTYPES, affordable, suits, vectors

pytestmark = pytest.mark.slow


def machine_code():
    """Return names and argument types of all compiled functions of this process."""
    modules = [
        importlib.import_module(f"{compiled.__name__}.{module.name}")
        for module in pkgutil.iter_modules(compiled.__path__)
    ]
    functions = {id(f): f for module in modules for f in vars(module).values()}
    return {
        (f.__name__, str(signature))
        for f in functions.values()
        if hasattr(f, "signatures") and f._cache is not None
        for signature in f.signatures
    }


def compiled_late(rank, n, d):
    """Return what an exchange compiled although it was warmed up, and the size of the code."""
    late = []
    for c, dtype in itertools.product(COMPRESSORS, DTYPES):
        X = vectors(n, affordable(c, d), dtype)
        for strategy in filter(lambda name: suits(c, name), STRATEGIES):
            for second in (None, make("drive"), make("standard_dithering")):
                if second is not None and (strategy != "two_shot" or c.name == "identity"):
                    continue
                how = {"strategy": strategy, "d": X.shape[1], "n": n, "dtype": dtype}
                warm_up.warm_up(c, second, **how, device=torch.device("cpu"))
                before = machine_code()
                exchange(X[rank], compressor=c, key=Key(1), strategy=strategy, second=second)
                late += [(f"{c} {second}", *how.values(), *f) for f in machine_code() - before]
    return late, len(machine_code())


@pytest.mark.parametrize(("n", "d"), [(3, 40_001)])
def test_an_exchange_compiles_nothing_between_its_collectives(n, d):
    for late, count in on_ranks(n, compiled_late, d):
        assert late == []
        assert count > 30


def test_a_second_compressor_of_exact_sums_of_powers_is_warmed_up(monkeypatch):
    second, read = make("cq"), []
    monkeypatch.setattr(warm_up, "_done", set())
    monkeypatch.setattr(warm_up.wire, "read", lambda c, *_: read.append(c))
    c = make("global_qsgd", levels="exponential", reduction="sum")
    how = {"strategy": "two_shot", "d": 4, "n": 2, "dtype": torch.float32}
    warm_up.warm_up(c, second, **how, device=torch.device("cpu"))
    assert second in read and c in read


def test_what_cannot_be_encoded_is_left_to_the_mean():
    c = make("permk_cq", b=3)  # not for this number of clients
    how = {"strategy": "all_gather", "d": 4, "n": 2, "dtype": torch.float32}
    warm_up.warm_up(c, None, **how, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="3"):
        c.bits(4, 2)


def test_it_happens_once(monkeypatch):
    calls = []
    monkeypatch.setattr(warm_up, "_done", set())
    monkeypatch.setattr(warm_up.wire, "mean", lambda *args: calls.append(args))
    how = {"strategy": "all_gather", "n": 2, "dtype": torch.float32}
    for d in (10, 10, 2**20, 2**21, 2**15 + 3):
        warm_up.warm_up(make("cq"), None, **how, d=d, device=torch.device("cpu"))
    assert [args[2] for args in calls] == [10, 10, 2**15 + 3, 2**15 + 3]
