"""Settings of the whole suite."""

import pytest
import torch
from hypothesis import HealthCheck, settings

from cqlib.kernels import dispatch

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


@pytest.fixture(params=dispatch.BACKENDS)
def backend(request, monkeypatch):
    """Every implementation of the kernels that runs here, one after the other."""
    monkeypatch.setenv(dispatch.VARIABLE, request.param)
    return request.param
