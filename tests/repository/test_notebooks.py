"""Lint of the notebooks and of their stored outputs; nbval tests that they run."""

import ast
import builtins
import configparser
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from cqbook import paths
from cqbook.book import ledger
from cqbook.cells import claims
from cqbook.experiments.outcomes import MARGIN
from cqbook.runs import contents, notebook
from cqbook.runs.job import is_current, notebook_name, planned
from cqbook.runs.parameters import checked, defaults
from tests import built_book, stored_numbers
from tests.helpers import stored_verdicts
from tests.small_runs import SMALL

NOTEBOOKS = sorted(paths.notebooks().rglob("*.ipynb"))
TAGS = {"parameters", "nbval-ignore-output", "hide-input", "remove-stderr"}
MAX_BYTES = 300_000
MAX_LINES = 40  # per cell: longer code belongs in cqbook, typed and tested
FORBIDDEN = ("tqdm", "time.time", "perf_counter", "getcwd", "np.random.seed", "torch.manual_seed")


@pytest.fixture(params=NOTEBOOKS, ids=[notebook_name(path) for path in NOTEBOOKS])
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@cache
def read(path: Path) -> nbformat.NotebookNode:
    """Return a notebook; tests may not change it."""
    return nbformat.read(path, as_version=4)


@pytest.fixture
def nb(path: Path) -> nbformat.NotebookNode:
    return read(path)


