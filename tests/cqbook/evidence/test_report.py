"""The table of a page's inequalities."""

from dataclasses import replace

import pytest

from cqbook.evidence import INEQUALITIES, report

TOO_SMALL = [name for name, inequality in INEQUALITIES.items() if not inequality.valid]


def test_reports_say_what_is_exceeded():
    few = {"evaluations": 64, "restarts": 1}
    names = ["constant as read: iq, n = 3, d = 4", "Theorem 1"]
    exceeded, kept = report(names, **few).values.tolist()
    assert exceeded == [names[0], 128, 3.0, True, True]
    assert kept == [names[1], 128, 1.0, False, True]


@pytest.mark.parametrize("name", TOO_SMALL)
def test_a_report_exposes_a_constant_that_is_too_small(name, monkeypatch):
    few = {"evaluations": 64, "restarts": 1}
    row = report([name], **few).iloc[0]
    assert row["worst"] > 1.5 and row["above 1"] and row["as claimed"]
    monkeypatch.setitem(INEQUALITIES, name, replace(INEQUALITIES[name], valid=True))
    assert not report([name], **few)["as claimed"].iloc[0]


@pytest.mark.parametrize(("excess", "above"), [(0.0, False), (1e-12, False), (1e-6, True)])
def test_a_report_leaves_room_for_rounding_only(excess, above, monkeypatch):
    ratio = INEQUALITIES["Theorem 1"].ratio
    changed = replace(INEQUALITIES["Theorem 1"], ratio=lambda z: ratio(z) * (1 + excess))
    monkeypatch.setitem(INEQUALITIES, "Theorem 1", changed)
    row = report(["Theorem 1"], evaluations=64, restarts=1).iloc[0]
    assert (row["above 1"], row["as claimed"]) == (above, not above)
