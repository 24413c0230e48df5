"""Stepsizes chosen for training, predicted steps, extrapolated means, and their figures."""

import numpy as np
import pandas as pd
import pytest

from cqbook.network import extrapolation, figures, link_times, tuned
from cqbook.network.training import METHODS, Task, Trial
from cqlib.theory import Link

pytestmark = pytest.mark.slow

LINK = Link(1e-4, 12.5e6)

# --- training ------------------------------------------------------------------------------------


def test_choices_by_hand():
    tried = [Trial(m, s, 0) for m in ("CQ", "IQ") for s in (0.3, 0.1)]
    nan = float("nan")
    assert tuned.choose(tried, [2.0, 1.0, 3.0, nan]) == [tried[1], tried[2]]
    assert tuned.choose(tried, [1.0, 1.0, nan, nan]) == [tried[0], tried[2]]  # ties go to the first


def test_every_method_is_trained_afresh(monkeypatch):
    asked = []

    def pretend(n, run, task, trials):
        asked.append((n, trials))
        losses = [abs(np.log10(t.stepsize / 0.01)) for t in trials]
        return [
            [
                {"d": 7, "seconds": t.seed, "rows": [(0, 0, 9.0, 0.1), (5, 80, loss, 0.9)]}
                for t, loss in zip(trials, losses, strict=True)
            ]
        ]

    monkeypatch.setattr(tuned, "on_ranks", pretend)
    found = tuned.train_tuned(
        Task("digits", 4), 3, stepsizes=[0.1, 0.01], seeds=2, methods=["CQ", "IQ"]
    )
    assert [n for n, _ in asked] == [3, 3] and len(asked[0][1]) == 4
    fresh = [(t.method, t.stepsize, t.seed) for t in asked[1][1]]
    assert fresh == [(m, 0.01, seed) for m in ("CQ", "IQ") for seed in (1, 2)]
    assert found.seconds == {"CQ": [1, 2], "IQ": [1, 2]} and len(found.rows) == 8
    assert found.rows.iloc[1].tolist() == ["digits", "CQ", 0.01, 1, 7, 5, 80, 0.0, 0.9]


def test_steps_are_measured_or_predicted():
    sent = pd.DataFrame(
        [("digits", "none", 4810, 0.0), ("digits", "fp16", 4810, 0.0)],
        columns=["dataset", "method", "d", "sent_bytes"],
    )
    places = pd.MultiIndex.from_tuples([(4, "digits", 4810, "none")])
    measured = pd.Series([0.5], index=places)
    computing = {("digits", "fp16"): [0.1, 0.2, 0.4]}
    found = tuned.step_seconds(sent, measured, computing, n=4, steps=10, link=LINK)
    wire = link_times.step_wire_seconds("fp16", 4, 4810, 0.0, LINK)
    assert found.how.tolist() == ["measured", "predicted"]
    assert found.step_seconds.tolist() == [0.5, pytest.approx(0.2 + wire)]


# --- extrapolation -------------------------------------------------------------------------------


def test_extrapolated_seconds():
    scheme = extrapolation.SCHEMES["float16"]
    wire = link_times.wire_seconds("float16", 8, 1000, LINK)
    found = extrapolation.seconds(scheme, 8, 1000, computing=0.3, link=LINK)
    assert found == pytest.approx(0.3 + wire)
    gathered = extrapolation.SCHEMES["CQ, all-gather"]
    two, three = (
        extrapolation.seconds(gathered, n, 10**6, computing=0.3, link=Link(0.0, 1e30))
        for n in (2, 3)
    )
    assert two == pytest.approx(0.3) and three > two  # the third message is decoded, too
    assert extrapolation.SCHEMES["Global-QSGD, integers"].at(512).startswith("global_qsgd:s=1/")


def test_tables_of_extrapolations():
    computing = {scheme.measured: 0.0 for scheme in extrapolation.SCHEMES.values()}
    links = {1e8: LINK, 1e9: Link(1e-4, 125e6)}
    model = extrapolation.extrapolate(computing, links, [2, 8192], 2**20)
    assert len(model) == 28 and list(model.scheme[:7]) == list(extrapolation.SCHEMES)
    wide = model.pivot_table(index=["rate", "scheme"], columns="n", values="seconds", sort=False)
    first = extrapolation.first_faster(wide)
    assert list(first.index) == list(extrapolation.SCHEMES)[1:] and list(first) == [1e8, 1e9]
    assert first.loc["float16"].tolist() == ["none", "none"]
    assert first.loc["CQ, all-gather", 1e8] == "8192"
    left, right = figures.extrapolations(model, {1e8: "slow", 1e9: "fast"}).axes
    drawn = model[(model.rate == 1e9) & (model.scheme == "float16")].seconds
    assert list(right.lines[1].get_ydata()) == drawn.tolist() and left.get_title() == "slow"


def test_break_even_bandwidths():
    rows = [
        ("float32", 1.0, 0.9, 1.1),
        ("float16", 1.5, 1.0, 1.6),
        ("cq/all_gather", 0.5, 0.4, 0.6),
    ]
    measured = pd.DataFrame(rows, columns=["scheme", "cpu_seconds", "cpu_low", "cpu_high"])
    found = extrapolation.break_even(measured.assign(n=2), 1000, ["float16", "cq/all_gather"])
    half = found.iloc[0]  # saves 2 bytes per coordinate; spends 1/2, between 0.7 and at most 0
    assert half["MB saved"] == pytest.approx(2e-3) and half["ms spent"] == pytest.approx(500)
    assert half["Gbit/s"] == pytest.approx(8e-9 * 2000 / 0.5)
    assert half["from"] == pytest.approx(8e-9 * 2000 / 0.7) and half["to"] == float("inf")
    assert found.iloc[1]["Gbit/s"] == float("inf")  # faster to compute, too


# --- figures -------------------------------------------------------------------------------------


def test_training_is_drawn():
    rows = [
        ("digits", method, step, 100.0 * step, 1 / (1 + step + seed), 0.1 * step)
        for method in METHODS
        for step in (0, 1, 2)
        for seed in (0, 1, 2)
    ]
    columns = ["dataset", "method", "step", "sent_bytes", "loss", "accuracy"]
    top, bottom = figures.training(pd.DataFrame(rows, columns=columns), "sent_bytes", "bytes").axes
    assert [line.get_label() for line in top.lines] == list(METHODS)
    assert list(top.lines[3].get_xdata()) == [100, 200]  # step 0 is left out
    assert list(top.lines[3].get_ydata()) == [1 / 3, 1 / 4] and bottom.get_xlabel() == "bytes"
    assert bottom.get_ylabel() == "test accuracy" and top.get_title() == "digits"


def test_predictions_are_drawn():
    rows = [(scheme, rate, 0.1, 0.2) for scheme in link_times.SCHEMES for rate in (1e8, 1e9)]
    predicted = pd.DataFrame(rows, columns=["scheme", "rate", "least", "predicted"])
    (ax,) = figures.predictions(predicted, link_times.SCHEMES).axes
    assert len(ax.lines) == 1 + 2 * len(link_times.SCHEMES)
    assert list(ax.lines[1].get_ydata()) == [200.0] and list(ax.lines[1].get_xdata()) == [100.0]