def code_cells(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def checks(nb: nbformat.NotebookNode) -> Iterator[ast.Call]:
    """Yield all calls of claims.check."""
    for cell in code_cells(nb):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "claims.check":
                yield node


def literal_conditions(nb: nbformat.NotebookNode) -> list[str]:
    """Return the calls of claims.check whose `holds` depends on no computed value."""
    found = []
    for call in checks(nb):
        holds = next((k.value for k in call.keywords if k.arg == "holds"), ast.Constant(None))
        names = {node.id for node in ast.walk(holds) if isinstance(node, ast.Name)}
        if not names - set(dir(builtins)):
            found.append(ast.unparse(call))
    return found


def test_there_are_notebooks() -> None:
    assert {notebook_name(p) for p in NOTEBOOKS} == set(contents.chapters())


def test_is_clean(path: Path, nb: nbformat.NotebookNode) -> None:
    nbformat.validate(nb)
    text = path.read_text(encoding="utf-8")
    assert text == nbformat.writes(notebook.clean(deepcopy(nb))) + "\n", "run: cqlib store NOTEBOOK"
    assert len(text.encode()) < MAX_BYTES
    assert nb.metadata.kernelspec.name == "python3"
    assert str(paths.root()) not in text and str(Path.home()) + "/" not in text


def test_starts_with_title_and_parameters(path: Path, nb: nbformat.NotebookNode) -> None:
    first, *_, last = nb.cells
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert "parameters" in code_cells(nb)[0].metadata.tags
    assert defaults(path)
    assert last.cell_type == "markdown", "a closing sentence on what was found"


def definitions(nb: nbformat.NotebookNode) -> Iterator[str]:
    """Yield the names of a notebook's functions and classes, without nested ones."""
    for cell in code_cells(nb):
        for node in ast.parse(cell.source).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield node.name


def test_cells_are_short(nb: nbformat.NotebookNode) -> None:
    lines = [len(cell.source.splitlines()) for cell in code_cells(nb)]
    assert max(lines) <= MAX_LINES, f"cell {lines.index(max(lines))}: {max(lines)} lines"


def test_nothing_is_defined_in_two_notebooks() -> None:
    """Common functions of two notebooks are in cqbook, once."""
    homes: dict[str, set[str]] = {}
    for each in NOTEBOOKS:
        for name in definitions(read(each)):
            homes.setdefault(name, set()).add(notebook_name(each))
    assert not {name: found for name, found in homes.items() if len(found) > 1}


def test_definitions_are_found() -> None:
    cell = nbformat.v4.new_code_cell("def f():\n    def g(): ...\nclass C: ...")
    assert list(definitions(nbformat.v4.new_notebook(cells=[cell]))) == ["f", "C"]


def test_tags_are_known(nb: nbformat.NotebookNode) -> None:
    found = {tag for cell in nb.cells for tag in cell.metadata.get("tags", [])} - TAGS
    allowed = [stored_numbers.tolerance([tag]) for tag in found]
    assert all(within is not None and 0 < within <= MARGIN for within in allowed), found


def test_every_cell_was_run_without_errors(nb: nbformat.NotebookNode) -> None:
    counts = [cell.execution_count for cell in code_cells(nb)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(nb):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


def test_nothing_that_differs_from_machine_to_machine(nb: nbformat.NotebookNode) -> None:
    for cell in code_cells(nb):
        assert not [word for word in FORBIDDEN if word in cell.source]
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("./", "../")), "relative path"


def test_only_figures_are_not_compared(nb: nbformat.NotebookNode) -> None:
    for cell in code_cells(nb):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert cell.outputs and all("image/svg+xml" in o.get("data", {}) for o in cell.outputs)


def test_conditions_are_computed(nb: nbformat.NotebookNode) -> None:
    assert list(checks(nb)) and not literal_conditions(nb)


@pytest.mark.parametrize("holds", ["True", "not False", "1 < 2", "bool(1)", "all([True])"])
def test_a_literal_condition_would_be_found(holds: str) -> None:
    cell = nbformat.v4.new_code_cell(f"claims.check('theorem-1', 'holds', holds={holds})")
    assert literal_conditions(nbformat.v4.new_notebook(cells=[cell]))


def test_a_figure_names_the_data_it_may_rest_on(nb: nbformat.NotebookNode) -> None:
    """If a parameter names the data, a caption must name them, too."""
    calls = [
        n for c in code_cells(nb) for n in ast.walk(ast.parse(c.source)) if isinstance(n, ast.Call)
    ]
    loads = [c for c in calls if ast.unparse(c.func) == "data.load"]
    shows = [ast.unparse(c) for c in calls if ast.unparse(c.func) == "plotting.show"]
    if any(not isinstance(c.args[0], ast.Constant) for c in loads) and shows:
        assert any("label" in show for show in shows)


def test_announces_its_claims(nb: nbformat.NotebookNode) -> None:
    """Every check is displayed: the stored outputs link every verdict to an item."""
    shown = list(stored_verdicts(nb))
    assert shown and all(evidence.verdict in claims.VERDICTS for evidence in shown)


TOO_LONG_FOR_QUICK = {"figure-2", "table-3"}  # runs on the paper's data sets


def test_every_item_has_one_verdict() -> None:
    found: dict[str, list[claims.Evidence]] = {id: [] for id in claims.ledger()}
    for each in NOTEBOOKS:
        for evidence in stored_verdicts(read(each)):
            found[evidence.id].append(evidence)
    # Verdicts that disagree raise.
    decided = {id: claims.verdict(records) for id, records in found.items()}
    still_open = {id for id, verdict in decided.items() if verdict == claims.OPEN}
    assert still_open == TOO_LONG_FOR_QUICK
    for id, verdict in decided.items():
        wrong = verdict not in (*ledger.AS_STATED, claims.OPEN)
        assert not wrong or claims.ledger()[id].corrected, f"{id} needs a corrected statement"


def test_every_statement_of_the_theory_has_a_box() -> None:
    """The book states every definition, theorem, algorithm etc. once, with the ledger's id."""
    texts = [each.read_text(encoding="utf-8") for each in NOTEBOOKS]
    boxes = [id for text in texts for id in ledger.stated_in(text)]
    kinds = ("definition", "assumption", "proposition", "lemma", "theorem", "corollary")
    wanted = {id for id, item in claims.ledger().items() if item.kind in kinds}
    wanted |= {f"algorithm-{k}" for k in range(1, 7)}
    assert len(boxes) == len(set(boxes)) and wanted <= set(boxes)


PROFILES = sorted((paths.root() / "profiles").glob("*.yml"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.stem)
def test_profiles_set_parameters_that_exist(profile: Path) -> None:
    for name, parameters in yaml.safe_load(profile.read_text()).items():
        source = paths.notebooks() / f"{name}.ipynb"
        checked(source, defaults(source), parameters)
    json.dumps(yaml.safe_load(profile.read_text()))  # plain values only


def rerun(source: Path) -> None:
    """Run a notebook with nbval, and compare with the outputs in it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["-c", str(paths.root() / "pyproject.toml"), "-p", "notebooks.conftest"]
    command += ["--nbval-current-env", "--nbval-cell-timeout", "600", "--nbval-sanitize-with"]
    command += [str(paths.root() / "tests" / "nbval_sanitize.cfg"), str(source)]
    environment = os.environ | {"PYTHONPATH": str(paths.root())}
    ran = subprocess.run(
        command,
        env=environment,
        cwd=paths.root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_run_has_the_numbers_of_the_reference_kernels(name: str, tmp_path: Path) -> None:
    """nbval reruns all other notebooks with the reference kernels at their own parameters."""
    source = paths.notebooks() / f"{name}.ipynb"
    small = planned(source, overrides=SMALL[name], folder=tmp_path / "small")
    notebook.run(small)
    rerun(small.folder / source.name)


def without_volatile_parts(cell: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """Return what nbval compares of a cell's outputs: data or text, sanitized as by nbval."""
    if "nbval-ignore-output" in cell.metadata.get("tags", []):
        return []
    rules = configparser.RawConfigParser()
    rules.read(paths.root() / "tests" / "nbval_sanitize.cfg")
    found = []
    for output in cell.outputs:
        text = json.dumps([output.output_type, output.get("text"), output.get("data")])
        for name in rules.sections():
            text = re.sub(rules[name]["regex"], rules[name]["replace"], text)
        found.append(json.loads(text))
    return found


@pytest.mark.slow
def test_the_book_has_the_stored_outputs(path: Path, nb: nbformat.NotebookNode) -> None:
    """The compiled kernels give the stored outputs, where the book's profile sets no parameters."""
    if not built_book.shows(path):
        pytest.skip("the profile has other parameters")
    job = planned(path, profile=built_book.PROFILE)
    if not os.environ.get("CQLIB_REQUIRE_BOOK") and not is_current(job):
        pytest.skip("the book's run is out of date; run: make book")
    shown = read(job.folder / path.name)
    assert [cell.source for cell in shown.cells] == [cell.source for cell in nb.cells]
    for new, old in zip(code_cells(shown), code_cells(nb), strict=True):
        within = stored_numbers.tolerance(old.metadata.get("tags", []))
        new = deepcopy(new)
        if within is not None:
            new.outputs = stored_numbers.adopt(new.outputs, old.outputs, within)
        assert without_volatile_parts(new) == without_volatile_parts(old)
