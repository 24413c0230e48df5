"""Sweep files: their jobs, errors in them, and joined tables."""

import csv
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from rich.console import Console

from cqbook import cli, paths
from cqbook.runs import provenance, runner, worker
from cqbook.runs.job import Job, planned
from cqbook.sweeps import collect, driver, sweep
from tests.helpers import provenance_of

PARAMETERS = "n = 3\nrate = 0.5\nname = 'a'\nsizes = [1, 2]\nfast = True"
GOOD = "notebook: theory/b\nparameters: {name: z}\ngrid: {n: [1, 2], rate: [0.5, 1e-3]}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one notebook and one profile."""
    root = tmp_path / "a checkout"
    for folder in ("book", "notebooks/theory", "profiles", "sweeps"):
        (root / folder).mkdir(parents=True)
    (root / "book" / "claims.yml").write_text("[]\n")
    (root / "book" / "_toc.yml").write_text("chapters: [{file: notebooks/theory/b}]\n")
    (root / "profiles" / "big.yml").write_text("theory/b: {n: 50, fast: false}\n")
    cell = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    nb = nbformat.v4.new_notebook(cells=[cell])
    nbformat.write(nb, root / "notebooks" / "theory" / "b.ipynb")
    monkeypatch.setenv("CQLIB_ROOT", str(root))
    return root


def read(root: Path, text: str) -> sweep.Sweep:
    file = root / "sweeps" / "mine.yml"
    file.write_text(text)
    return sweep.read(file)


def test_a_grid_gives_every_combination(root: Path) -> None:
    found = read(root, GOOD)
    assert found.folder == paths.root() / "runs" / "sweeps" / "mine"
    assert found.file == root / "sweeps" / "mine.yml"
    fixed = {"name": "z"}
    expected = {
        "n=1_rate=0.5": {"n": 1, "rate": 0.5},
        "n=1_rate=0.001": {"n": 1, "rate": 0.001},
        "n=2_rate=0.5": {"n": 2, "rate": 0.5},
        "n=2_rate=0.001": {"n": 2, "rate": 0.001},
    }
    assert {name: found.point(name) for name in found.jobs} == expected
    for name, job in found.jobs.items():
        assert job.parameters == fixed | expected[name]
        assert job.folder == found.folder / name
        assert job.source == root / "notebooks" / "theory" / "b.ipynb"


def test_a_profile_supplies_the_rest(root: Path) -> None:
    found = read(root, "notebook: theory/b\nprofile: big\ngrid: {rate: [2]}\n").jobs
    assert list(found) == ["rate=2.0"]
    assert found["rate=2.0"].parameters == {"n": 50, "fast": False, "rate": 2.0}
    (job,) = sweep.chapters("big").jobs.values()
    assert job == planned(job.source, profile="big")
    assert job.folder == root / "runs" / "big" / "theory" / "b"


# Each line stands for nine times as many values as the line before.
BOMB = "notebook: theory/b\nx: [&a [1], *a]\n" + "".join(
    f"x{k}: &{b} [{', '.join(9 * [f'*{a}'])}]\n"
    for k, (a, b) in enumerate(pairwise("abcdefghijkl"))
)


