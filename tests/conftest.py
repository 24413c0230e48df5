"""Settings of the whole suite."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

from cqlib.kernels import dispatch

if not torch.cuda.is_available():
    # Set before Triton is imported: Triton then interprets its functions, with the same bits.
    os.environ["TRITON_INTERPRET"] = "1"

# The same examples on every machine, and no time limits.
settings.register_profile(
    "same everywhere",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same everywhere")

# The tensors are tiny: a second thread would only cost time.
torch.set_num_threads(1)


@pytest.fixture(params=["reference", "cpu"])
def backend(request, monkeypatch):
    """Run a test with each backend for NumPy arrays."""
    monkeypatch.setenv(dispatch.VARIABLE, request.param)
    return request.param
