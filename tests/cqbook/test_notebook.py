"""The runner: strict parameters, whole runs or none, and reproducible output."""

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
import pytest

from cqbook import paths, strict_yaml
from cqbook.runs import notebook, provenance
from cqbook.runs.imports import Sources
from cqbook.runs.job import Job, is_current, planned
from cqbook.runs.parameters import ParameterError, defaults

pytestmark = pytest.mark.slow

PARAMETERS = "n = 3\nrate = 0.5\nname = 'a'\nsizes = [1, 2]\nfast = True"


def write(path: Path, *cells: str, parameters: str | None = PARAMETERS) -> Path:
    """Write a notebook of code cells; the first is tagged as parameters if there is one."""
    nb = nbformat.v4.new_notebook()
    if parameters is not None:
        cell = nbformat.v4.new_code_cell(parameters)
        cell.metadata["tags"] = ["parameters"]
        nb.cells.append(cell)
    nb.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(nb, path)
    return path


def plan(source: Path, folder: Path, **overrides: Any) -> Job:
    return planned(source, overrides=overrides, folder=folder)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


# Parameters


def test_defaults_are_the_literals_of_the_parameters_cell(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb")
    assert defaults(source) == {
        "n": 3,
        "rate": 0.5,
        "name": "a",
        "sizes": [1, 2],
        "fast": True,
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (None, "needs one cell tagged 'parameters', has 0"),
        ("n = 3\nm = n + 1", "not 'm = n \\+ 1'"),
        ("import os", "not 'import os'"),
        ("a = b = 1", "not 'a = b = 1'"),
        ("a, b = 1, 2", "not 'a, b = \\(1, 2\\)'"),
    ],
)
def test_parameters_cells_that_are_no_profile(
    tmp_path: Path, parameters: str | None, message: str
) -> None:
    source = write(tmp_path / "a.ipynb", parameters=parameters)
    with pytest.raises(ParameterError, match=message):
        defaults(source)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("m", 4, "unknown parameter 'm' of .*known: n, rate, name, sizes, fast"),
        ("n", 4.5, "'n' of .* must be of type int, such as 3, got 4.5"),
        ("n", True, "must be of type int, such as 3, got True"),
        ("name", 7, "must be of type str"),
        ("sizes", "1,2", "must be of type list"),
        ("fast", 1, "must be of type bool"),
        ("rate", "much", "must be of type float, such as 0.5, got 'much'"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path: Path, name: str, value: Any, message: str) -> None:
    source = write(tmp_path / "a.ipynb")
    with pytest.raises(ParameterError, match=message):
        plan(source, tmp_path / "run", **{name: value})


def test_a_whole_number_does_for_a_float(tmp_path: Path) -> None:
    job = plan(write(tmp_path / "a.ipynb"), tmp_path / "run", rate=2)
    assert job.parameters == {"rate": 2}
    text = plan(write(tmp_path / "a.ipynb"), tmp_path / "run", rate="1e-3")  # as YAML reads it
    assert text.parameters == {"rate": 0.001}


LISTS = """
rates = [[0.1], [0.2, 0.3]]
mixed = ['a', 1]
rows = [['a', 'raw', 0.1], ['b', 'raw', 0.2]]
none = []
one_row = [[0.1, 'a']]
"""


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("rates", [["1e-3", 2], []], [[0.001, 2.0], []]),
        ("rates", [], []),
        ("mixed", ["1e-3", 1.5, True], ["1e-3", 1.5, True]),
        ("mixed", [2, "b"], [2, "b"]),
        ("rows", [["1e-3", "raw", "1e-3"]], [["1e-3", "raw", 0.001]]),
        ("rows", [["a", "1e-3"]], [["a", "1e-3"]]),
        ("none", ["1e-3", [2]], ["1e-3", [2]]),
        ("one_row", [["1e-3", "b"]], [[0.001, "b"]]),
    ],
)
def test_what_lists_hold_is_as_in_the_notebook(
    tmp_path: Path, name: str, value: Any, found: Any
) -> None:
    source = write(tmp_path / "a.ipynb", parameters=LISTS)
    (given,) = plan(source, tmp_path / "run", **{name: value}).parameters.values()
    assert repr(given) == repr(found)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0.1], "'rates' of .* must hold values of type list, such as \\[0.1\\], got 0.1"),
        ([[0.1], ["much"]], "must hold values of type float, such as 0.1, got 'much'"),
        ([[True]], "must hold values of type float, such as 0.1, got True"),
        ([[10**400]], "must hold values of type float"),
        ("[[0.1]]", "must be of type list, such as"),
    ],
)
def test_what_lists_hold_is_checked(tmp_path: Path, value: Any, message: str) -> None:
    source = write(tmp_path / "a.ipynb", parameters=LISTS)
    with pytest.raises(ParameterError, match=message):
        plan(source, tmp_path / "run", rates=value)


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb")
    (tmp_path / "home").mkdir()
    assert plan(source, tmp_path / "home").folder == tmp_path / "home"  # an empty folder is allowed
    (tmp_path / "home" / "thesis.tex").touch()
    for folder in (tmp_path / "home", tmp_path / "home" / "thesis.tex"):
        with pytest.raises(ParameterError, match="is not the folder of a run"):
            plan(source, folder)


