"""MARINA as a distributed program: the simulator's bits, resuming, errors instead of hanging."""

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cqbook.network.processes import on_ranks
from cqlib import data, methods, problems
from cqlib.compressors import make
from cqlib.distributed.collectives import Group, GroupError, NotEncodedError
from cqlib.distributed.marina import __main__ as marina_program
from cqlib.distributed.marina import checkpoint
from cqlib.distributed.marina.checkpoint import Checkpoint, CheckpointError
from cqlib.distributed.marina.handshake import agree
from cqlib.distributed.marina.run import Settings, run
from tests.helpers import peak_memory, same_bits

pytestmark = pytest.mark.slow

COMPRESSORS = [
    make("cq"),
    make("drive"),
    make("perm_k"),
    make("iscc", inner=make("iq")),
    make("global_qsgd"),
    make("global_qsgd", levels="exponential"),
]
ROUNDS = 12


def task(n):
    return problems.logistic(data.load("breast_cancer"), n_clients=n, reg=0.1)


def settings(c, **changes):
    return replace(Settings(c, p=0.25, stepsize=0.3, rounds=ROUNDS, seed=5, log_every=1), **changes)


# --- the simulator's bits ------------------------------------------------------------------------


def trajectories(rank, n):
    return [run(task(n), settings(c), group=Group(), facts={}).rows for c in COMPRESSORS]


def test_trajectories_have_the_bits_of_the_simulator():
    ranks = on_ranks(4, trajectories)
    for k, c in enumerate(COMPRESSORS):
        options = {"p": 0.25, "stepsize": 0.3, "rounds": ROUNDS, "seed": 5}
        trace = methods.marina_by_bytes(task(4), c, **options)
        columns = [np.arange(ROUNDS + 1.0), trace.bits, trace.grad_norm_sq, trace.value]
        expected = torch.from_numpy(np.stack([np.ravel(column) for column in columns], axis=1))
        assert len(set(map(tuple, expected[:, 2:].tolist()))) == ROUNDS + 1
        assert all(same_bits(rows[k], expected) for rows in ranks)


def in_two_parts(rank, n):
    c, found = make("cq"), []
    whole = run(task(n), settings(c), group=Group(), facts={"a": "b"})
    for stop in (1, 5, ROUNDS):
        half = run(task(n), settings(c, rounds=stop), group=Group(), facts={"a": "b"})
        start = Checkpoint.from_bytes(half.to_bytes())
        again = run(task(n), settings(c), group=Group(), facts={"a": "b"}, start=start)
        found.append(again.to_bytes() == whole.to_bytes())
    return found


def test_a_run_that_goes_on_from_a_checkpoint_is_the_uninterrupted_one():
    assert on_ranks(2, in_two_parts) == [[True] * 3] * 2


def ended_between_rows(rank, n):
    """Saved at round 5, with a row of the log every 4 rounds, and then asked for 5 rounds."""
    kept, rows, saved = [], [], []
    sparse = {"log_every": 4, "save_every": 5}
    run(
        task(n),
        settings(make("cq"), rounds=12, **sparse),
        group=Group(),
        facts={},
        on_save=lambda at: kept.append(at),
    )
    short = settings(make("cq"), rounds=5, **sparse)
    end = run(
        *(task(n), short),
        group=Group(),
        facts={},
        start=kept[0],
        on_row=lambda at: rows.append(at.round),
        on_save=lambda at: saved.append(at.round),
    )
    alone = run(task(n), short, group=Group(), facts={})
    return kept[0].rows[:, 0].tolist(), end.to_bytes() == alone.to_bytes(), rows, saved


def test_a_run_that_ends_where_it_was_saved_reports_that_round():
    assert on_ranks(2, ended_between_rows) == [([0.0, 4.0], True, [5], [5])] * 2


