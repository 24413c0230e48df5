"""The page that counts wins, ties and losses."""

import math
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from cqbook.book.outcomes import outcomes_page
from cqbook.cells import results
from cqbook.experiments.outcomes import MARGIN
from cqbook.runs.run import Run, read
from tests.helpers import provenance_of


def row(
    n: int, d: int, outcome: str, task: str, against: str = "MARINA + IQ", **known: object
) -> dict:
    facts = {"decades": 1.26, "low": 0.5, "high": float("inf"), "p": 0.01, "outcome": outcome}
    pair = {"method": "MARINA + CQ", "against": against}
    return {"n": n, "d": d, **known, **pair, **facts, "task": task}


WITHOUT = Run("theory", Path("theory"), b"", {}, (), {"other.csv": b"x\n1\n"})


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Two chapters with tables of outcomes, and one without."""
    tables = {
        "experiments/a": [
            row(8, 8, "win", "quadratics", s=0.5),
            row(2, 8, "loss", "quadratics", s=1.0),
            row(4, 8, "tie", "quadratics", s=0),
            row(3, 8, "undecided", "quadratics", s=0),
        ],
        "experiments/b": [
            row(8, 4, "win", "quadratics", data="a9a, unit rows"),
            row(8, 4, "undecided", "logistic", data="a9a, unit rows"),
            row(8, 4, "win", "logistic", data="w8a", against="MARINA + DRIVE"),
        ],
    }
    for name, rows in tables.items():
        monkeypatch.setenv("CQLIB_RESULTS", str(tmp_path / name / "results"))
        results.save("outcomes", pd.DataFrame(rows))
        cells = [nbformat.v4.new_markdown_cell(f"# Chapter {name[-1]}\n\nText")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name / f"{name[-1]}.ipynb")
        (tmp_path / name / "provenance.json").write_text(provenance_of(tmp_path / name))
    return [WITHOUT, *(read(name, tmp_path / name) for name in tables)]


def test_outcomes_are_counted_by_task_over_all_chapters_and_by_numbers_of_clients(runs) -> None:
    lines = outcomes_page(runs).split("## Chapter")[0].splitlines()
    head = r"| method | against | task | all | $n\ge d$ | $n<d$ | $n\le d/4$ |"
    assert "Numbers of settings: wins, ties, undecided, losses." in lines
    assert set(lines[lines.index(head) + 1]) == {"|", "-"}
    assert lines[lines.index(head) + 2 :] == [
        "| MARINA + CQ | MARINA + IQ | quadratics | 2, 1, 1, 1 | 2, 0, 0, 0 | 0, 1, 1, 1 "
        "| 0, 0, 0, 1 |",
        "| MARINA + CQ | MARINA + IQ | logistic | 0, 0, 1, 0 | 0, 0, 1, 0 | – | – |",
        "| MARINA + CQ | MARINA + DRIVE | logistic | 1, 0, 0, 0 | 1, 0, 0, 0 | – | – |",
        "",
    ]


def test_the_page_says_what_a_tie_is(runs) -> None:
    assert "stays below a factor of two either way" in outcomes_page(runs)
    assert math.log10(2) == pytest.approx(MARGIN, abs=0.002)


def test_every_setting_is_listed_below_its_chapter(runs) -> None:
    page = outcomes_page(runs)
    first, second = page.index("{doc}`/notebooks/experiments/a`"), page.index("experiments/b`")
    assert page.index("## Chapter a") < first < page.index("## Chapter b") < second
    assert first < page.index("| 2 | 8 | 1 | MARINA + CQ | MARINA + IQ | **loss** |") < second
    assert first < page.index("| MARINA + IQ | **undecided** | 1.3 | 0.5 | inf |") < second
    assert page.count("a9a, unit rows") == 2 and page.index("a9a, unit rows") > second
    assert page.count("| 1.3 | 0.5 | inf |") == 7
    assert "theory" not in page


def test_without_tables_the_page_says_so() -> None:
    assert "No run of this profile left a table." in outcomes_page([WITHOUT])


def test_tables_are_saved_only_for_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQLIB_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    results.save("table", pd.DataFrame({"x": [1]}))
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("CQLIB_RESULTS", str(tmp_path))
    results.save("table", pd.DataFrame({"x": [1 / 3], "name": ["é"]}))
    assert (tmp_path / "table.csv").read_bytes() == "x,name\n0.333333,é\n".encode()
