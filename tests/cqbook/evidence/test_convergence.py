"""Shares of the guarantees of compressed gradient descent."""

import math

import numpy as np
import pytest
import torch

from cqbook.evidence import convergence
from cqlib import data, problems
from cqlib.compressors import make

SCALE = torch.from_numpy(np.array([0.5, 1.0, 1.5, 3.0]))
SHARED = convergence.one_solution(SCALE, 1.0, 10)
FEW = {"seeds": 4, "errors": 5.0}


def test_one_solution_leaves_no_noise_there():
    mean = SHARED.hessians().mean(dim=0)
    slope = SHARED.gradients(torch.zeros(10, dtype=torch.float64)).mean(dim=0)
    assert float(SHARED.gradients(torch.linalg.solve(mean, -slope)).abs().max()) < 1e-12


def test_without_compression_the_guarantee_is_that_of_gradient_descent():
    """theta = 0: the distance shrinks by 1 - gamma mu or more, and the bound is not exceeded."""
    found = convergence.distance_share(SHARED, make("identity"), 0.0, rounds=30, **FEW)
    assert found.lower == pytest.approx(found.mean) and 0 < found.mean <= 1


@pytest.mark.parametrize("s", [1, 7])
def test_no_guarantee_is_exceeded_by_a_valid_constant(s):
    c = make("global_qsgd", s=s, norm=2.0)
    theta = c.ab(4, 10).A
    differing = problems.quadratic_smoothness(4, 10, 1.0, 0.05, seed=0)
    logistic = problems.logistic(data.load("breast_cancer"), 4, 0.001)
    of_logistic = c.ab(4, logistic.d).A
    for share in (
        convergence.distance_share(SHARED, c, theta, rounds=30, **FEW),
        convergence.distance_share(differing, c, theta, rounds=30, **FEW),
        convergence.gradient_share(logistic, c, of_logistic, rounds=30, **FEW),
        convergence.marina_share(differing, c, theta, p=0.2, rounds=60, **FEW),
    ):
        assert 0 < share.lower <= share.mean <= 1


def test_a_stepsize_beyond_the_guarantee_exceeds_it():
    c = make("identity")
    found = convergence.distance_share(SHARED, c, 0.0, rounds=30, factor=2.5, **FEW)
    assert found.lower > 1


def test_clients_that_are_not_convex_are_refused():
    task = problems.quadratic_hessian_variance(4, 6, 2.0, 0.01, seed=0)
    with pytest.raises(ValueError, match="must be convex"):
        convergence.distance_share(task, make("identity"), 0.0, rounds=3, **FEW)


def test_a_share_is_that_of_the_mean_less_standard_errors():
    found = np.array([[1.0, 4.0], [3.0, 4.0]])
    share = convergence._share(found, np.array([4.0, 5.0]), errors=1.0)
    assert share.mean == pytest.approx(0.8) and share.lower == pytest.approx(0.8)
    wide = convergence._share(found[:, :1], np.array([1.0]), errors=1.0)
    assert wide.mean == 2.0 and wide.lower == pytest.approx(2 - math.sqrt(2) / math.sqrt(2))
