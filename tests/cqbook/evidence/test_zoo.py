"""Gradients of real tasks, and every compressor on them."""

import numpy as np
import pytest
import torch

from cqbook.evidence import gradients, zoo
from cqlib import compressors, data, problems
from cqlib.compressors import make
from tests.helpers import Z


def test_descent_by_hand():
    x = gradients.descend(lambda x: x - 4, torch.tensor([0.0]), 0.5, 3)
    assert x.tolist() == [3.5]


def test_logistic_gradients_are_taken_after_descent():
    dataset = data.load("breast_cancer")
    of = gradients.logistic(dataset, reg=0.1, steps=5)
    one, four = of(1), of(4)
    assert one.shape == (1, 30) and four.shape == (4, 30)
    start = problems.logistic(dataset, 1, 0.1)
    assert float(one.norm()) < float(start.gradients(start.x0).norm())
    torch.testing.assert_close(four.mean(0), of(2).mean(0), rtol=0.05, atol=0.01)


def test_network_gradients_are_those_of_differences():
    of = gradients.network(seed=0, steps=0)
    whole = of(1)
    assert whole.shape == (1, 2410) and whole.dtype == torch.float64
    later = gradients.network(seed=0, steps=3)(1)
    assert later.norm() < whole.norm()
    # 1797 samples: the mean of three thirds is the whole.
    torch.testing.assert_close(of(3).mean(0), whole[0], rtol=1e-10, atol=1e-12)
    assert not torch.equal(gradients.network(seed=1, steps=0)(1), whole)


def test_descriptions():
    X = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    assert gradients.heterogeneity(X) == pytest.approx(2 / 10)
    assert gradients.flatness(torch.tensor([1.0, 0.0, 0.0, 0.0])) == pytest.approx(1 / 2)


def test_everyone_is_there():
    names = {member.compressor.name for member in zoo.zoo(16, 30).values()}
    assert names == set(compressors.names())
    assert "P4" not in zoo.zoo(6, 30) and "DRu" not in zoo.zoo(16, 2410)


def test_exact_errors_and_bounds():
    X = torch.tensor([[3.0, 4.0], [5.0, 0.0]], dtype=torch.float64)
    assert zoo.exact_error(make("iq"), X) == pytest.approx(50 / 4)
    assert np.isnan(zoo.exact_error(make("drive"), X))
    assert zoo.valid_bound(make("iq"), X, homogeneous=False) == pytest.approx(25 / 2)
    equal = torch.ones(4, 4, dtype=torch.float64)
    assert zoo.valid_bound(make("perm_k"), equal, homogeneous=False) == pytest.approx(0)
    assert zoo.valid_bound(make("cq"), equal, homogeneous=True) < zoo.valid_bound(
        make("cq"), equal, homogeneous=False
    )
    assert np.isnan(zoo.valid_bound(make("top_k"), equal, homogeneous=False))


def test_measurements_agree():
    X = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 16)))
    row = zoo.measure(make("iq"), X, homogeneous=False, rounds=100, seed=1)
    assert row["bits_per_coordinate"] == 3 and row["rounds"] == 100
    assert row["exact"] == pytest.approx(15 / 4) == row["bound"]
    assert abs(row["sampled"] - row["exact"]) < Z * row["standard_error"]
