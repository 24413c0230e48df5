"""Counts of checks."""

import pytest

from cqbook.evidence.tally import all_true, tally


def test_counts():
    counts = tally(({"even": k % 2 == 0, "small": k < 4} for k in range(6)), total="numbers")
    assert counts == {"numbers": 6, "even": 3, "small": 4}
    assert list(counts) == ["numbers", "even", "small"]


def test_no_cases():
    assert tally([]) == {"cases": 0}
    assert not all_true({"cases": 0}, [])


def test_other_checks_are_refused():
    with pytest.raises(ValueError, match="case 1 makes other checks: odd"):
        tally([{"even": True}, {"odd": True}])


def test_all_true():
    counts = {"cases": 3, "a": 3, "b": 2}
    assert all_true(counts, ["a"]) and not all_true(counts, ["a", "b"])