@pytest.mark.parametrize(
    ("grid", "found"),
    [
        ("n: [07, 010, 1_000, 0x10]", [7, 10, 1000, 16]),
        ("rate: [010, 1e-3, .5, 1]", [10.0, 0.001, 0.5, 1.0]),
        (
            "name: [010, 1:30, no, 2020, 2020-01-01, null, '3']",
            ["010", "1:30", "no", "2020", "2020-01-01", "null", "3"],
        ),
        ("fast: [true, False]", [True, False]),
        ("sizes: [[010], [1, 2]]", [[10], [1, 2]]),
    ],
)
def test_a_value_has_the_type_of_the_notebooks_own(root: Path, grid: str, found: list) -> None:
    jobs = read(root, f"notebook: theory/b\ngrid: {{{grid}}}").jobs.values()
    name = grid.partition(":")[0]
    values = [job.parameters[name] for job in jobs]
    assert values == found and [type(value) for value in values] == [type(v) for v in found]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a sweep file must be a mapping, got []"),
        ("", "a sweep file must be a mapping, got None"),
        ("a: [1", "not valid YAML"),
        (GOOD + "seeds: [1]", "unknown key 'seeds'; known: notebook, profile, parameters, grid"),
        (GOOD + "notebook: c", "the key 'notebook' is repeated"),
        ("notebook: theory/b\ngrid: {n: [1], n: [2]}", "the key 'n' is repeated"),
        ("grid: {n: [1]}", "no notebook None; known: theory/b"),
        ("notebook: theory/c\ngrid: {n: [1]}", "no notebook 'theory/c'; known: theory/b"),
        ("notebook: [theory/b]\ngrid: {n: [1]}", "no notebook ['theory/b']"),
        ("notebook: theory/b", "grid must be a mapping, got None"),
        ("notebook: theory/b\ngrid: {}", "grid needs at least one parameter"),
        ("notebook: theory/b\ngrid: {n: 3}", "grid: 'n' needs a list of values, got 3"),
        ("notebook: theory/b\ngrid: {n: [1], rate: []}", "the list of 'rate' is empty"),
        ("notebook: theory/b\ngrid: {m: [1]}", "unknown parameter 'm' of"),
        ("notebook: theory/b\ngrid: {n: [1, two]}", "must be of type int, such as 3, got 'two'"),
        (
            "notebook: theory/b\ngrid: {sizes: [1, 2]}",
            "must be of type list, such as [1, 2], got 1",
        ),
        (
            "notebook: theory/b\ngrid: {sizes: [[1, x]]}",
            "must hold values of type int, such as 1, got 'x'",
        ),
        ("notebook: theory/b\ngrid: {n: [1, 2, 1]}", "grid: 'n' has 1 twice"),
        ("notebook: theory/b\ngrid: {rate: [1, 1.0]}", "grid: 'rate' has 1.0 twice"),
        ("notebook: theory/b\ngrid: {n: [010, 10]}", "grid: 'n' has 10 twice"),
        ("notebook: theory/b\ngrid: {n: [1:30]}", "must be of type int, such as 3, got '1:30'"),
        ("notebook: theory/b\ngrid: {fast: [no]}", "must be of type bool, such as True, got 'no'"),
        (
            "notebook: theory/b\ngrid: {sizes: [[2026-01-01]]}",
            "must hold values of type int, such as 1, got '2026-01-01'",
        ),
        ("notebook: theory/b\ngrid: {rate: [.inf]}", "'rate' cannot be written as JSON: inf"),
        (
            "notebook: theory/b\ngrid: {rate: [nan]}",
            "must be of type float, such as 0.5, got 'nan'",
        ),
        (
            "notebook: theory/b\ngrid: {sizes: [&a [*a]]}",
            "line 2: aliases such as *a are not allowed",
        ),
        (BOMB, "line 2: aliases such as *a are not allowed"),
        (
            f"notebook: theory/b\ngrid: {{n: {list(range(2000))}, rate: {list(range(2000))}}}",
            "the grid has 4000000 jobs; a sweep has at most 100000",
        ),
        ("notebook: " + 3000 * "[", "not valid YAML: it is nested too deeply"),
        (GOOD + "profile: huge", "unknown profile 'huge'; known: quick, big"),
        (GOOD + "profile: 3", "unknown profile '3'; known: quick, big"),
        (GOOD + "profile: [3]", "profile must be a name, got ['3']"),
        (GOOD.replace("name:", "m:"), "unknown parameter 'm' of"),
        (GOOD.replace("name: z", "name: [3]"), "must be of type str, such as 'a', got ['3']"),
        (GOOD.replace("name: z", "n: 3"), "'n' is in both parameters and grid"),
        (GOOD.replace("{name: z}", "3"), "parameters must be a mapping, got 3"),
    ],
)
def test_wrong_files_are_refused(root: Path, text: str, message: str) -> None:
    with pytest.raises(sweep.SweepError) as refused:
        read(root, text)
    assert message in str(refused.value)
    assert str(root / "sweeps" / "mine.yml") in str(refused.value)
    assert not (root / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("theory/b: {n: 50, n: 51}", "the key 'n' is repeated"),
        ("theory/b: {n: 50}\ntheory/b: {n: 51}", "the key 'theory/b' is repeated"),
        ("theory/b: [", "not valid YAML: "),
        ("[theory/b]", "must map names of notebooks to parameters"),
        ("theory/b: 3", "must map names of notebooks to parameters"),
    ],
)
def test_wrong_profiles_are_refused(root: Path, text: str, message: str) -> None:
    file = root / "profiles" / "big.yml"
    file.write_text(text)
    with pytest.raises(ValueError) as refused:
        sweep.chapters("big")
    assert str(refused.value).startswith(f"{file}: {message}")
    with pytest.raises(sweep.SweepError, match=str(file)):
        read(root, GOOD + "profile: big")


