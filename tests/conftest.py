"""Settings of the whole suite."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from cqbook.threads import one_thread
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

# The arrays are tiny, and another process uses the other processor.
one_thread()

# Files with a slow fixture for all of their tests.
ONE_PROCESS = ("test_benchmarks.py", "test_environment.py", "test_training.py")


class Scheduling(LoadScopeScheduling):
    """Send the cells of a notebook to one process, as well as some files; other tests one by one.

    Long tests of one file then run at the same time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith((".ipynb", *ONE_PROCESS)) else nodeid


def pytest_xdist_make_scheduler(config, log):
    """Replace the scheduling of ``--dist loadscope``."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(params=["reference", "cpu"])
def backend(request, monkeypatch):
    """Run a test with each backend for NumPy arrays."""
    monkeypatch.setenv(dispatch.VARIABLE, request.param)
    return request.param
