"""The page on security shows the recorded fuzzing."""

import json

import pytest

from cqbook import paths
from cqbook.book.security import recorded, security_page

RECORD = {
    "inputs": 1234567,
    "faults": 0,
    "seconds": 1800,
    "processes": 2,
    "date": "2026-01-02",
    "commit": "abc123",
    "cqlib": "0.2.0",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "device": "A|B processor",
}


def test_the_figures_of_the_record_are_shown() -> None:
    page = security_page(RECORD)
    assert "1,234,567 altered messages" in page and "on 2026-01-02: no fault" in page
    for row in (
        "| inputs | 1,234,567 |",
        "| hours of a processor | 1.0 |",
        "| versions | cqlib 0.2.0, python 3.11.7, torch 2.13.0 |",
        r"| processor | A\|B processor |",
    ):
        assert row in page


def test_a_fault_is_said_first() -> None:
    assert "one process found a fault" in security_page(RECORD | {"faults": 1})
    assert "2 processes found faults" in security_page(RECORD | {"faults": 2}).split("##")[0]


def test_without_a_record_the_page_says_how_to_make_one() -> None:
    page = security_page(None)
    assert "No fuzzing has been recorded for this version" in page
    assert "last recorded run" not in page


@pytest.mark.skipif(recorded() is None, reason="no fuzzing is recorded")
def test_the_record_is_whole_and_without_faults() -> None:
    record = recorded()
    assert set(record) == set(RECORD)
    assert record["inputs"] >= 10**6 and record["faults"] == 0


def test_a_record_is_read_if_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    assert recorded() is None
    (tmp_path / "benchmarks" / "fuzz.json").write_text(json.dumps(RECORD))
    assert recorded() == RECORD
