"""The command: help, exit codes, clear errors."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from rich.console import Console

import cqlib
from cqbook import cli, paths
from cqbook.book import build
from cqbook.cells import claims
from cqbook.cli.app import app
from cqbook.network import processes
from cqbook.runs import contents, runner
from cqbook.runs.job import Job, notebook_name
from cqbook.sweeps import driver
from cqlib import compressors, data
from cqlib.kernels import dispatch
from tests.helpers import heed_ctrl_c, provenance_of


def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    """Return exit code, output and errors of `cqlib ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["cqlib", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("command", [None, *app.commands])
def test_help(command: str | None, capsys, monkeypatch) -> None:
    code, out, _ = call(capsys, monkeypatch, *filter(None, [command]), "--help")
    assert code == 0 and "Usage: cqlib" in out
    told = app.commands[command].help if command else app.help
    assert told.splitlines()[0] in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nothing"], 2, "no notebook 'nothing'; known: experiments/importance_sampling"),
        (["run", "quickstart", "-p", "m", "3"], 2, "unknown parameter 'm' of"),
        (
            ["run", "quickstart", "-p", "n_clients", "many"],
            2,
            "must be of type int, such as 30, got 'many'",
        ),
        (["run", "quickstart", "--profile", "huge"], 2, "unknown profile 'huge'; known: quick"),
        (["run", "quickstart", "quickstart", "-o", "x"], 2, "--output goes with one notebook"),
        (["run", "quickstart", "-p", "seed", "[1"], 2, "the value of seed is not valid YAML"),
        (
            ["run", "quickstart", "-p", "seed", "{a: 1, a: 2}"],
            2,
            "the value of seed is not valid YAML",
        ),
        (["run"], 2, "Missing argument"),
        (["compressors", "--n", "0"], 2, "0 is not in the range"),
        (["fly"], 2, "No such command 'fly'"),
        (["claims", "--profile", "huge"], 2, "unknown profile 'huge'; known: quick"),
        (["sweep", "sweeps/tasks.yml", "--", "-n"], 2, "'-n' is for Snakemake, which works with"),
        (["run", "quickstart", "-o", "/"], 2, "/ is not the folder of a run; choose another"),
    ],
)
def test_wrong_use(arguments: list[str], code: int, message: str, capsys, monkeypatch) -> None:
    found, out, err = call(capsys, monkeypatch, *arguments)
    assert found == code and out == ""
    assert message in err and "Traceback" not in err


@pytest.mark.parametrize("stop", [KeyboardInterrupt, EOFError])
def test_an_interruption_ends_with_130(stop: type[BaseException], capsys, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise stop

    monkeypatch.setattr("cqbook.book.compressors.compressor_rows", interrupted)
    code, out, err = call(capsys, monkeypatch, "compressors")
    assert (code, out, err.strip()) == (130, "", "cqlib: interrupted")


def test_the_book_starts_its_long_chapters_first(capsys, monkeypatch, tmp_path: Path) -> None:
    started: list[str] = []
    monkeypatch.setattr(driver, "run", lambda found, *_: started.extend(found.jobs))
    monkeypatch.setattr(build, "build", lambda _: (tmp_path / "index.html", True))
    assert call(capsys, monkeypatch, "book", "--profile", "quick")[0] == 0
    long = [name.startswith(("experiments/", "global_qsgd/")) for name in started]
    assert sorted(started) == sorted(contents.chapters())
    assert long == sorted(long, reverse=True) and sum(long) >= 9


# The checkout


def checkout(folder: Path) -> Path:
    (folder / "book").mkdir(parents=True)
    (folder / "book" / "claims.yml").write_text("[]\n")
    return folder


def test_a_checkout_is_found_from_inside_it(tmp_path: Path, monkeypatch) -> None:
    """The package lies elsewhere, as after an install that is not editable."""
    root = checkout(tmp_path / "mine")
    (root / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site" / "cqbook" / "paths.py"))
    monkeypatch.delenv("CQLIB_ROOT", raising=False)
    for folder in (root, root / "a" / "b"):
        monkeypatch.chdir(folder)
        assert paths.root() == root
    monkeypatch.setenv("CQLIB_ROOT", str(checkout(tmp_path / "other")))
    assert paths.root() == tmp_path / "other"
    monkeypatch.setenv("CQLIB_ROOT", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="none is not a checkout of the companion"):
        paths.root()


def test_without_a_checkout_no_job_starts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site" / "cqbook" / "paths.py"))
    monkeypatch.delenv("CQLIB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "_start", lambda *_, **__: pytest.fail("a job was started"))
    jobs = {name: Job(tmp_path / f"{name}.ipynb", {}, tmp_path / name) for name in "ab"}
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path} is not a checkout of the companion"):
        runner.complete(jobs, logs=None, console=Console(), force=True)


def test_data(capsys, monkeypatch) -> None:
    code, out, _ = call(capsys, monkeypatch, "data")
    assert code == 0 and max(map(len, out.splitlines()[:9])) <= 80
    assert out.count("verified") == len(data.names())
    for entry in data.ENTRIES:
        assert f"{entry.name}: {entry.source}\n" in out
        row = next(line for line in out.splitlines() if f" {entry.name} " in line)
        assert f" {entry.N:,} " in row and f" {entry.d} " in row and f" {entry.package} " in row
    assert out.count("CC BY 4.0") == 5


def test_data_that_are_not_verified(capsys, monkeypatch) -> None:
    def load(name: str) -> None:
        if name == "digits":
            raise ImportError("pip install cqlib[data]")

    monkeypatch.setattr(data, "load", load)
    code, out, _ = call(capsys, monkeypatch, "data")
    assert code == 0 and "not installed: pip install cqlib[data]" in " ".join(out.split())

    def refuse(name: str) -> None:
        raise data.DataError("another content")

    monkeypatch.setattr(data, "load", refuse)
    code, out, _ = call(capsys, monkeypatch, "data")
    assert code == 1 and "refused" in out


def test_brackets_are_shown(capsys, monkeypatch) -> None:
    lacking = "Triton is not installed (pip install 'cqlib[gpu]')"
    monkeypatch.setattr(dispatch, "choose", lambda device: (device, "[cpu]", lacking))
    code, out, _ = call(capsys, monkeypatch, "info")
    assert code == 0 and lacking in out and " [cpu] " in out


def test_compressors(capsys, monkeypatch) -> None:
    code, out, _ = call(capsys, monkeypatch, "compressors", "--n", "16", "--d", "8")
    assert code == 0 and "n = 16 clients, d = 8 coordinates" in out
    for name in compressors.names():
        assert name in out
    iq = next(line for line in out.splitlines() if " iq " in line)
    for number in ("40", "7", "0.4375", "0.125"):  # bits, omega, valid and paper's A
        assert number in iq.split()


def test_claims_lists_every_item(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "runs", lambda profile: tmp_path / profile)
    code, out, _ = call(capsys, monkeypatch, "claims")
    assert code == 0
    assert all(f" {id} " in out for id in claims.ledger())
    (tmp_path / "quick" / "quickstart").mkdir(parents=True)
    (tmp_path / "quick" / "quickstart-0a1b2c3d").mkdir()  # a run with other parameters
    other = '{"id": "theorem-2", "verdict": "fails as stated", "stated": "", "measured": "0"}\n'
    (tmp_path / "quick" / "quickstart-0a1b2c3d" / "claims.jsonl").write_text(other)
    evidence = claims.Evidence("theorem-2", "holds", "", "17 of 17")
    folder = tmp_path / "quick" / "quickstart"
    (folder / "claims.jsonl").write_text(json.dumps(asdict(evidence)) + "\n")
    (folder / "quickstart.ipynb").touch()
    (folder / "results").mkdir()
    (folder / "provenance.json").write_text(provenance_of(folder))
    _, out, _ = call(capsys, monkeypatch, "claims", "--profile", "quick")
    row = next(line for line in out.splitlines() if " theorem-2 " in line)
    assert "holds" in row and "17 of 17" in row
    (folder / "claims.jsonl").write_text("{")
    code, _, told = call(capsys, monkeypatch, "claims", "--profile", "quick")
    assert code == 1 and len(told.splitlines()) == 1
    assert "claims.jsonl was changed after its run" in told


# What the commands load

HEAVY = ("torch", "numba", "scipy", "pandas", "matplotlib", "nbformat", "yaml", "rich", "numpy")


def loaded(code: str) -> set[str]:
    """Return the packages loaded by a new Python that runs some code."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_library_is_loaded_when_it_is_used() -> None:
    assert not loaded("import cqlib").intersection((*HEAVY, "click"))
    assert "torch" in loaded("from cqlib import compressors; compressors.make('cq')")


@pytest.mark.slow
def test_the_packages_of_the_library_are_loaded_by_their_names() -> None:
    folder = paths.root() / "cqlib"
    packages = sorted(file.parent.name for file in folder.glob("*/__init__.py"))
    assert packages == sorted(set(cqlib.__all__) - {"Key", "Payload", "PayloadError"})
    code = (
        "import cqlib\n"
        "assert set(cqlib.__all__) <= set(dir(cqlib))\n"
        "assert cqlib.data.load('a9a').name == 'a9a'\n"
        f"for name in {packages}:\n"
        "    assert cqlib.__getattr__(name) is getattr(cqlib, name)"
    )
    assert "cqlib" in loaded(code)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["sweep", "--help"]])
def test_help_loads_click_alone(words: list[str]) -> None:
    code = "import sys; from cqbook import cli\n"
    code += f"sys.argv = ['cqlib', *{words}]\ntry: cli.main()\nexcept SystemExit: pass"
    found = loaded(code)
    assert "click" in found and not found.intersection((*HEAVY, "jsonschema", "psutil"))


@pytest.mark.parametrize(
    ("package", "extra"), [("click", "book"), ("papermill", "book"), ("snakemake", "batch")]
)
def test_a_missing_package_is_one_sentence(package: str, extra: str, capsys, monkeypatch) -> None:
    def missing(**_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{package}.x'", name=f"{package}.x")

    monkeypatch.setattr("cqbook.cli.app.app", missing)
    code, out, err = call(capsys, monkeypatch, "info")
    assert (code, out) == (2, "")
    assert err == f"cqlib: this command needs more packages: pip install 'cqlib[{extra}]'\n"


def test_a_module_of_our_own_that_is_missing_is_a_fault(monkeypatch) -> None:
    def missing(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'cqlib.x'", name="cqlib.x")

    monkeypatch.setattr("cqbook.cli.app.app", missing)
    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_names_below_the_notebooks_folder() -> None:
    path = paths.notebooks() / "experiments" / "logistic_regression.ipynb"
    assert notebook_name(path) == "experiments/logistic_regression"


@pytest.mark.slow
def test_a_data_file_is_named_wherever_it_is_used(tmp_path: Path) -> None:
    """Paths start at the user's folder; a changed file makes the run out of date."""
    rng = np.random.default_rng(0)
    rows = [f"{i % 2} 1:{x} 2:{y:.3f}" for i, (x, y) in enumerate(rng.standard_normal((40, 2)))]
    (tmp_path / "mine.svm").write_text("\n".join(rows))
    command = [str(Path(sys.executable).with_name("cqlib")), "run", "quickstart", "-o", "run"]
    options = ["-p", "dataset", "mine.svm", "-p", "n_clients", "5", "-p", "n_rounds", "20"]

    def run() -> float:
        subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, check=True)
        return (tmp_path / "run" / "provenance.json").stat().st_mtime

    made = run()
    nb = nbformat.read(tmp_path / "run" / "quickstart.ipynb", as_version=4)
    outputs = [o for cell in nb.cells for o in cell.get("outputs", [])]
    printed = [o.text for o in outputs if o.get("name") == "stdout"]
    assert sum("mine" in text for text in printed) == 3
    (figure,) = [o for o in outputs if "figure" in o.get("metadata", {}).get("cqlib", {})]
    assert "mine" in figure.metadata.cqlib.caption
    assert run() == made
    (tmp_path / "mine.svm").write_text("\n".join(rows[1:]))
    assert run() > made


def test_a_missing_data_file_is_told_before_anything_runs(
    capsys, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("run", "quickstart", "-o", "run", "-p", "dataset", "mine.svm.xz")
    code, out, err = call(capsys, monkeypatch, *given)
    path = tmp_path / "mine.svm.xz"
    told = f"parameter 'dataset' names the data file {path}, which does not exist"
    assert code == 2 and out == "" and told in err


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_behind(tmp_path: Path) -> None:
    """SIGKILL to the command ends its workers and kernels; the next run cleans up."""
    command = [str(Path(sys.executable).with_name("cqlib")), "run", "quickstart", "-o", "run"]
    options = ["-p", "n_rounds", "100000"]
    with subprocess.Popen([*command, *options], cwd=tmp_path, stderr=subprocess.DEVNULL) as started:
        processes = psutil.Process(started.pid)
        for _ in range(200):
            time.sleep(0.1)
            family = processes.children(recursive=True)
            if any("ipykernel" in " ".join(p.cmdline()) for p in family):
                break
        else:
            pytest.fail("no kernel was started")
        started.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert list(tmp_path.glob(".run.work-*")) and not (tmp_path / "run").exists()
    options = ["-p", "n_rounds", "20", "-p", "n_clients", "5"]
    subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, check=True)
    assert {p.name for p in tmp_path.iterdir()} == {"run", ".run.lock"}


@pytest.mark.slow
def test_the_installed_command_runs_a_notebook(tmp_path: Path) -> None:
    """Run from another folder, by name, into a given folder."""
    command = [str(Path(sys.executable).with_name("cqlib")), "run", "quickstart"]
    options = ["-p", "n_clients", "5", "-p", "n_rounds", "20", "-o", "mine"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "mine"
    assert done.stdout.strip() == str(folder)
    assert "quickstart" in done.stderr and "1/1" in done.stderr
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {"quickstart.ipynb", "claims.jsonl", "provenance.json"} < names
    assert {"results/mse_against_clients.svg", "results/mse_against_clients.csv"} < names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("ascii", "claims"),
        ("utf-16", "claims"),
        ("latin-1", "compressors"),
        ("ascii", "data"),
        ("ascii", "info"),
        ("ascii", "--help"),
        ("ascii", "nonsense-Ω"),
    ],
)
def test_a_terminal_that_lacks_letters_is_no_crash(encoding: str, words: str) -> None:
    code = "import cqbook.cli; cqbook.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, words],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    told = done.stderr.decode(encoding, errors="replace")
    assert "Traceback" not in told
    refused = words == "claims" and "run the notebook again" in told  # runs of an older version
    assert done.returncode == (2 if "nonsense" in words else int(refused)), told


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
def test_who_stops_processes_reads_one_line(stop: signal.Signals) -> None:
    """All processes of a terminal get the signal, as on Ctrl-C, while some still load."""
    code = "import cqbook.cli; cqbook.cli.main()"
    command = subprocess.Popen(
        [sys.executable, "-c", code, "demo", "distributed"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )
    top = psutil.Process(command.pid)
    while not top.children() and command.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(command.pid, stop)
    _, told = command.communicate(timeout=60)  # until no process can write any more
    assert (command.returncode, told.strip()) == (130, "cqlib: interrupted")


STUB = """
import runpy, sys, types

def main():
    raise KeyboardInterrupt

sys.modules["snakemake"] = types.ModuleType("snakemake")
sys.modules["snakemake.cli"] = types.SimpleNamespace(main=main)
runpy.run_module("cqbook.sweeps.driver_snakemake", run_name="__main__")
"""


def test_an_interrupted_snakemake_says_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", STUB], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_an_interrupt_while_processes_start_is_not_lost() -> None:
    """It was ignored in that moment, so that the command went on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), processes._deaf_to_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # another thread may hear of it
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
