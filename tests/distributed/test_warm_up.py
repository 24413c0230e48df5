"""Nothing is compiled between the messages of a mean, and nobody gives up who compiles."""

import importlib
import itertools
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest
import torch

from cqbook.network.processes import on_ranks
from cqlib import Key, data, problems
from cqlib.compressors import make
from cqlib.distributed import exchange, mean, warm_up
from cqlib.distributed.collectives import Group
from cqlib.distributed.marina.run import Settings, run
from cqlib.distributed.strategies import STRATEGIES
from cqlib.kernels.caches import compiled as caches
from cqlib.kernels.cpu import compiled
from cqlib.payload import PayloadError
from tests.distributed.test_distributed import COMPRESSORS, DTYPES, affordable, suits, vectors

pytestmark = pytest.mark.slow


def compiled_functions():
    """Return the compiled functions of this process."""
    modules = [
        importlib.import_module(f"{compiled.__name__}.{module.name}")
        for module in pkgutil.iter_modules(compiled.__path__)
    ]
    functions = {id(f): f for module in modules for f in vars(module).values()}
    return [f for f in functions.values() if hasattr(f, "signatures") and f._cache is not None]


def machine_code():
    """Return names and argument types of all machine code of this process."""
    return {(f.__name__, str(types)) for f in compiled_functions() for types in f.signatures}


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
                warm_up.warm_up(c, second, **how, device=torch.device("cpu")).join()
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
    monkeypatch.setattr(warm_up, "_compilations", {})
    monkeypatch.setattr(warm_up.wire, "read", lambda c, *_: read.append(c))
    c = make("global_qsgd", levels="exponential", reduction="sum")
    how = {"strategy": "two_shot", "d": 4, "n": 2, "dtype": torch.float32}
    warm_up.warm_up(c, second, **how, device=torch.device("cpu")).join()
    assert second in read and c in read


def test_what_cannot_be_encoded_is_left_to_the_mean():
    c = make("permk_cq", b=3)  # not for this number of clients
    how = {"strategy": "all_gather", "d": 4, "n": 2, "dtype": torch.float32}
    warm_up.warm_up(c, None, **how, device=torch.device("cpu")).join()
    with pytest.raises(ValueError, match="3"):
        c.bits(4, 2)


def test_it_happens_once(monkeypatch):
    calls = []
    monkeypatch.setattr(warm_up, "_compilations", {})
    monkeypatch.setattr(warm_up.wire, "mean", lambda *args: calls.append(args))
    how = {"strategy": "all_gather", "n": 2, "dtype": torch.float32}
    for d in (10, 10, 2**20, 2**21, 2**15 + 3):
        warm_up.warm_up(make("cq"), None, **how, d=d, device=torch.device("cpu")).join()
    assert [args[2] for args in calls] == [10, 10, 2**15 + 3, 2**15 + 3]


# --- a process that compiles, and the others ------------------------------------------------------


def first_mean_while_a_rank_compiles(rank, n):
    """Return a mean, its seconds and bytes; rank 1 compiles for longer than the group waits."""
    if rank == 1:
        warm_up._compile = lambda *_: time.sleep(4)
    start = time.perf_counter()
    x = torch.tensor([1.0, 2.0 + rank])
    found = exchange(x, compressor=make("identity"), key=Key(1))
    seconds = time.perf_counter() - start
    again = exchange(x, compressor=make("identity"), key=Key(1))
    return found.mean, seconds, found.sent_bytes, again.sent_bytes


def test_a_process_that_compiles_for_longer_than_the_time_limit_is_waited_for():
    for found, seconds, sent, later in on_ranks(3, first_mean_while_a_rank_compiles, seconds=1.5):
        assert found.tolist() == [1.0, 3.0]
        assert seconds > 3.5
        assert sent == later


def first_run_without_machine_code(rank, n):
    """Return the trajectory of MARINA; rank 1 compiles everything anew."""
    if rank == 1:
        caches.readable = lambda sources: []
        caches.writable = lambda sources: None
    problem = problems.logistic(data.load("breast_cancer"), n_clients=n, reg=0.1)
    settings = Settings(
        make("cq", ranks="permutation", levels=3), p=0.2, stepsize=0.3, rounds=6, seed=5
    )
    found = run(problem, settings, group=Group(), facts={}).rows
    kernels = [f for f in compiled_functions() if f.signatures]
    return found, sum(f.stats.cache_hits.total() for f in kernels), len(kernels)


