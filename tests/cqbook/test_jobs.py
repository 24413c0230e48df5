"""Jobs in processes, with and without Snakemake: interrupted in several ways, resumed, failing.

Each test has its own checkout, in a folder with a space in its name, with a copy of the package.
The notebooks wait for files, so that no test depends on durations.
"""

import csv
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from cqbook import paths
from cqbook.runs import locks, notebook
from tests import slurm
from tests.helpers import heed_ctrl_c

pytestmark = pytest.mark.slow

LIMIT = 900  # seconds for each step, which takes a few; only a broken one reaches the limit
WORK = """
import json, os, time
from pathlib import Path

notes = Path(os.environ["NOTES"])
with (notes / f"started-{n}").open("a") as file:
    file.write("x")
attempt = len((notes / f"started-{n}").read_text())
while (notes / f"hold-{n}").exists():
    time.sleep(0.05)
assert n != 13, "n is unlucky"
assert n != 5 or attempt > 1, "not at the first attempt"
if results := os.environ.get("CQLIB_RESULTS"):
    Path(results, "table.csv").write_text(f"x,y\\n1,{n * rate}\\n2,{n}\\n")
    Path(results, "drawing.svg").write_text(f"<svg>{n}</svg>")
claim = {"id": "theorem-1", "verdict": "holds", "stated": "", "measured": str(n), "note": ""}
Path(os.environ["CQLIB_CLAIMS"]).write_text(json.dumps(claim) + "\\n")
print(n, rate)
"""


class Checkout:
    """A small checkout, where the command is run from another folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.notes, self.elsewhere = (
            folder / name for name in ("a #1 checkout", "notes", "elsewhere")
        )
        for package in ("cqlib", "cqbook"):
            shutil.copytree(paths.root() / package, self.root / package)
        shutil.copy(paths.root() / "Snakefile", self.root)
        for name in ("book", "notebooks/theory", "profiles", "sweeps"):
            (self.root / name).mkdir(parents=True)
        self.notes.mkdir()
        self.elsewhere.mkdir()
        shutil.copy(paths.root() / "book" / "claims.yml", self.root / "book")
        self.env = os.environ | {
            "CQLIB_ROOT": str(self.root),
            "PYTHONPATH": str(self.root),
            "NOTES": str(self.notes),
            "CQLIB_PATIENCE": str(10 * LIMIT),  # no test may depend on it
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self.started: list[subprocess.Popen[str]] = []

    def notebook(self, name: str, code: str = WORK) -> Path:
        parameters = nbformat.v4.new_code_cell("n = 3\nrate = 0.5")
        parameters.metadata["tags"] = ["parameters"]
        cells = [parameters, nbformat.v4.new_code_cell(code)]
        path = self.root / "notebooks" / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    def sweep(self, name: str, values: list[int]) -> str:
        file = self.root / "sweeps" / f"{name}.yml"
        file.write_text(f"notebook: a\ngrid: {{n: {values}}}\n")
        return str(file)

    def folder(self, name: str) -> Path:
        return self.root / "runs" / "sweeps" / name

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        return self._start([str(Path(sys.executable).with_name("cqlib")), *words], env)

    def start_in_background(self, *words: str) -> "subprocess.Popen[str]":
        """Start it as `cqlib ... &` in a script, where SIGINT is ignored."""
        command = [str(Path(sys.executable).with_name("cqlib")), *words]
        return self._start(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command], {})

    def _start(self, command: list[str], env: dict[str, str]) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command,
            cwd=self.elsewhere,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=heed_ctrl_c,
        )
        self.started.append(process)
        return process

    def run(self, *words: str, code: int = 0, **env: str) -> str:
        return self.end(self.start(*words, **env), code)

    def end(self, process: "subprocess.Popen[str]", code: int) -> str:
        said, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == code, said
        return said

    def hold(self, *values: int) -> None:
        for n in values:
            (self.notes / f"hold-{n}").touch()

    def release(self, n: int) -> None:
        (self.notes / f"hold-{n}").unlink()

    def attempts(self, n: int) -> int:
        note = self.notes / f"started-{n}"
        return len(note.read_text()) if note.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    made.notebook("a")
    yield made
    for held in made.notes.glob("hold-*"):
        held.unlink()
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT)
        if process.stdout:
            process.stdout.close()


def wait(condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    """Wait until a condition holds; fail if the process ends before."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if process is not None and process.poll() is not None:
            assert condition(), process.communicate()[0]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def worker(process: "subprocess.Popen[str]") -> psutil.Process:
    return next(p for p in family(process) if "cqbook.runs.worker" in p.cmdline())


