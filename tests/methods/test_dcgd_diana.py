"""DCGD and DIANA against the algorithms, client by client with real bytes."""

import numpy as np
import pytest
import torch

from cqlib import Key, Payload
from cqlib.compressors import make
from cqlib.methods import dcgd, diana, gd
from cqlib.problems import quadratic_hessian_variance

TASK = quadratic_hessian_variance(n=4, d=12, noise=0.5, reg=0.1, seed=3)
STEP = 0.05


def received(compressor, vectors, key):
    """Return the server's decoded vectors of the clients' messages."""
    read = []
    for i, vector in enumerate(vectors):
        who = {"client": i, "n_clients": len(vectors), "key": key}
        sent = compressor.encode(vector, **who)
        data = Payload.from_bytes(sent.to_bytes()) if sent is not None else None
        if data is None:
            read.append(torch.zeros_like(vector))
        else:
            read.append(compressor.decode(data, d=len(vector), **who).double())
    return read


def written_out(compressor, alpha, rounds, seed):
    """Return the squared gradient norms of DIANA; alpha = 0 is DCGD."""
    x, key, norms = TASK.x0, Key(seed), []
    shifts = [torch.zeros(TASK.d, dtype=torch.float64) for _ in range(TASK.n)]
    for _ in range(rounds + 1):
        gradients = [TASK.gradient(i, x) for i in range(TASK.n)]
        norms.append(float((sum(gradients) / TASK.n).square().sum()))
        messages = received(
            compressor, [g - h for g, h in zip(gradients, shifts, strict=True)], key
        )
        direction = (sum(shifts) + sum(messages)) / TASK.n
        shifts = [h + alpha * m for h, m in zip(shifts, messages, strict=True)]
        x, key = x - STEP * direction, key.next()
    return np.array(norms)


@pytest.mark.parametrize("name", ["iq", "cq", "rand_k", "perm_k", "terngrad", "iscc"])
def test_they_are_the_algorithms_written_out(name):
    compressor, rounds, seed = make(name), 30, 5
    trace = dcgd(TASK, compressor, stepsize=STEP, rounds=rounds, seed=seed)
    np.testing.assert_allclose(
        trace.grad_norm_sq[:, 0], written_out(compressor, 0.0, rounds, seed), rtol=1e-9
    )
    trace = diana(TASK, compressor, stepsize=STEP, alpha=0.1, rounds=rounds, seed=seed)
    np.testing.assert_allclose(
        trace.grad_norm_sq[:, 0], written_out(compressor, 0.1, rounds, seed), rtol=1e-9
    )
    bits = compressor.bits(TASK.d, TASK.n) * np.arange(rounds + 1)
    np.testing.assert_allclose(trace.bits[:, 0], bits)


def test_without_compression_they_are_gradient_descent():
    plain = gd(TASK, stepsize=STEP, rounds=20).grad_norm_sq
    for method in (dcgd, diana):
        trace = method(TASK, make("identity"), stepsize=STEP, rounds=20)
        np.testing.assert_allclose(trace.grad_norm_sq, plain, rtol=1e-4)


@pytest.mark.slow
def test_diana_learns_what_dcgd_cannot():
    """With unequal clients the error of DCGD stays; DIANA's shifts remove it."""
    budget = {"stepsize": 0.05, "rounds": 3000, "seed": 1}
    stays = dcgd(TASK, make("iq"), **budget).grad_norm_sq[-1, 0]
    goes = diana(TASK, make("iq"), **budget).grad_norm_sq[-1, 0]
    assert stays > 1e-5 and goes < 1e-8


def test_a_sweep_is_its_members_one_by_one():
    for method in (dcgd, diana):
        together = method(TASK, make("cq"), stepsize=[0.02, 0.05], rounds=25, seed=2)
        for k, stepsize in enumerate((0.02, 0.05)):
            alone = method(TASK, make("cq"), stepsize=stepsize, rounds=25, seed=2)
            np.testing.assert_allclose(
                together.grad_norm_sq[:, k], alone.grad_norm_sq[:, 0], rtol=1e-9
            )


def test_a_member_that_diverges_ends_and_the_others_go_on():
    trace = diana(TASK, make("iq"), stepsize=[0.05, 1e3], rounds=60, seed=2)
    assert trace.diverged.tolist() == [False, True]


@pytest.mark.parametrize("alpha", [0.0, -1.0, 1.5, float("nan")])
def test_diana_refuses_alpha_outside_its_range(alpha):
    with pytest.raises(ValueError, match=f"alpha must be in .*got {alpha}"):
        diana(TASK, make("iq"), stepsize=0.1, alpha=alpha, rounds=1)


def test_diana_needs_alpha_where_there_is_no_omega():
    with pytest.raises(ValueError):
        diana(TASK, make("drive"), stepsize=0.1, rounds=1)
    assert diana(TASK, make("drive"), stepsize=0.1, alpha=0.5, rounds=1).rounds == 1