def test_a_run_that_is_not_finite_has_diverged_before_it_is_saved():
    saved = []
    with pytest.raises(NotEncodedError, match="its gradient or value is not finite"):
        run(
            task(1),
            settings(make("identity"), stepsize=1e300, log_every=1, save_every=1),
            group=Group(),
            facts={},
            on_save=lambda at: saved.append(at),
        )
    assert all(bool(at.rows.isfinite().all()) for at in saved)


OPTIONS = {
    "twice": ([("levels", "1"), ("levels", "3")], "option 'levels' is given twice"),
    "name": ([("name", "cq")], "the compressor's name is given by --compressor"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_wrong_options_are_one_sentence(name):
    given, message = OPTIONS[name]
    with pytest.raises(ValueError, match=message):
        marina_program._options(given)


def test_options_are_json_and_inf():
    assert marina_program._options([("s", "7"), ("norm", "inf"), ("ranks", "x")]) == {
        "s": 7,
        "norm": math.inf,
        "ranks": "x",
    }


def test_a_checkpoint_comes_back_and_a_damaged_one_is_refused():
    at = run(task(1), settings(make("cq")), group=Group(), facts={"seed": "5"})
    sent = at.to_bytes()
    back = Checkpoint.from_bytes(sent)
    assert back.to_bytes() == sent and back.facts == {"seed": "5"} and same_bits(back.x, at.x)
    for wrong in (b"", b"PK", sent[:-9], sent[:200], sent.replace(b"seed", b"s\xffed")):
        with pytest.raises(CheckpointError):
            Checkpoint.from_bytes(wrong)


def test_no_changed_byte_gets_past_as_another_error():
    sent = run(task(1), settings(make("cq")), group=Group(), facts={"seed": "5"}).to_bytes()
    for place in range(len(sent)):
        for bit in (1, 8):
            changed = bytearray(sent)
            changed[place] ^= bit
            with suppress(CheckpointError):  # some changes are in bytes that are not read
                Checkpoint.from_bytes(bytes(changed))


def test_arrays_that_do_not_fit_are_refused():
    at = run(task(1), settings(make("cq")), group=Group(), facts={})
    for wrong in ({"x": at.x[:-1]}, {"rows": at.rows[:, :3]}, {"direction": at.direction[None]}):
        with pytest.raises(CheckpointError, match="arrays do not fit"):
            Checkpoint.from_bytes(replace(at, **wrong).to_bytes())


def crafted(about, arrays, **options):
    """Return a checkpoint file with these contents, without any check."""
    file = io.BytesIO()
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    save = options.get("save", np.savez)
    save(file, about=np.frombuffer(text, dtype=np.uint8), **arrays)
    return file.getvalue()


ABOUT = {"round": 2, "sent_bits": 64.0, "cost_bits": 32.0, "sent_bytes": 99}
ABOUT |= {"format": 1, "facts": {"seed": "5"}}
ARRAYS = {"x": np.ones(3), "direction": np.zeros(3)}
ARRAYS |= {"rows": np.array([[0.0, 0, 3, 1], [2, 64, 2, 1]])}
LAST = ARRAYS["rows"][1]
ODD = [
    *({"round": value} for value in (math.nan, -5, True, 1.5, 2.0, "2", None, [], 10**30)),
    *({"sent_bytes": value} for value in (math.nan, -1, False, 1.5, "99", None, 10**30)),
    *({"sent_bits": value} for value in (math.nan, -1, True, math.inf, "64", None, 10**400, 63)),
    *({"cost_bits": value} for value in (math.nan, -1, True, math.inf, "64", None, 10**400)),
    *({"format": value} for value in (0, 2, None, "1", True, 1.0)),
    *({"facts": value} for value in (None, [], "x", {"seed": 5}, {"seed": None})),
    {"more": 1},
    {"\x1b[2J": 1},  # it would clear the screen
    {"x" * 10_000: 1},
]
ODD_ARRAYS = [
    *(
        {name: value}
        for name in ("x", "direction")
        for value in (
            np.ones(3, dtype=np.int64),
            np.ones(3, dtype=np.float32),
            np.ones(3, dtype=complex),
            np.ones(3, dtype=bool),
            np.array(["1"] * 3),
            np.array([1, math.nan, 1]),
            np.array([1, math.inf, 1]),
            np.ones((3, 1)),
            np.ones(2),
            np.float64(1),
        )
    ),
    {"x": np.ones(0), "direction": np.ones(0)},
    {"x": np.array([None] * 3)},
    *({"rows": value} for value in (np.ones((0, 4)), np.ones((2, 3)), np.ones(4), np.ones((2, 4)))),
    *(
        {"rows": np.array(value)}
        for value in (
            [[0.0, 0, 3, 1], [3, 64, 2, 1]],  # beyond its round
            [[0.0, 0, 3, 1], [0, 64, 2, 1]],
            [[0.0, 0, 3, 1], [1.5, 64, 2, 1]],
            [[-1.0, 0, 3, 1], [1, 64, 2, 1]],
            [[0.0, 0, 3, 1], [1, 65, 2, 1]],  # more bits than were sent
            [[0.0, 1, 3, 1], [1, 64, 2, 1]],
            [[0.0, 0, 3, 1], [1, -1, 2, 1]],
            [[0.0, 0, -3, 1], [1, 64, 2, 1]],
            [[0.0, 0, 3, math.nan], [1, 64, 2, 1]],
            [[0, 0, 3, 1], [1, 64, 2, 1]],  # integers
        )
    ),
    {"more": np.ones(3)},
    {"x": np.zeros(3, dtype=[("\x1b[2J" + "x" * 9000, float)])},
]


def test_a_crafted_checkpoint_is_refused():
    good = Checkpoint.from_bytes(crafted(ABOUT, ARRAYS))
    assert (good.round, good.sent_bits, good.facts) == (2, 64.0, {"seed": "5"})
    assert isinstance(
        Checkpoint.from_bytes(crafted(ABOUT | {"sent_bits": 64}, ARRAYS)).sent_bits, float
    )
    wrong = [crafted(ABOUT | odd, ARRAYS) for odd in ODD]
    wrong += [crafted(ABOUT, ARRAYS | odd) for odd in ODD_ARRAYS]
    for lacking in ABOUT:
        wrong.append(crafted({k: v for k, v in ABOUT.items() if k != lacking}, ARRAYS))
    for lacking in ARRAYS:
        wrong.append(crafted(ABOUT, {k: v for k, v in ARRAYS.items() if k != lacking}))
    for text in (b"", b"[]", b"7", b"null", b'"x"', b"{", b"\xff", b"[" * 100_000):
        wrong.append(crafted(text, ARRAYS))
    wrong.append(crafted(ABOUT, ARRAYS, save=np.savez_compressed))
    wrong += [crafted(ABOUT, ARRAYS) + more for more in (b"\0", b"PK\5\6" + bytes(18))]
    for sent in wrong:
        with pytest.raises(CheckpointError) as error:
            Checkpoint.from_bytes(sent)
        assert len(str(error.value)) < 400 and str(error.value).isprintable()


def test_a_small_checkpoint_takes_no_large_memory():
    """A member may say that it is larger than it is, or be compressed a thousandfold."""
    zeros = {"x": np.zeros(2**22), "direction": np.zeros(2**22)}
    bomb = crafted(ABOUT, ARRAYS | zeros, save=np.savez_compressed)
    assert len(bomb) < 200_000
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"
    large = header.replace(b"(3,)", b"(%d,)" % 2**27)
    whole = crafted(ABOUT, ARRAYS)
    lying = whole.replace(header + b" " * (len(large) - len(header)), large)
    assert lying != whole and len(lying) == len(whole)

    def read():
        for sent in (bomb, lying):
            with pytest.raises(CheckpointError):
                Checkpoint.from_bytes(sent)

    assert peak_memory(read) < 1_000_000


def test_what_is_no_plain_file_or_too_long_is_not_read(tmp_path):
    path, most = tmp_path / "checkpoint.npz", 10_000
    assert checkpoint.read(path, most) == b""
    os.mkfifo(path)  # to open it for reading would wait for a writer
    with pytest.raises(CheckpointError, match="no plain file"):
        checkpoint.read(path, most)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="no plain file"):
        checkpoint.read(path, most)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CheckpointError, match="larger than 10000 bytes"):
        checkpoint.read(path, most)
    path.write_bytes(bytes(100))
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.read(path, most)
    at = run(task(1), settings(make("cq")), group=Group(), facts={})
    path.write_bytes(at.to_bytes())
    assert checkpoint.read(path, most) == at.to_bytes()