def test_a_process_without_machine_code_does_not_end_a_run():
    (warm, loaded, _), (cold, hits, kernels) = on_ranks(
        2, first_run_without_machine_code, seconds=3
    )
    assert torch.equal(warm, cold)
    assert hits == 0 < loaded and kernels > 5


def other_arguments_while_a_rank_compiles(rank, n):
    """Return the errors of a first call, their seconds, and the mean that follows."""
    if rank == 1:
        warm_up._compile = lambda *_: time.sleep(3)
    c, said = make("identity"), []
    for wrong in ({"key": Key(7 + rank)}, {"key": Key(1)} if rank else {"key": "a key"}):
        start = time.perf_counter()
        try:
            mean(torch.ones(2), compressor=c, **wrong)
        except (PayloadError, ValueError) as error:
            said.append((type(error).__name__, time.perf_counter() - start))
    return said, mean(torch.ones(2), compressor=c, key=Key(1))


def test_other_arguments_are_told_while_a_process_compiles():
    expected = (["PayloadError", "ValueError"], ["PayloadError", "PayloadError"])
    for (said, found), names in zip(
        on_ranks(2, other_arguments_while_a_rank_compiles, seconds=1.5), expected, strict=True
    ):
        assert [name for name, _ in said] == names
        assert all(seconds < 2 for _, seconds in said)
        assert found.tolist() == [1.0, 1.0]


# --- threads, Ctrl-C, forks, warnings -------------------------------------------------------------

HOW = {"strategy": "all_gather", "d": 4, "n": 2, "dtype": torch.float32}


def compilation(c="cq"):
    return warm_up.warm_up(make(c), None, **HOW, device=torch.device("cpu"))


@pytest.fixture
def slow(monkeypatch):
    """Let a compilation last until the event is set; the list counts them."""
    go, begun = threading.Event(), []
    monkeypatch.setattr(warm_up, "_compilations", {})
    monkeypatch.setattr(warm_up, "_compile", lambda *_: (begun.append(1), go.wait(60)))
    yield go, begun
    go.set()


def test_threads_that_come_at_once_wait_for_one_compilation(slow):
    go, begun = slow
    found, ready = [], threading.Barrier(16)

    def come():
        ready.wait()
        each = compilation()
        found.append((each, each.goes_on))

    threads = [threading.Thread(target=come) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each) for each, _ in found}) == 1 and all(busy for _, busy in found)
    go.set()
    found[0][0].wait(10)
    assert not found[0][0].goes_on and begun == [1]


def test_a_compilation_goes_on_after_an_interrupt(slow):
    each = compilation()
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1))

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            each.wait(30)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert each.goes_on and compilation() is each


def test_a_fork_waits_for_the_compilation(slow):
    go, _ = slow
    each = compilation()
    threading.Timer(0.5, go.set).start()
    child = os.fork()
    if child == 0:
        os._exit(int(each.goes_on))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_error_does_not_leave_the_rest_to_be_compiled_later(monkeypatch):
    calls = []

    def fails_once(*_):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeWarning("machine code could not be kept")

    monkeypatch.setattr(warm_up, "_compilations", {})
    monkeypatch.setattr(warm_up, "_compile", fails_once)
    compilation().join()
    assert len(calls) == 2


def no_folder_and_warnings_are_errors(rank, n):
    """Return the error of a first mean, and the mean after it."""
    x, said = torch.tensor([1.0, 2.0 + rank]), ""
    with warnings.catch_warnings():
        if rank == 1:
            warnings.simplefilter("error")
            warm_up.find_folder = fails_once_with("no folder for machine code")
        try:
            mean(x, compressor=make("identity"), key=Key(1))
        except (RuntimeWarning, PayloadError) as error:
            said = type(error).__name__
        return said, mean(x, compressor=make("identity"), key=Key(1))


def fails_once_with(text):
    left = [RuntimeWarning(text)]

    def find_folder():
        if left:
            raise left.pop()

    return find_folder


def test_a_warning_that_is_an_error_reaches_all():
    (first, a), (second, b) = on_ranks(2, no_folder_and_warnings_are_errors, seconds=5)
    assert (first, second) == ("PayloadError", "RuntimeWarning")
    assert a.tolist() == b.tolist() == [1.0, 2.5]


def test_numba_is_not_imported_before_the_first_mean():
    code = "import sys, cqlib.distributed; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
