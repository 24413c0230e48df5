"""For pytest: run the tests with one mutant, whose name stands in ``CQLIB_MUTANT``.

``CQLIB_MUTANT="rand_k: weight 1 % too large" pytest -p tools.mutation.plugin tests/compressors``
Processes that a test starts run without it.
"""

from __future__ import annotations

import os

import pytest

from cqlib.kernels import dispatch
from tools.mutation.catalogue import MUTANTS
from tools.mutation.changes import MutantError, Tally, put

VARIABLE = "CQLIB_MUTANT"
TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mutant, before any test is imported."""
    name = os.environ.get(VARIABLE)
    if name is None:
        return
    for mutant in MUTANTS:
        if mutant.name == name:
            os.environ[dispatch.VARIABLE] = mutant.backend
            try:
                config.stash[TALLY] = put(mutant.change, mutant.target)
            except MutantError as error:
                raise pytest.UsageError(f"{name}: {error}") from None
            return
    raise pytest.UsageError(f"{VARIABLE}: no mutant has the name {name!r}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how often the changed function was called, and how often that made a difference."""
    tally = config.stash.get(TALLY, None)
    if tally is not None:
        terminalreporter.write_line(f"mutant: {tally.calls} calls, {tally.differences} changed")
