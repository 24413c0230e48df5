"""Settings of the whole suite."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

from cqlib.kernels import dispatch

if not torch.cuda.is_available():
    # Before Triton is imported: its programs are interpreted then, with the same bits.
    os.environ["TRITON_INTERPRET"] = "1"

# The same examples on every machine, and no clock: a slow machine is not a bug.
settings.register_profile(
    "same everywhere",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same everywhere")

# The tensors are tiny: a second thread would wait far longer than it works.
torch.set_num_threads(1)


@pytest.fixture(params=["reference", "cpu"])
def backend(request, monkeypatch):
    """Every implementation of the kernels for main memory, one after the other."""
    monkeypatch.setenv(dispatch.VARIABLE, request.param)
    return request.param