def test_an_empty_profile_sets_nothing(root: Path) -> None:
    (root / "profiles" / "big.yml").write_text("# nothing yet\n")
    (job,) = sweep.chapters("big").jobs.values()
    assert job.parameters == {}


def test_a_missing_file_is_named(root: Path) -> None:
    with pytest.raises(sweep.SweepError, match="cannot read the sweep file none.yml: No such file"):
        sweep.read(Path("none.yml"))


def test_two_files_of_one_name_do_not_share_runs(root: Path, tmp_path: Path) -> None:
    found = read(root, GOOD)
    sweep.mark(found)
    assert read(root, GOOD + "# changed\n") == found
    first, second = root / "sweeps" / "mine.yml", tmp_path / "mine.yml"
    second.write_text(GOOD)
    with pytest.raises(sweep.SweepError, match="holds the runs of") as refused:
        sweep.read(second)
    assert str(first) in str(refused.value) and str(second) in str(refused.value)
    Path(str(refused.value).rpartition("was moved, remove ")[2]).unlink()
    sweep.mark(sweep.read(second))
    with pytest.raises(sweep.SweepError, match="holds the runs of"):
        sweep.mark(found)


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ({"n": -1, "rate": 1e-05}, "n=-1_rate=1e-05"),
        ({"fast": True}, "fast=true"),
        ({"name": "rand_k"}, "name=rand_k"),
        ({"name": "a b/c%d"}, "name=ab-c-d-0b7d4d8f24af"),
        ({"name": "../x"}, "name=..-x-5685398c3b6a"),
        ({"sizes": []}, "sizes=-d898001ece5b"),
    ],
)
def test_names_are_safe(point: dict[str, Any], name: str) -> None:
    assert sweep.job_name(point) == name


def test_names_differ_where_points_do() -> None:
    values = ["a b", "ab", "a/b", "a,b", "a-b", "", "a" * 90, "a" * 91, [1, 2], [12], "[12]"]
    names = {sweep.job_name({"name": value}) for value in values}
    assert len(names) == len(values)
    assert max(map(len, names)) <= 80


def test_parts_of_a_name_cannot_be_confused() -> None:
    """A value with an equals sign could end where another parameter starts."""
    places = [{"a": "1", "b": "x_b=x"}, {"a": "1_b=x", "b": "x"}]
    assert len({sweep.job_name(place) for place in places}) == 2


def test_two_places_of_one_name_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "job_name", lambda point: "same")
    (root / "sweeps" / "x.yml").write_text("notebook: theory/b\ngrid: {n: [1, 2]}\n")
    with pytest.raises(sweep.SweepError, match="two places of the grid have the name same"):
        sweep.read(root / "sweeps" / "x.yml")


@pytest.mark.parametrize("name", ["..yml", "...yml"])
def test_a_sweep_file_needs_a_name(root: Path, name: str) -> None:
    (root / "sweeps" / name).write_text("notebook: theory/b\ngrid: {n: [1, 2]}\n")
    with pytest.raises(sweep.SweepError, match="needs a name"):
        sweep.read(root / "sweeps" / name)