def all_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=LIMIT)
    assert not alive


def done(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/provenance.json")}


def made(folder: Path) -> dict[str, bytes]:
    """Return the contents of the jobs' folders that must be reproduced."""
    files = (path for path in folder.glob("n=*/**/*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in found.items() if "provenance" not in name}


class TestStopped:
    def test_a_sweep_survives_every_end_and_is_the_same(self, checkout: Checkout) -> None:
        """After SIGTERM, SIGKILL to the command or to a job, or SIGINT, the sweep is resumed."""
        file, folder = checkout.sweep("stopped", [1, 2]), checkout.folder("stopped")
        command = ("sweep", file, "--cores", "2", "--retries", "0")
        checkout.hold(2)

        first = checkout.start_in_background(*command)
        wait(lambda: done(folder) == {"n=1"} and checkout.attempts(2) == 1, first)
        refused = checkout.run(*command, code=1)
        assert f"process {first.pid} on {socket.gethostname()}" in refused
        assert f"is using {folder}" in refused
        alive = family(first)
        first.terminate()
        assert "run the same command again" in checkout.end(first, 130)
        assert not any(process.is_running() for process in alive)
        kept = (folder / "n=1" / "provenance.json").read_bytes()

        second = checkout.start(*command)
        wait(lambda: checkout.attempts(2) == 2, second)
        alive = family(second)
        second.kill()  # its exit code is not read yet: a zombie
        third = checkout.start(*command)
        all_gone(alive)
        wait(lambda: checkout.attempts(2) == 3, third)
        alive = family(third)
        worker(third).kill()
        assert "cqlib: n=2: ended without a message" in checkout.end(third, 1)
        all_gone(alive)  # the kernel too

        fourth = checkout.start(*command)
        wait(lambda: checkout.attempts(2) == 4, fourth)
        fourth.send_signal(signal.SIGINT)
        assert "run the same command again" in checkout.end(fourth, 130)

        checkout.release(2)
        said = checkout.run(*command)
        assert "1 of 2 jobs to run" in said and re.search(r"^n=2: \d+ s$", said, re.M)
        assert said.splitlines()[-1] == str(folder)
        assert (checkout.attempts(1), checkout.attempts(2)) == (1, 5)
        assert (folder / "n=1" / "provenance.json").read_bytes() == kept
        assert {path.name for path in (folder / "logs").iterdir()} == {"n=1.log", "n=2.log"}
        assert not list(folder.glob(".*.work-*")) and not (folder / ".owner").exists()

        checkout.run("sweep", checkout.sweep("whole", [1, 2]), "--cores", "2")
        whole = checkout.folder("whole")
        assert made(folder) == made(whole) and len(made(folder)) == 2 * 4
        tables = [
            Path(checkout.run("collect", str(checkout.root / "sweeps" / f"{name}.yml")).strip())
            for name in ("stopped", "whole")
        ]
        assert tables[0] == folder / "collected" / "table.csv"
        assert tables[0].read_bytes() == tables[1].read_bytes()
        with tables[0].open(encoding="utf-8") as lines:
            rows = [(row["n"], row["x"], row["y"]) for row in csv.DictReader(lines)]
        assert rows == [("1", "1", "0.5"), ("1", "2", "1"), ("2", "1", "1.0"), ("2", "2", "2")]


class TestGoesOn:
    def test_only_what_changed_runs_again(self, checkout: Checkout) -> None:
        """Chapters of a profile depend on contents, not on file times, also on a cluster."""
        toc = "chapters: [{file: notebooks/a}, {file: notebooks/theory/b}, {file: book/x}]\n"
        (checkout.root / "book" / "_toc.yml").write_text(toc)
        (checkout.root / "profiles" / "big.yml").write_text("theory/b: {n: 50}\n")
        checkout.notebook("theory/b", "from cqbook import paths\n" + WORK)
        command, folder = ("sweep", "--profile", "big"), checkout.root / "runs" / "big"
        assert "2 of 2 jobs to run" in checkout.run(*command)
        table = folder / "theory" / "b" / "results" / "table.csv"
        assert table.read_text() == "x,y\n1,25.0\n2,50\n"

        for path in checkout.root.rglob("*"):
            if "runs" not in path.parts:
                os.utime(path)
        assert "0 of 2 jobs to run" in checkout.run(*command)

        (folder / "a" / "results" / "drawing.svg").unlink()
        (folder / "theory" / "b" / "provenance.json").unlink()
        assert "2 of 2 jobs to run" in checkout.run(*command)
        assert (folder / "a" / "results" / "drawing.svg").exists()
        assert (checkout.attempts(3), checkout.attempts(50)) == (2, 2)

        with (checkout.root / "cqbook" / "paths.py").open("a") as source:
            source.write("CHANGED = 1\n")
        said = checkout.run(*command, "--executor", "local", "--", "--dry-run")
        assert "1 of 2 jobs to run" in said and ": theory/b\n" in said and ": a\n" not in said
        assert (checkout.attempts(3), checkout.attempts(50)) == (2, 2)
        said = checkout.run("run", "a", "theory/b", "--profile", "big")
        assert "1 of 2 jobs to run" in said and "theory/b: " in said
        assert (checkout.attempts(3), checkout.attempts(50)) == (2, 3)


class TestFailures:
    def test_a_failing_job_stops_no_other(self, checkout: Checkout) -> None:
        file, folder = checkout.sweep("failing", [13, 5]), checkout.folder("failing")
        said = checkout.run("sweep", file, "--cores", "2", "--retries", "1", code=1)
        assert "cqlib: n=13: a: cell" in said and "AssertionError: n is unlucky" in said
        assert "not all jobs completed (logs: " in said and "Traceback" not in said
        assert "s, trying again" in said
        assert done(folder) == {"n=5"}
        assert (checkout.attempts(5), checkout.attempts(13)) == (2, 2)
        assert (folder / "n=13.failed.ipynb").exists()
        assert "n is unlucky" in (folder / "logs" / "n=13.log").read_text()

        said = checkout.run("collect", file, code=1)
        assert "missing: n=13" in said and "1 of 2 jobs missing or out of date" in said
        assert not (folder / "collected").exists()
        said = checkout.run("collect", file, "--partial")
        table = Path(said.splitlines()[-1])
        assert [line[:2] for line in table.read_text().splitlines()] == ["n,", "5,", "5,"]


class TestQueue:
    @staticmethod
    def sweep(file: str, seconds: int) -> list[str]:
        """Return the command, with the seconds between Snakemake's status checks."""
        queue = ["--executor", "slurm", "--jobs", "2", "--retries", "0"]
        return [
            "sweep",
            file,
            *queue,
            "--",
            "--slurm-init-seconds-before-status-checks",
            f"{seconds}",
        ]

    def test_what_is_stopped_leaves_the_queue_and_goes_on(
        self, checkout: Checkout, tmp_path: Path
    ) -> None:
        env = slurm.install(tmp_path / "slurm")
        file, folder = checkout.sweep("queued", [1]), checkout.folder("queued")
        checkout.hold(1)
        first = checkout.start(*self.sweep(file, 10 * LIMIT), **env)
        wait(lambda: checkout.attempts(1) == 1, first)
        assert slurm.states(tmp_path / "slurm") == ["RUNNING"]
        first.terminate()
        wait(lambda: slurm.states(tmp_path / "slurm") == ["CANCELLED"], first)
        first.terminate()  # Snakemake would wait for its next status check
        assert "run the same command again" in checkout.end(first, 130)

        checkout.release(1)
        said = checkout.run(*self.sweep(file, 1), **env)
        assert "1 of 1 jobs to run" in said and "2 of 2 steps (100%) done" in said
        assert slurm.states(tmp_path / "slurm") == ["CANCELLED", "COMPLETED"]
        assert done(folder) == {"n=1"} and checkout.attempts(1) == 2

    def test_what_failed_is_told(self, checkout: Checkout, tmp_path: Path) -> None:
        env = slurm.install(tmp_path / "slurm")
        file, folder = checkout.sweep("unlucky", [13]), checkout.folder("unlucky")
        said = checkout.run(*self.sweep(file, 1), **env, code=1)
        assert "cqlib: n=13: a: cell" in said and "AssertionError: n is unlucky" in said
        assert slurm.states(tmp_path / "slurm") == ["FAILED"] and not done(folder)
        assert checkout.attempts(13) == 1


# Independent of the load of the machine


def test_a_text_that_came_in_pieces_is_joined() -> None:
    def said(name: str, text: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_output("stream", name=name, text=text)

    shown = nbformat.v4.new_output("display_data", data={"text/plain": "x"})
    pieces = [said("stdout", "a"), said("stdout", "\n"), said("stderr", "b"), shown]
    pieces += [said("stdout", "c"), said("stdout", "d")]
    cell = nbformat.v4.new_code_cell("1", outputs=pieces)
    nb = notebook.clean(nbformat.v4.new_notebook(cells=[cell]))
    whole = [said("stdout", "a\n"), said("stderr", "b"), shown, said("stdout", "cd")]
    assert nb.cells[0].outputs == whole


# Locks and owners of folders


def test_a_lock_holds_with_another_temporary_folder(tmp_path: Path, monkeypatch) -> None:
    """Two machines share a disk, but no folder for temporary files."""
    code = (
        "from pathlib import Path; from cqbook.runs import locks\n"
        "print('starts', flush=True)\n"
        f"with locks.locked(Path({str(tmp_path / 'run')!r})): print('has it')"
    )
    (tmp_path / "tmp").mkdir()
    env = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-c", code]
    with locks.locked(tmp_path / "run"):
        other = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert other.stdout and other.stdout.readline() == "starts\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
    assert other.communicate(timeout=LIMIT)[0] == "has it\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run.lock", "tmp"]


def test_a_lock_changes_no_file_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / ".a.lock").symlink_to("thesis.tex")
    with pytest.raises(locks.LockError, match="cannot lock .*a.lock: Too many levels"):
        with locks.locked(tmp_path / "a"):
            pass
    (tmp_path / ".b.lock").hardlink_to(tmp_path / "thesis.tex")
    with locks.locked(tmp_path / "b"):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_folder_without_permission_is_an_error(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(locks.LockError, match=r"cannot lock .*\.a\.lock: Permission denied"):
        with locks.locked(tmp_path / "a"):
            pass


def test_an_owner_is_named(tmp_path: Path) -> None:
    with locks.owned(tmp_path / "a"):
        with pytest.raises(locks.OwnedError, match=f"process {os.getpid()} on .* is using"):
            with locks.owned(tmp_path / "a"):
                pass
        with locks.owned(tmp_path / "b"):
            pass
    with locks.owned(tmp_path / "a"):
        pass


@pytest.mark.parametrize("asked", [True, False], ids=["ended", "zombie"])
def test_an_owner_that_was_killed_is_gone(tmp_path: Path, asked: bool) -> None:
    code = (
        "import os, signal; from pathlib import Path; from cqbook.runs import locks\n"
        f"with locks.owned(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code])
    if asked:
        assert killed.wait(LIMIT) == -signal.SIGKILL
    wait(lambda: psutil.Process(killed.pid).status() == "zombie" if not asked else True)
    assert (tmp_path / ".owner").exists()
    with locks.owned(tmp_path):
        pass
    assert killed.wait(LIMIT) == -signal.SIGKILL


def test_an_owner_on_another_machine_is_believed(tmp_path: Path) -> None:
    (tmp_path / ".owner").write_text("7\nelsewhere\n")
    with pytest.raises(locks.OwnedError, match=r"process 7 on elsewhere .*if it is gone, remove"):
        with locks.owned(tmp_path):
            pass
    (tmp_path / ".owner").write_text("half a rec")
    with locks.owned(tmp_path):
        pass
