"""A run, read from its folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from cqbook.cells import claims
from cqbook.runs import provenance
from cqbook.runs.run import RunError, read
from tests.helpers import provenance_of

NOTEBOOK = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# é")])
EVIDENCE = {"id": "theorem-1", "verdict": "holds", "stated": "s", "measured": "m", "note": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nbformat.write(NOTEBOOK, tmp_path / "marina.ipynb")
    (tmp_path / "claims.jsonl").write_text(json.dumps(EVIDENCE) + "\n")
    (tmp_path / "results" / "folder").mkdir(parents=True)
    for name in ("b.svg", "a.csv"):
        (tmp_path / "results" / name).write_bytes(name.encode())
    record(tmp_path)
    return tmp_path


def record(folder: Path) -> None:
    """Write the provenance of a folder as it is."""
    (folder / "provenance.json").unlink(missing_ok=True)
    (folder / "provenance.json").write_text(provenance_of(folder))


def test_everything_is_read(folder: Path) -> None:
    run = read("theory/marina", folder)
    assert (run.name, run.stem, run.folder) == ("theory/marina", "marina", folder)
    assert run.executed == (folder / "marina.ipynb").read_bytes()
    assert run.provenance["seconds"] == 1.5
    assert run.evidence == (claims.Evidence(**EVIDENCE),)
    assert list(run.results.items()) == [("a.csv", b"a.csv"), ("b.svg", b"b.svg")]


def test_it_is_read_once(folder: Path) -> None:
    run = read("marina", folder)
    (folder / "marina.ipynb").unlink()
    assert run.notebook().cells[0].source == "# é"
    assert run.notebook() is not run.notebook()


def test_a_run_may_have_no_evidence(folder: Path) -> None:
    (folder / "claims.jsonl").unlink()
    record(folder)
    assert read("marina", folder).evidence == ()


@pytest.mark.parametrize("part", ["provenance.json", "marina.ipynb", "results"])
def test_an_incomplete_run_is_refused(folder: Path, part: str) -> None:
    (folder / part).rename(folder / "elsewhere")
    with pytest.raises(RunError, match=rf"no complete run of theory/marina in .*: {part} is"):
        read("theory/marina", folder)


def test_claims_that_were_added_later_are_not_of_the_run(folder: Path) -> None:
    (folder / "claims.jsonl").unlink()
    record(folder)
    (folder / "claims.jsonl").write_text(json.dumps(EVIDENCE | {"measured": "forged"}) + "\n")
    assert read("marina", folder).evidence == ()


def test_what_was_added_later_is_not_of_the_run(folder: Path) -> None:
    (folder / "results" / "c.csv").write_text("x\n1\n")
    assert set(read("marina", folder).results) == {"a.csv", "b.svg"}


@pytest.mark.parametrize("part", ["marina.ipynb", "claims.jsonl", "results/a.csv"])
def test_a_changed_file_is_refused(folder: Path, part: str) -> None:
    (folder / part).write_text("{}")
    with pytest.raises(RunError, match=f"{part} was changed after its run; run the notebook again"):
        read("marina", folder)
    (folder / part).unlink()
    with pytest.raises(RunError, match=f"{part} is missing"):
        read("marina", folder)


def forged(facts: dict[str, Any]) -> Iterator[str]:
    """Yield contents with the right digest, of which a field is missing or of another type."""
    for name in facts:
        yield provenance.text({key: value for key, value in facts.items() if key != name})
        for value in (None, [], {"x": 1} if isinstance(facts[name], str) else "x"):
            yield provenance.text(facts | {name: value})
    yield provenance.text(facts | {"files": {}})
    yield provenance.text(facts | {"files": {"a.csv": "0"}})
    yield provenance.text(facts | {"files": {"marina.ipynb": 7}})


def damaged(facts: dict[str, Any]) -> Iterator[str]:
    """Yield damaged contents of a provenance file."""
    yield from ("", "{", "[]", "7", "null", "[" * 100_000, '{"files": {}}')
    for name in facts:
        yield json.dumps({key: value for key, value in facts.items() if key != name})
        for value in (None, [], {}, "", -1):
            yield json.dumps(facts | {name: value})
    yield json.dumps(facts | {"more": 1})
    fewer = {name: digest for name, digest in facts["files"].items() if name != "results/a.csv"}
    yield json.dumps(facts | {"files": fewer})


def test_a_damaged_provenance_is_refused(folder: Path) -> None:
    file = folder / "provenance.json"
    facts = json.loads(file.read_text())
    del facts["digest"]
    for text in (*damaged(facts), *forged(facts)):
        file.write_text(text)
        with pytest.raises(
            RunError, match="json is damaged, or of an older version; run the notebook again"
        ):
            read("marina", folder)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="is damaged"):
        read("marina", folder)


LINE = json.dumps(EVIDENCE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINE, "line 1: it is cut off"),
        (LINE + "\n" + LINE[:30], "line 2: it is cut off"),
        (LINE[:30] + "\n", "line 1: it is not JSON"),
        (LINE + "\n\n", "line 2: it is not JSON"),
        ("[" * 100_000 + "\n", "line 1: it is not JSON"),
        ("[]\n", "line 1: expected texts for id, measured, note, stated, verdict"),
        ("7\n", "line 1: expected texts"),
        (json.dumps(EVIDENCE | {"more": "x"}) + "\n", "expected texts"),
        (json.dumps({"id": "theorem-1"}) + "\n", "expected texts"),
        (json.dumps(EVIDENCE | {"measured": 3}) + "\n", "expected texts"),
        (json.dumps(EVIDENCE | {"id": "theorem-99"}) + "\n", "'theorem-99' is no item of book"),
        (json.dumps(EVIDENCE | {"verdict": "true"}) + "\n", "'true' is no verdict"),
    ],
)
def test_damaged_claims_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / "claims.jsonl").write_text(text)
    record(folder)
    with pytest.raises(RunError, match=f"claims.jsonl, line.*{message.partition(': ')[2]}"):
        read("marina", folder)
    with pytest.raises(claims.RecordError, match=message):
        claims.read(folder / "claims.jsonl")


def test_claims_that_are_no_text_are_refused(folder: Path) -> None:
    (folder / "claims.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(claims.RecordError, match="cannot be read"):
        claims.read(folder / "claims.jsonl")