def test_a_job_is_one_command(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "notebook: theory/b\nparameters: {name: '12'}\ngrid: {rate: [1e-5], sizes: [[1]]}\n"
    (job,) = read(root, text).jobs.values()
    words = worker.command(job)
    assert words[:4] == [sys.executable, "-P", "-m", "cqbook.runs.worker"]
    ran: list[Job] = []
    monkeypatch.setattr("cqbook.runs.notebook.run", ran.append)
    worker.main(words[4:])
    assert ran == [job]


def test_the_example_is_the_one_the_book_shows() -> None:
    file = paths.root() / "sweeps" / "tasks.yml"
    page = (paths.root() / "book" / "batch.md").read_text(encoding="utf-8")
    shown = page.partition("```yaml\n")[2].partition("```")[0]
    assert file.read_text(encoding="utf-8").endswith(f"\n{shown}")


@pytest.mark.parametrize("name", ["clients", "tasks"])
def test_the_examples_can_be_run(name: str) -> None:
    assert len(sweep.read(paths.root() / "sweeps" / f"{name}.yml").jobs) == 6


# The commands


def call(capsys: pytest.CaptureFixture[str], monkeypatch, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["cqlib", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return int(stopped.value.code or 0), captured.err


def test_wrong_use(root: Path, capsys, monkeypatch) -> None:
    file = root / "sweeps" / "mine.yml"
    file.write_text("notebook: theory/b\ngrid: {n: [1, 1]}\n")
    for words, message in [
        (["sweep", str(file)], f"cqlib: {file}: grid: 'n' has 1 twice"),
        (["sweep"], "give a sweep file, or --profile"),
        (["sweep", "--", "--dry-run"], "give a sweep file, or --profile"),
        (["sweep", str(file), "b.yml"], "one sweep file at a time: 'b.yml' is one too many"),
        (["sweep", str(file), "--profile", "quick"], "give a sweep file, or --profile"),
        (["sweep", "--profile", "huge"], "unknown profile 'huge'; known: quick, big"),
        (["sweep", str(file), "--cores", "0"], "0 is not in the range"),
        (["collect", str(file)], "has 1 twice"),
        (["collect", "none.yml"], "cannot read the sweep file none.yml"),
    ]:
        code, said = call(capsys, monkeypatch, *words)
        assert code == 2 and message in said
    assert not (root / "runs").exists()


def test_snakemake_may_be_missing(root: Path, capsys, monkeypatch) -> None:
    (root / "sweeps" / "mine.yml").write_text("notebook: theory/b\ngrid: {n: [1]}\n")
    monkeypatch.setitem(sys.modules, "snakemake", None)
    words = ("sweep", str(root / "sweeps" / "mine.yml"), "--executor", "slurm")
    code, said = call(capsys, monkeypatch, *words)
    assert (
        code == 2
        and said == "cqlib: this command needs more packages: pip install 'cqlib[batch]'\n"
    )


def test_an_executor_that_is_not_installed_is_one_sentence(root: Path, capsys, monkeypatch) -> None:
    (root / "sweeps" / "mine.yml").write_text("notebook: theory/b\ngrid: {n: [1]}\n")
    words = ("sweep", str(root / "sweeps" / "mine.yml"), "--executor", "nope")
    code, said = call(capsys, monkeypatch, *words)
    assert code == 2 and said.count("\n") == 1
    assert said.startswith(
        "cqlib: no executor 'nope' is installed; installed: dryrun, local, slurm"
    )
    assert not (root / "runs").exists()


def test_what_snakemake_is_told() -> None:
    words = driver.arguments(driver.Options(executor="slurm", jobs=7, retries=2, more=("-n",)))
    assert words[-5:] == ["--executor", "slurm", "--jobs", "7", "-n"]
    assert words[words.index("--retries") + 1] == "2" and "--forceall" in words


class Says:
    """A fake Snakemake that writes logs, completes given jobs, and ends with an exit code."""

    def __init__(self, code: int, logs: dict[str, str], complete: list[Job]) -> None:
        self.code, self.logs, self.complete = code, logs, complete

    def __call__(self, folder: Path, words: list[str]) -> int:
        for name, text in self.logs.items():
            (folder / "logs").mkdir(exist_ok=True)
            (folder / "logs" / f"{name}.log").write_text(text)
        for job in self.complete:
            finish(job)
        return self.code


def submit(found: sweep.Sweep) -> None:
    driver.run(found, driver.Options(executor="slurm"), Console(stderr=True))


def test_only_this_starts_failures_are_told(root: Path, monkeypatch) -> None:
    found = read(root, "notebook: theory/b\ngrid: {n: [1, 2]}\n")

    def told(*snakemake: Any) -> str:
        monkeypatch.setattr(driver, "_snakemake", Says(*snakemake))
        with pytest.raises(runner.JobsError) as failed:
            submit(found)
        return str(failed.value)

    said = told(1, {"n=1": "first\ncqlib: bad luck\n", "n=2": ""}, [])
    assert said.startswith(
        "n=1: bad luck\nn=2: ended without a message\nnot all jobs completed (logs: "
    )
    assert told(2, {}, []).startswith("not all jobs completed")
    assert told(1, {"n=1": "cqlib: again\n"}, []).startswith("n=1: again\nnot all jobs")
    assert told(1, {"n=1": "cqlib: b: bad\n"}, []).startswith("n=1: b: bad\n")
    assert told(-9, {}, []).startswith(
        "Snakemake was ended by signal 9; run the same command again"
    )
    said = told(1, {"n=1": "stopped"}, list(found.jobs.values()))
    assert said == "all jobs are complete, yet Snakemake ended with exit code 1"


def test_only_what_is_out_of_date_is_submitted(root: Path, monkeypatch) -> None:
    found = read(root, "notebook: theory/b\ngrid: {n: [1, 2]}\n")
    finish(found.jobs["n=1"])
    plans: list[Any] = []

    def snakemake(folder: Path, words: list[str]) -> int:
        plans.append(json.loads((folder / ".jobs.json").read_text()))
        finish(found.jobs["n=2"])
        return 0

    monkeypatch.setattr(driver, "_snakemake", snakemake)
    submit(found)
    submit(found)
    assert plans == [{"n=2": worker.command(found.jobs["n=2"])}]


def test_planning_reads_the_packages_once(root: Path, monkeypatch) -> None:
    found = read(root, "notebook: theory/b\ngrid: {n: [1, 2, 3]}\n")
    for job in found.jobs.values():
        finish(job)
    read_packages, times = provenance.Sources, []
    monkeypatch.setattr(provenance, "Sources", lambda at: times.append(1) or read_packages(at))
    assert runner.outdated(found.jobs) == [] and len(times) == 1
    assert not collect.collect(found).absent and len(times) == 2
    assert len({fingerprint(job) for job in found.jobs.values()}) == 3


# Collected tables


def fingerprint(job: Job) -> str:
    return provenance.Snapshot().fingerprint(job.source, job.parameters)


def finish(job: Job, **tables: str) -> None:
    """Write an up-to-date run into a job's folder."""
    (job.folder / "results").mkdir(parents=True)
    for name, text in tables.items():
        (job.folder / "results" / f"{name}.csv").write_text(text)
    (job.folder / "results" / "drawing.svg").write_text("<svg/>")
    (job.folder / f"{job.source.stem}.ipynb").touch()
    made = provenance_of(job.folder, fingerprint=fingerprint(job))
    (job.folder / "provenance.json").write_text(made)


def test_tables_are_joined_with_their_place_in_the_grid(root: Path) -> None:
    found = read(root, "notebook: theory/b\ngrid: {n: [2, 1], name: ['a,b']}\n")
    two, one = found.jobs.values()
    finish(one, t='x,n\n1,"0.10"\n', only="y\n5\n")
    finish(two, t="x,z\n7,\n8,1e-5\n")
    joined = collect.collect(found)
    assert list(joined.tables) == ["only", "t"] and joined.absent == {}
    rows = list(csv.DictReader(joined.tables["t"].splitlines()))
    assert rows[0] == {
        **{"n": "2", "name": "a,b", "job": two.folder.name, "commit": "c0ffee"},
        **{"cqlib": "0.1.9", "fingerprint": fingerprint(two)},
        **{"x": "7", "z": "", "parameter_n": ""},
    }
    assert [row["x"] for row in rows] == ["7", "8", "1"]
    assert rows[1]["z"] == "1e-5", "numbers stand as they were written"
    assert (rows[2]["n"], rows[2]["parameter_n"]) == ("0.10", "1"), "the table's own name wins"
    assert "seconds" not in joined.tables["t"] and "1.5" not in joined.tables["t"]
    assert joined == collect.collect(found)


def test_what_is_missing_or_out_of_date_is_left_out(root: Path) -> None:
    found = read(root, "notebook: theory/b\ngrid: {n: [1, 2, 3, 4]}\n")
    one, two, _, four = found.jobs.values()
    for job in (one, two, four):
        finish(job, t=f"x\n{job.parameters['n']}\n")
    made = two.folder / "provenance.json"
    made.write_text(provenance.text(provenance.read(made) | {"fingerprint": "old"}))
    (four.folder / "results" / "t.csv").write_text("")
    (one.folder / "results" / "a copy of t.csv").write_text("x\n7\n")
    joined = collect.collect(found)
    assert joined.absent == {"n=2": "out of date", "n=3": "missing", "n=4": "out of date"}
    assert joined.jobs == 4 and list(joined.tables) == ["t"], "only what the run made"
    assert [row["n"] for row in csv.DictReader(joined.tables["t"].splitlines())] == ["1"]


def test_where_tables_go(root: Path, tmp_path: Path) -> None:
    found = read(root, "notebook: theory/b\ngrid: {n: [1]}\n")
    (job,) = found.jobs.values()
    finish(job, t="x\n1\n", u="y\n2\n")
    joined = collect.collect(found)
    places = collect.write(joined)
    assert places == [found.folder / "collected" / f"{name}.csv" for name in "tu"]
    with pytest.raises(sweep.SweepError, match="one table, there are: t, u; choose with --table"):
        collect.write(joined, tmp_path / "x.csv")
    one = collect.collect(found, "u")
    assert collect.write(one, tmp_path / "x.csv") == [tmp_path / "x.csv"]
    assert (tmp_path / "x.csv").read_bytes() == places[1].read_bytes()
    with pytest.raises(sweep.SweepError, match="no table 'v'; there are: t, u"):
        collect.collect(found, "v")
