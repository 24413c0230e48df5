"""The page that counts who wins."""

from pathlib import Path

import pandas as pd
import pytest

from cqlib import results
from cqlib.outcomes_page import outcomes_page


def row(n: int, d: int, outcome: str, against: str = "MARINA + IQ", **known: object) -> dict:
    facts = {"decades": 1.26, "low": 0.5, "high": float("inf"), "p": 0.01, "outcome": outcome}
    return {"n": n, "d": d, **known, "method": "MARINA + CQ", "against": against, **facts}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two chapters with tables, saved as notebooks save them, and one without."""
    tables = {
        "experiments/a": [row(8, 8, "win", s=0.5), row(2, 8, "loss", s=1.0), row(4, 8, "tie", s=0)],
        "experiments/b": [row(8, 4, "win", data="a9a (stand-in)", against="MARINA + DRIVE")],
    }
    for name, rows in tables.items():
        monkeypatch.setenv("CQLIB_RESULTS", str(tmp_path / name / "results"))
        results.save("outcomes", pd.DataFrame(rows).assign(task=name))
    (tmp_path / "theory" / "results").mkdir(parents=True)
    return {name: tmp_path / name for name in ("theory", *tables)}


def test_outcomes_are_counted_over_all_chapters_and_by_numbers_of_clients(runs) -> None:
    lines = outcomes_page(runs).splitlines()
    counted = [line for line in lines if line.startswith("| MARINA + CQ |")]
    assert counted == [
        "| MARINA + CQ | MARINA + IQ | all settings | 1 | 1 | 1 |",
        "| MARINA + CQ | MARINA + DRIVE | all settings | 1 | 0 | 0 |",
        "| MARINA + CQ | MARINA + IQ | n at least d | 1 | 0 | 0 |",
        "| MARINA + CQ | MARINA + DRIVE | n at least d | 1 | 0 | 0 |",
        "| MARINA + CQ | MARINA + IQ | n below d | 0 | 1 | 1 |",
        "| MARINA + CQ | MARINA + IQ | n at most d / 4 | 0 | 0 | 1 |",
    ]


def test_every_setting_is_listed_below_its_chapter(runs) -> None:
    page = outcomes_page(runs)
    first, second = page.index("{doc}`/notebooks/experiments/a`"), page.index("experiments/b`")
    assert first < page.index("| 2 | 8 | 1 | MARINA + CQ | MARINA + IQ | **loss** |") < second
    assert page.index("a9a (stand-in)") > second
    assert "| 1.3 | 0.5 | inf |" in page
    assert "theory" not in page


def test_without_tables_the_page_says_so(runs) -> None:
    assert "No run of this profile left a table." in outcomes_page({"theory": runs["theory"]})


def test_tables_are_saved_only_for_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQLIB_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    results.save("table", pd.DataFrame({"x": [1]}))
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("CQLIB_RESULTS", str(tmp_path))
    results.save("table", pd.DataFrame({"x": [1 / 3], "name": ["é"]}))
    assert (tmp_path / "table.csv").read_bytes() == "x,name\n0.333333,é\n".encode()