def test_a_checkpoint_of_another_format_is_refused(monkeypatch):
    at = run(task(1), settings(make("cq")), group=Group(), facts={})
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    later = at.to_bytes()
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="not of format 1"):
        Checkpoint.from_bytes(later)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": 0.0}, "p must be in"),
        ({"stepsize": -1.0}, "stepsize must be positive"),
        ({"rounds": -1}, "rounds must be at least 0"),
        ({"log_every": 0}, "log_every must be at least 1"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(make("cq"), **changes)
    with pytest.raises(ValueError, match="has 3 clients, but the group has 1 processes"):
        run(task(3), settings(make("cq")), group=Group(), facts={})


# --- the handshake -------------------------------------------------------------------------------


def disagreements(rank, n):
    said = []
    base = {"version": "1", "compressor": "CQ()", "d": 4, "seed": 0}
    others = [
        base,
        base | {"seed": 1},
        base | {"d": 5, "compressor": "IQ()"},
        {"version": "2"},
    ]
    for other in others:
        try:
            agree(Group(), other if rank == 2 else base)
            said.append("agreed")
        except GroupError as error:
            said.append(str(error))
    return said


def test_disagreements_are_named_on_every_rank():
    for rank, said in enumerate(on_ranks(3, disagreements)):
        assert said[0] == "agreed"
        own = "1" if rank == 2 else "0"
        assert said[1].endswith(f"seed (rank 2 unlike rank 0; rank {rank} has {own})")
        assert "compressor (rank 2" in said[2] and "d (rank 2" in said[2]
        assert "the facts of rank 2 have other names" in said[3]


# --- the program ---------------------------------------------------------------------------------

PROGRAM = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
# What torchrun sets for a single process.
ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
ALONE |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
TASK = ["--compressor", "cq", "--rounds", "400", "--log-every", "20", "--save-every", "20"]


def command(n, *options, restarts=0):
    where = ["--standalone", "--max-restarts", str(restarts)]
    return [*PROGRAM, str(n), *where, "-m", "cqlib.distributed.marina", *TASK, *options]


def start(n, *options, restarts=0):
    return subprocess.Popen(
        command(n, *options, restarts=restarts),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def finish(process, seconds=240):
    try:
        return process.communicate(timeout=seconds)
    finally:
        with_all = process.poll() is None
        if with_all:
            os.killpg(process.pid, signal.SIGKILL)


def workers(process):
    """Process ids of the workers that torchrun has started, by rank."""
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    found = {}
    for pid in map(int, Path(children).read_text().split()):
        try:
            environment = Path(f"/proc/{pid}/environ").read_text()
        except OSError:
            continue
        rank = re.search(r"\0RANK=(\d+)\0", environment)
        if rank:
            found[int(rank[1])] = pid
    return found


def wait_for_round(process, folder, least):
    """Wait for a checkpoint of at least this round."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        path = folder / "checkpoint.npz"
        if path.exists() and Checkpoint.from_bytes(path.read_bytes()).round >= least:
            return
        time.sleep(0.02)
    raise AssertionError(f"no round {least}: {finish(process, 1)}")


def test_a_killed_worker_is_restarted_and_the_run_ends_with_the_same_bits(tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    out, err = finish(start(2, "--folder", str(straight)))
    assert "400 rounds of 2 clients" in out, err
    process = start(2, "--folder", str(killed), "--timeout", "10", restarts=2)
    wait_for_round(process, killed, 20)
    os.kill(workers(process)[1], signal.SIGKILL)
    again, err = finish(process)
    assert process.returncode == 0, err
    assert again == out
    for name in ("trace.csv", "checkpoint.npz"):
        assert (killed / name).read_bytes() == (straight / name).read_bytes()
    # The same command again has nothing to do; a different one raises.
    once_more, err = finish(start(2, "--folder", str(killed)))
    assert once_more == out, err
    refused = start(2, "--folder", str(killed), "--seed", "1")
    _, err = finish(refused)
    assert refused.returncode != 0
    assert "is of a run with seed 0, not 1" in err


def test_survivors_report_a_peer_that_is_gone_for_good(tmp_path):
    process = start(3, "--folder", str(tmp_path), "--rounds", "1000000", "--timeout", "5")
    wait_for_round(process, tmp_path, 20)
    os.kill(workers(process)[1], signal.SIGSTOP)  # it exists, but does not answer
    stopped, began = workers(process)[1], time.monotonic()
    _, err = finish(process, 120)
    if os.path.exists(f"/proc/{stopped}"):
        os.kill(stopped, signal.SIGKILL)
    assert process.returncode != 0
    assert re.search(
        r"cqlib: rank [02]: lost another process, or it did not answer within 5 s", err
    )
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("rounds", "clients", "told"), [(200, 1, "200 rounds of 1 client: "), (1, 2, "1 round of 2 cl")]
)
def test_numbers_in_the_summary(rounds, clients, told):
    end = SimpleNamespace(rows=torch.zeros(1, 4), round=rounds, sent_bytes=0)
    summary = marina_program._summary(end, SimpleNamespace(d=3), SimpleNamespace(size=clients))
    assert summary.startswith(told)


def test_a_data_file_by_its_path(tmp_path):
    """A checkpoint of a run on other data is refused."""
    path = tmp_path / "mine.svm"
    path.write_text("".join(f"{i % 2} 1:{i / 8} 2:1\n" for i in range(8)))
    options = ("--dataset", str(path), "--folder", str(tmp_path / "run"))
    process = start(2, *options)
    out, err = finish(process)
    assert process.returncode == 0 and "400 rounds of 2 clients" in out, err
    path.write_text(path.read_text() + "1 2:3\n")
    process = start(2, *options)
    assert "is of a run with data mine: mine.svm, content" in finish(process)[1]
    path.write_text("1 1:1\n0 2:x\n")
    process = start(2, *options)
    assert f"{path}, line 2: the value of index 2 is 'x', which is not" in finish(process)[1]


def test_the_program_refuses_what_it_cannot_do():
    for options, message in (
        (["--compressor", "cp"], "unknown compressor 'cp'; known: identity"),
        (["-o", "levels", "2"], "levels must be 1 (one bit) or at least 3"),
        (["--stepsize", "0"], "stepsize must be positive"),
        (["--stepsize", "1e308"], "the run has diverged"),
        (["-o", "levels", "["], "levels must be an integer, got '['"),
        (["--timeout", "nan"], "argument --timeout: nan is not above 0 and at most 1000000"),
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "cqlib.distributed.marina", *TASK, *options],
            capture_output=True,
            text=True,
            env=os.environ | ALONE,
        )
        assert ran.returncode != 0
        assert message in ran.stderr
    alone = subprocess.run(
        [sys.executable, "-m", "cqlib.distributed.marina"],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")},
    )
    assert alone.returncode == 1 and "start it by torchrun" in alone.stderr
