"""A run, read from its folder."""

import json
from pathlib import Path

import nbformat
import pytest

from cqbook.cells import claims
from cqbook.runs.run import RunError, read

NOTEBOOK = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# é")])
EVIDENCE = {"id": "theorem-1", "verdict": "holds", "stated": "s", "measured": "m", "note": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nbformat.write(NOTEBOOK, tmp_path / "marina.ipynb")
    (tmp_path / "provenance.json").write_text('{"seconds": 1.5}')
    (tmp_path / "claims.jsonl").write_text(json.dumps(EVIDENCE) + "\n")
    (tmp_path / "results" / "folder").mkdir(parents=True)
    for name in ("b.svg", "a.csv"):
        (tmp_path / "results" / name).write_bytes(name.encode())
    return tmp_path


def test_everything_is_read(folder: Path) -> None:
    run = read("theory/marina", folder)
    assert (run.name, run.stem, run.folder) == ("theory/marina", "marina", folder)
    assert run.executed == (folder / "marina.ipynb").read_bytes()
    assert run.provenance == {"seconds": 1.5}
    assert run.evidence == (claims.Evidence(**EVIDENCE),)
    assert list(run.results.items()) == [("a.csv", b"a.csv"), ("b.svg", b"b.svg")]


def test_it_is_read_once(folder: Path) -> None:
    run = read("marina", folder)
    (folder / "marina.ipynb").unlink()
    assert run.notebook().cells[0].source == "# é"
    assert run.notebook() is not run.notebook()


def test_a_run_may_have_no_evidence(folder: Path) -> None:
    (folder / "claims.jsonl").unlink()
    assert read("marina", folder).evidence == ()


@pytest.mark.parametrize("part", ["provenance.json", "marina.ipynb", "results"])
def test_an_incomplete_run_is_refused(folder: Path, part: str) -> None:
    (folder / part).rename(folder / "elsewhere")
    with pytest.raises(RunError, match=rf"no complete run of theory/marina in .*: {part} is"):
        read("theory/marina", folder)
