"""Errors and nonzeros of Global-QSGD on small vectors, against other computations."""

import numpy as np
import pandas as pd
import pytest

from cqbook.evidence import global_errors
from cqbook.evidence.figures import global_qsgd as figures
from cqlib import Key, theory
from cqlib.compressors import make


def rng():
    return np.random.default_rng(3)


def test_inputs_fit_their_names():
    found = global_errors.inputs(rng(), 4, 6)
    assert np.ptp(found["equal"], axis=0).max() == 0 and set(found["flat"].ravel()) == {-1.0, 1.0}
    assert (found["Gaussian"][0] == found["equal"][0]).all()
    assert all(X.shape == (4, 6) for X in found.values())


@pytest.mark.parametrize("levels", ["linear", "exponential"])
def test_scores_are_small_and_errors_bounded(levels):
    X = rng().standard_normal((3, 5)).astype(np.float32).astype(float)
    options = {"levels": levels, "s": 3} | ({} if levels == "linear" else {"reduction": "sum"})
    found = global_errors.score(X, norm=2.0, seed=1, rounds=300, **options)
    assert max(abs(found["z of error"]), abs(found["z of mean"])) < 5
    exact = theory.global_qsgd_mse(X, levels=levels, s=3, norm=2)
    assert found["exact"] == pytest.approx(exact) and 0 < found["theta n"] <= found["bound"]
    assert found["theta n"] == pytest.approx(3 * global_errors.theta(X, levels, 3))
    bound = 3 * global_errors.theta_bound(levels, 3, 5, 3)  # for any number of levels
    assert found["bound"] <= bound * (1 + 1e-12)
    assert levels == "exponential" or found["bound"] == pytest.approx(bound)


def test_another_error_would_be_found(monkeypatch):
    X = rng().standard_normal((3, 5)).astype(np.float32).astype(float)
    c = type(make("global_qsgd"))
    right = c.mse
    monkeypatch.setattr(c, "mse", lambda self, X: 1.5 * right(self, X))
    assert abs(global_errors.score(X, s=3, norm=2.0, seed=1, rounds=300)["z of error"]) > 6


@pytest.mark.parametrize("levels", ["linear", "exponential"])
def test_bounds_hold_where_notes_do_not(levels):
    n, d, s = 16, 400, 2
    flat = np.ones((n, d))
    found = global_errors.theta(flat, levels, s)
    assert global_errors.theta_as_noted(levels, n, d, s) < found
    assert found <= global_errors.theta_bound(levels, n, d, s)


def test_curves_are_complete():
    table = global_errors.theta_curves(rng(), 4, [3, 9], "linear", 2)
    assert list(table.curve.unique()) == list(figures._CURVES) and len(table) == 8
    noted = table[table.curve == "as noted, sqrt(d)"]
    assert noted.theta.tolist() == [3**0.5 / 8, 3 / 8] and noted.d.tolist() == [3, 9]
    fig = figures.theta(table.assign(levels="a"), {"a": "one", "b": "two"})
    assert list(fig.axes[0].lines[3].get_ydata()) == noted.theta.tolist()
    assert [ax.get_title() for ax in fig.axes] == ["one", "two"]


def test_nonzeros_with_own_norms():
    X = np.array([[3.0, 4.0], [0.0, 9.0]])
    assert global_errors.nonzeros_with_own_norms(X, 1) == pytest.approx(7 / 5 + 1)
    assert theory.expected_nonzeros(X, s=1, norm=2) < 7 / 5 + 1


def test_reductions():
    table = global_errors.reduction_errors(rng(), [1, 4, 8], s=9, most_folds=4)
    wide = table.pivot_table(index=["inputs", "n"], columns="sums", values="error")
    assert wide["fold"].isna().tolist() == [False, False, True] * 2
    assert np.ptp(wide.loc[("equal", 1)]) == 0  # nothing to add up
    assert wide.tree["equal", 8] == pytest.approx(wide["sum"]["equal", 1], rel=1e-6)
    assert wide["sum"]["equal", 8] == pytest.approx(wide["sum"]["equal", 1] / 8)
    left, right = figures.reductions(table).axes
    assert list(left.lines[1].get_ydata()) == wide.tree["equal"].tolist()
    assert isinstance(table, pd.DataFrame) and len(right.lines[2].get_xdata()) == 2


def test_relative_errors():
    X = np.array([[3.0, 4.0], [3.0, 4.0]], dtype=np.float32).astype(float)
    assert global_errors.relative_error(make("identity"), X, Key(0)) == 0
    found = np.mean([global_errors.relative_error(make("iq"), X, Key(0, r)) for r in range(400)])
    assert found == pytest.approx(theory.iq_mse(X) / 25, rel=0.2)
