"""Training between processes: common properties of the methods, and bytes sent."""

from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets
import torch

from cqbook.network.processes import on_ranks
from cqbook.network.training import METHODS, Task, Trial, samples, train, train_all
from cqlib import data

pytestmark = pytest.mark.slow

TASK = Task("digits", hidden=16, batch=8, steps=6, evaluate_every=3)
TRIALS = [Trial(method, 0.01, seed=3) for method in METHODS]


@pytest.fixture(scope="module")
def trained():
    """Return the results of two processes for all methods, run twice."""
    return on_ranks(2, train_all, TASK, TRIALS + TRIALS)


def test_every_method_trains(trained):
    for trial, found in zip(TRIALS, trained[0], strict=False):
        assert [row[0] for row in found["rows"]] == [0, 3, 6]
        assert np.isfinite(np.array(found["rows"])).all(), trial
        assert found["rows"][0] == trained[0][0]["rows"][0]  # the same start for all


def test_replicas_stay_together_and_runs_repeat(trained):
    first, second = trained
    for mine, other in zip(first, second, strict=True):
        assert [row[2:] for row in mine["rows"]] == [row[2:] for row in other["rows"]]
    half = len(TRIALS)
    for once, again in zip(first[:half], first[half:], strict=True):
        assert once["rows"] == again["rows"]


def test_bytes_are_those_of_the_messages(trained):
    found = dict(zip(METHODS, trained[0], strict=False))
    d = found["none"]["d"]
    sent = {method: each["rows"][-1][1] for method, each in found.items()}
    assert d == 64 * 16 + 16 + 16 * 10 + 10
    assert sent["none"] == 6 * 4 * d and sent["fp16"] == 6 * 2 * d
    assert sent["CQ"] == sent["IQ"] == 6 * (-(-d // 8) + 24)  # scale, tag, digest
    assert sent["PowerSGD"] < sent["fp16"]
    assert sent["DRIVE"] == 6 * (2048 // 8 + 24)


@pytest.mark.parametrize("method", ["none", "CQ, rotated", "DRIVE", "Global-QSGD, linear"])
def test_training_gets_somewhere(method):
    task = Task("breast_cancer", hidden=16, steps=40, evaluate_every=40)
    (start, end) = on_ranks(2, train_all, task, [Trial(method, 0.03, seed=0)])[0][0]["rows"]
    assert end[2] < 0.5 * start[2] and end[3] > 0.9


def test_the_split_is_fixed_and_scaled_by_what_is_trained_with():
    X, y, test_X, test_y = samples("breast_cancer")
    assert len(y) + len(test_y) == 569 and len(test_y) == 142
    assert (
        X.mean(dim=0).abs().max() < 1e-5 and (X.std(dim=0, unbiased=False) - 1).abs().max() < 1e-5
    )
    assert test_X.shape[1] == 30


@pytest.mark.parametrize("dataset", ["digits", "breast_cancer"])
def test_named_sets_have_the_numbers_of_scikit_learn(dataset):
    X, y = getattr(sklearn.datasets, f"load_{dataset}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    test, train = order[: len(y) // 4], order[len(y) // 4 :]
    scale = X[train].std(axis=0)
    Z = torch.from_numpy((X - X[train].mean(axis=0)) / np.where(scale > 0, scale, 1.0)).float()
    wanted = (Z[train], torch.from_numpy(y)[train], Z[test], torch.from_numpy(y)[test])
    for found, want in zip(samples(dataset), wanted, strict=True):
        assert found.dtype == want.dtype and torch.equal(found, want)


def test_any_libsvm_file_is_trained_on(tmp_path):
    path = tmp_path / "my.svm"
    rows = [f"{5 + 2 * (i % 2)} 1:{i % 2 + i / 100} 2:1\n" for i in range(40)]
    path.write_text("".join(rows))
    X, y, test_X, test_y = samples(str(path))
    assert X.shape == (30, 2) and test_X.shape == (10, 2)
    assert sorted([*y.tolist(), *test_y.tolist()]) == [0] * 20 + [1] * 20
    task = Task(str(path), hidden=8, steps=30, evaluate_every=30)
    (start, end) = on_ranks(2, train_all, task, [Trial("CQ, rotated", 0.03, seed=0)])[0][0]["rows"]
    assert end[2] < 0.5 * start[2] and end[3] > 0.9
    path.write_text("".join(rows[:3]))
    with pytest.raises(data.DataError, match="my.svm: training and testing need 4 samples, not 3"):
        samples(str(path))
    path.write_text("".join(rows[:4]))
    with pytest.raises(Exception, match="my.svm: 3 training samples are too few for 4 processes"):
        train(task, Trial("CQ", 0.03, seed=0), SimpleNamespace(size=4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Task("mnist"),
            "one of a9a, .*, digits, or the path of a LibSVM file, got 'mnist'",
        ),
        (lambda: Task(steps=0), "steps must be at least 1, got 0"),
        (lambda: train_all(0, 1, TASK, [Trial("SGD", 0.1, 0)]), "method must be one of none; fp16"),
        (lambda: train_all(0, 1, TASK, [Trial("CQ", 0.0, 0)]), "stepsize must be positive, got 0"),
    ],
)
def test_what_does_not_exist_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