def test_a_damaged_run_is_not_current(tmp_path: Path) -> None:
    job = plan(write(tmp_path / "a.ipynb"), tmp_path / "run")
    notebook.run(job)
    made = job.folder / "provenance.json"
    good = made.read_text()
    listed = json.dumps(json.loads(good) | {"files": ["a.ipynb"]})  # as in an older format
    emptied = json.dumps(json.loads(good) | {"files": {}})
    for content in ("{}", "{", "[]", listed, emptied):
        made.write_text(content)
        assert not is_current(job)
        made.write_text(good)
    assert is_current(job)
    executed = job.folder / "a.ipynb"
    whole = executed.read_text()
    for content in ("", whole.replace("3", "4", 1)):
        executed.write_text(content)
        assert not is_current(job)
        executed.write_text(whole)
    assert is_current(job)
    (job.folder / "results").rmdir()
    assert not is_current(job)


def test_unknown_profile_and_missing_notebook(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb")
    with pytest.raises(ParameterError, match=r"unknown profile 'big'; known: quick, authors, pap"):
        planned(source, profile="big")
    with pytest.raises(ParameterError, match="no notebook"):
        planned(tmp_path / "none.ipynb")


def test_different_overrides_get_different_folders(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb")
    folders = {planned(source, overrides=o).folder for o in ({}, {"n": 1}, {"n": 2})}
    assert len(folders) == 3


# Dependencies of a run


LEDGER = """
- {id: theorem-1, kind: theorem, title: Theorem 1, name: bias, statement: It is unbiased.}
- {id: lemma-9, kind: lemma, title: Lemma 9, name: sums, statement: They add up.}
"""
CELLS = """
from cqbook import paths, strict_yaml
from cqbook.cells import claims
from cqbook.evidence import worst_inputs
from cqlib import Key, compressors
table = paths.root() / "benchmarks" / "results" / "means.csv"
claims.check("theorem-1", "holds", holds=len(str(table)) > 1, stated="s", measured="m")
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of both packages with a small ledger, a page and a table, for a notebook."""
    for package in ("cqlib", "cqbook"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(paths.root() / package, tmp_path / package, ignore=ignored)
    for name, text in {
        "book/claims.yml": LEDGER,
        "book/page.md": "# A page\n",
        "benchmarks/results/means.csv": "n,x\n1,2\n",
        "benchmarks/results/other.csv": "n,x\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write(tmp_path / "a.ipynb", CELLS)
    monkeypatch.setenv("CQLIB_ROOT", str(tmp_path))
    monkeypatch.setattr(provenance, "_PACKAGES", tmp_path)
    return tmp_path


def fingerprint(checkout: Path) -> str:
    return provenance.Snapshot().fingerprint(checkout / "a.ipynb", {})


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("book/page.md", "A page", "The page"),
        ("book/claims.yml", "It is unbiased", "It has no bias"),
        ("book/claims.yml", "name: bias", "name: its bias"),
        ("book/claims.yml", "title: Lemma 9", "title: Lemma 8"),
        ("book/claims.yml", "kind: lemma", "kind: theorem"),
        (
            "book/claims.yml",
            "\n",
            "\n- {id: new, kind: lemma, title: New}\n",
        ),
        ("cqlib/data/README.md", "a9a", "A9A"),
        ("cqlib/__init__.py", '__version__ = "', '__version__ = "9.'),
        ("cqlib/kernels/gpu/levels.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("benchmarks/results/other.csv", "n,x", "n,y"),
        ("cqlib/keys.py", "\n", "\n# a comment\n"),
        ("cqlib/keys.py", '"""', '"""Another docstring, then: '),
        ("cqlib/keys.py", "import numpy as np\n", "import numpy as np\n\n"),
        ("cqlib/distributed/mean.py", "import torch\n", "import torch\n\nNEW = 1\n"),
        ("cqlib/methods/gd.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqbook/cli/run.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqbook/runs/runner.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqbook/book/build.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqbook/network/links.py", "import annotations\n", "import annotations\nNEW = 1\n"),
    ],
)
def test_what_a_run_does_not_use_may_change(checkout: Path, file: str, old: str, new: str) -> None:
    before = fingerprint(checkout)
    text = (checkout / file).read_text()
    assert old in text
    (checkout / file).write_text(text.replace(old, new, 1))
    assert fingerprint(checkout) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("book/claims.yml", "kind: theorem", "kind: lemma"),
        ("book/claims.yml", "title: Theorem 1", "title: Theorem 2"),
        ("book/claims.yml", "id: theorem-1", "id: theorem-2"),
        ("benchmarks/results/means.csv", "1,2", "1,3"),
        ("cqlib/keys.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqlib/philox.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqlib/compressors/top_k.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqlib/kernels/cpu/threads.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqbook/cells/claims.py", "import annotations\n", "import annotations\nNEW = 1\n"),
        ("cqbook/evidence/worst_inputs.json", "{", "{ "),
        ("cqbook/runs/notebook.py", "import annotations\n", "import annotations\nNEW = 1\n"),
    ],
)
def test_what_a_run_uses_counts(checkout: Path, file: str, old: str, new: str) -> None:
    before = fingerprint(checkout)
    text = (checkout / file).read_text()
    assert old in text
    (checkout / file).write_text(text.replace(old, new, 1))
    assert fingerprint(checkout) != before


@pytest.mark.parametrize(
    "file",
    [
        "cqlib/data/.libsvm.py.swp",
        "cqlib/data/libsvm.py~",
        "cqlib/data/.a9a.svm.xz",
        "cqlib/theory/NOTES.md",
        "cqlib/compressors/.#top_k.py",
    ],
)
def test_a_new_file_that_no_run_reads_is_nothing(checkout: Path, file: str) -> None:
    write(checkout / "a.ipynb", CELLS + "from cqlib import data, theory\n")
    before = fingerprint(checkout)
    (checkout / file).write_text("x = 1\n")
    assert fingerprint(checkout) == before


@pytest.mark.parametrize("file", ["cqlib/data/new.svm.xz", "cqlib/data/a9a.svm.xz"])
def test_data_of_a_package_count(checkout: Path, file: str) -> None:
    write(checkout / "a.ipynb", CELLS + "from cqlib import data\n")
    before = fingerprint(checkout)
    (checkout / file).write_bytes(b"x")
    assert fingerprint(checkout) != before


def test_kernels_for_gpus_count_if_a_gpu_is_asked_for(checkout: Path, monkeypatch) -> None:
    file, source = checkout / "cqlib" / "kernels" / "gpu" / "levels.py", checkout / "a.ipynb"

    def counts(**parameters: str) -> bool:
        text, before = file.read_text(), provenance.Snapshot().fingerprint(source, parameters)
        file.write_text(text + "NEW = 1\n")
        after = provenance.Snapshot().fingerprint(source, parameters)
        file.write_text(text)
        return before != after

    assert not counts(name="cpu") and counts(name="cuda:0")
    monkeypatch.setenv("CQLIB_BACKEND", "gpu")
    assert counts()
    monkeypatch.setenv("CQLIB_BACKEND", "cpu")
    assert not counts()
    write(source, CELLS + "torch.set_default_device('cuda')\n")
    assert counts()


@pytest.mark.parametrize(
    "line",
    [
        "from .keys import Key",
        "from . import keys",
        "from importlib import import_module\nimport_module('.keys', 'cqlib')",
        "import importlib\nimportlib.import_module('cqlib.keys')",
    ],
)
def test_every_form_of_import_is_seen(tmp_path: Path, line: str) -> None:
    for name, text in {"__init__": "", "a": line, "keys": "from ..cqbook import b"}.items():
        (tmp_path / "cqlib").mkdir(exist_ok=True)
        (tmp_path / "cqlib" / f"{name}.py").write_text(text)
    used = Sources(tmp_path).used(ast.parse("import cqlib.a"))
    assert used == {"cqlib", "cqlib.a", "cqlib.keys"}


def test_the_versions_of_all_libraries_of_the_notebooks_are_kept() -> None:
    sources, homes = Sources(paths.root()), metadata.packages_distributions()
    notebooks = [nbformat.read(p, as_version=4) for p in paths.notebooks().rglob("*.ipynb")]
    cells = [c.source for nb in notebooks for c in nb.cells if c.cell_type == "code"]
    code = [ast.parse(cell) for cell in cells]
    names = {name for each in code for name in sources.used(each, without="cqlib.kernels.gpu")}
    code += [ast.parse(sources.files[name].read_text(encoding="utf-8")) for name in names]
    nodes = [node for each in code for node in ast.walk(each)]
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    modules = {name.partition(".")[0] for name in found} - sys.stdlib_module_names
    libraries = {homes[name][0].lower() for name in modules - {"cqlib", "cqbook"}}
    without_effect = {"click", "psutil", "pyyaml", "threadpoolctl"}
    without_effect.add("llvmlite")  # its version is Numba's choice
    assert libraries - without_effect <= set(provenance.versions())
    assert {"sympy", "torch"} <= libraries


def test_notebooks_name_their_items_to_the_letter() -> None:
    """Only the items that cells name in quotation marks count in a fingerprint."""
    for path in paths.notebooks().rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        outputs = [o.get("metadata", {}) for cell in cells for o in cell.get("outputs", [])]
        shown = {o["cqlib"]["claim"] for o in outputs if "claim" in o.get("cqlib", {})}
        assert shown <= provenance._literals(code), path


def test_a_new_compressor_is_found_by_its_place(checkout: Path) -> None:
    before = fingerprint(checkout)
    (checkout / "cqlib" / "methods" / "new.py").write_text("")
    assert fingerprint(checkout) == before
    (checkout / "cqlib" / "compressors" / "new.py").write_text("")
    assert fingerprint(checkout) != before


def test_parameters_cells_and_versions_count(checkout: Path, monkeypatch) -> None:
    before = fingerprint(checkout)
    source, now = checkout / "a.ipynb", provenance.Snapshot()
    assert now.fingerprint(source, {"n": 3}) not in (before, now.fingerprint(source, {"n": 4}))
    numba = provenance.versions() | {"numba": "0"}
    monkeypatch.setattr(provenance, "versions", lambda: numba)
    assert fingerprint(checkout) != before
    monkeypatch.undo()
    write(source, CELLS + "# a comment is shown\n")
    assert fingerprint(checkout) != before


def test_cells_that_python_cannot_read_use_everything(checkout: Path) -> None:
    write(checkout / "a.ipynb", "%matplotlib inline\n!ls\nimport math")
    magic = fingerprint(checkout)
    write(checkout / "a.ipynb", "for i in range(3):\n    !ls")
    shell = fingerprint(checkout)
    (checkout / "cqlib" / "keys.py").write_text("")
    assert fingerprint(checkout) != shell
    write(checkout / "a.ipynb", "%matplotlib inline\n!ls\nimport math")
    assert fingerprint(checkout) == magic


def test_modules_that_are_loaded_are_among_those_that_count() -> None:
    """The modules loaded by a notebook's imports and a round of messages are those found."""
    cell = (
        "from cqbook import evidence, paths\n"
        "from cqbook.cells import claims, plotting, results, setup\n"
        "from cqlib import Key, compressors, problems, theory\n"
    )
    use = (
        "import sys, torch\n"
        "c = compressors.make('cq', levels=4)\n"
        "c.mean(torch.ones(2, 8), key=Key(1))\n"
        "print(*(name for name in sys.modules if name.partition('.')[0] in ('cqlib', 'cqbook')))"
    )
    done = subprocess.run([sys.executable, "-c", cell + use], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sources = Sources(paths.root())
    assert set(done.stdout.split()) <= sources.used(ast.parse(cell))
    assert "cqlib.distributed" not in sources.used(ast.parse(cell))
    by_name = sources.used(ast.parse("run('-m', 'cqlib.distributed.marina')"))
    assert "cqlib.distributed.marina.__main__" in by_name


# Runs


def test_a_run_holds_everything_and_is_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os; from pathlib import Path\n"
        "from cqbook.cells import claims\n"
        "Path(os.environ['CQLIB_RESULTS'], 'x.csv').write_text(str(n))\n"
        "claims.check('theorem-1', 'holds', holds=n > 4, stated='s', measured=str(n))"
    )
    source = write(tmp_path / "a.ipynb", code, "print(n, rate)")
    provenance.machine()  # threadpoolctl sets a variable when it is first imported
    before = dict(os.environ)
    job = plan(source, tmp_path / "run", n=5)
    assert not is_current(job)
    told = notebook.run(job)
    assert dict(os.environ) == before
    assert is_current(job)
    first = tree(job.folder)
    assert set(first) == {"a.ipynb", "claims.jsonl", "provenance.json", "results/x.csv"}
    assert first["results/x.csv"] == b"5"
    assert json.loads(first["claims.jsonl"])["measured"] == "5"
    assert told["parameters"] == {"n": 5, "rate": 0.5, "name": "a", "sizes": [1, 2], "fast": True}
    assert {"fingerprint", "seconds", "commit", "versions", "device", "arithmetic"} <= set(told)
    executed = nbformat.reads(first["a.ipynb"].decode(), as_version=4)
    assert executed.cells[-1].outputs[0].text == "5 0.5\n"

    notebook.run(job)
    again = tree(job.folder)
    for name in ("a.ipynb", "claims.jsonl", "results/x.csv"):
        assert again[name] == first[name], name
    assert sorted(p.name for p in tmp_path.iterdir()) == [".run.lock", "a.ipynb", "run"]

    changed = plan(source, tmp_path / "run", n=6)
    assert not is_current(changed)
    write(source, code, "print(n, rate) ")
    assert not is_current(job)


def test_claims_that_could_not_be_read_later_fail_the_run(tmp_path: Path) -> None:
    """Otherwise the run would count as damaged, and be repeated for ever."""
    by_hand = "import os; open(os.environ['CQLIB_CLAIMS'], 'w').write('{}\\n')"
    job = plan(write(tmp_path / "a.ipynb", by_hand), tmp_path / "run")
    with pytest.raises(notebook.NotebookError, match=r"a: claims\.jsonl, line 1: expected texts"):
        notebook.run(job)
    assert not job.folder.exists() and (tmp_path / "run.failed.ipynb").exists()


@pytest.mark.parametrize("name", ["*", "?", "[a]", "a", "a.work-b"])
def test_a_run_removes_only_its_own_work_folders(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setattr(notebook, "_run", lambda job: {})
    names = ["*", "?", "[a]", "a", "a.work-b"]
    made = {each: tmp_path / f".{each}.work-abc_1234" for each in names}
    for folder in made.values():
        folder.mkdir()
    notebook.run(Job(tmp_path / "a.ipynb", {}, tmp_path / name))
    assert [each for each, folder in made.items() if not folder.exists()] == [name]


def test_a_failing_cell_keeps_the_earlier_run(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb", "assert n < 4, 'n is large'")
    job = plan(source, tmp_path / "run")
    notebook.run(job)
    kept = tree(job.folder)
    bad = plan(source, tmp_path / "run", n=9)
    with pytest.raises(notebook.NotebookError, match="a: cell .* AssertionError: n is large"):
        notebook.run(bad)
    assert tree(job.folder) == kept
    assert (tmp_path / "run.failed.ipynb").is_file()
    made = {p.name for p in tmp_path.iterdir()}
    assert made == {".run.lock", "a.ipynb", "run", "run.failed.ipynb"}
    notebook.run(job)
    assert not (tmp_path / "run.failed.ipynb").exists()


def test_store_writes_clean_outputs_into_the_notebook(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb", "print(2 * n)")
    notebook.store(source)
    first = source.read_bytes()
    stored = nbformat.reads(first.decode(), as_version=4)
    assert stored.cells[1].outputs[0].text == "6\n"
    assert stored.cells[0].metadata == {"tags": ["parameters"]}
    assert "papermill" not in first.decode()
    notebook.store(source)
    assert source.read_bytes() == first
    write(source, "1 / 0")
    before = source.read_bytes()
    with pytest.raises(notebook.NotebookError, match="ZeroDivisionError"):
        notebook.store(source)
    assert source.read_bytes() == before


def test_a_damaged_run_of_our_own_folder_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "runs", lambda profile: tmp_path / profile)
    source = write(tmp_path / "a.ipynb")
    notebook.run(planned(source))
    (planned(source).folder / "provenance.json").unlink()
    again = planned(source)
    assert not is_current(again)
    notebook.run(again)
    assert is_current(again)


def test_notebooks_of_one_name_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside ``notebooks/`` neither another notebook's run is replaced nor the book's."""
    monkeypatch.setattr(paths, "runs", lambda profile: tmp_path / "runs" / profile)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    own = [write(tmp_path / folder / "quickstart.ipynb") for folder in ("a", "b")]
    jobs = [planned(source) for source in (*own, paths.notebooks() / "quickstart.ipynb")]
    assert len({job.folder for job in jobs}) == 3
    assert jobs[2].folder == tmp_path / "runs" / "quick" / "quickstart"
    # A profile's parameters are for the book's notebook only.
    assert planned(own[0], profile="standard").parameters == {}
    assert planned(jobs[2].source, profile="standard").parameters["dataset"] == "a9a"


def test_a_killed_kernel_is_told_with_its_cell(tmp_path: Path) -> None:
    source = write(tmp_path / "dies.ipynb", "print('before')", "import os; os._exit(9)", "1")
    with pytest.raises(notebook.NotebookError) as told:
        notebook.run(plan(source, tmp_path / "run"))
    kept = tmp_path / "run.failed.ipynb"
    assert "dies: the kernel was killed in cell 2, perhaps for memory" in str(told.value)
    assert str(kept) in str(told.value)
    cells = nbformat.read(kept, as_version=4).cells
    assert "before" in cells[1].outputs[0].text and not (tmp_path / "run").exists()


def test_a_list_stands_for_a_tuple(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb", parameters="shifts = (0.0, 1.0)")
    given = strict_yaml.load("[0.0, 2]", typed=False)
    assert plan(source, tmp_path / "run", shifts=given).parameters == {"shifts": [0.0, 2.0]}
    with pytest.raises(ParameterError, match="'shifts' .* must hold values of type float.* 'x'"):
        plan(source, tmp_path / "run", shifts=["x"])


DAMAGED = {
    "{}": "is not a notebook",
    "[]": "is not a notebook",
    "null": "is not a notebook",
    "": "is not a notebook",
    "not JSON": "is not a notebook",
}


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_notebook_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(ParameterError, match=DAMAGED[text]):
        plan(tmp_path / "a.ipynb", tmp_path / "run")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%matplotlib inline", "the parameters cell is not Python"),
        ("n = ", "the parameters cell is not Python"),
        ("b = b'x'", "the value of 'b' cannot be written as JSON"),
        ("b = {1, 2}", "the value of 'b' cannot be written as JSON"),
    ],
)
def test_a_damaged_parameters_cell_is_one_sentence(tmp_path: Path, cell: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        plan(write(tmp_path / "a.ipynb", parameters=cell), tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!int 010", "line 1: tags such as !!int are not allowed"),
        ("[!!set {a}]", "line 1: tags such as !!set are not allowed"),
        ("a: !own 3", "line 1: tags such as !own are not allowed"),
        ("{1: a, 01: b}", "the key '01' is repeated"),
        ("{1: a, 1.0: b}", "the key '1.0' is repeated"),
        ("{1: a, true: b}", "the key 'true' is repeated"),
        ("{0: a, false: b}", "the key 'false' is repeated"),
        ("{1: a, '1': b}", "the key '1' is repeated"),  # as it would be in JSON
        ("{null: a, 'null': b}", "the key 'null' is repeated"),
        ("9" * 5000, "999... has too many digits, 5000"),
    ],
)
def test_yaml_without_tags_or_surprises(text: str, message: str) -> None:
    with pytest.raises(strict_yaml.YAMLError, match=message):
        strict_yaml.load(text)


def test_a_value_that_cannot_be_read_names_its_parameter(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb")
    for value in ("9" * 5000, "1e999"):
        given = strict_yaml.load(value, typed=False)
        with pytest.raises(ParameterError, match="parameter 'n' of .*a.ipynb: "):
            plan(source, tmp_path / "run", n=given)
