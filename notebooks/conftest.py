"""How nbval reruns notebooks, and compares their outputs with the stored ones."""

import os
from collections.abc import Generator
from unittest import mock

import pytest

from tests.small_runs import SMALL
from tests.stored_numbers import adopt, tolerance

# With these settings the libraries choose the code for an old processor: it rounds sums
# differently.
OLD_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
}


def environment(item: pytest.Item) -> dict[str, str]:
    """Return what a kernel needs to compute unlike the run that stored the outputs.

    The reference kernels take minutes for some notebooks, which keep the compiled ones.
    """
    notebook = item.path.with_suffix("").as_posix()
    slow = any(notebook.endswith(f"/notebooks/{name}") for name in SMALL)
    return OLD_PROCESSOR | ({} if slow else {"CQLIB_BACKEND": "reference"})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Start kernels in another environment: outputs must not depend on it."""
    with mock.patch.dict(
        os.environ, environment(item) if hasattr(item, "cell") else {}
    ):
        return (yield)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let cells tagged ``numbers-within-0.1`` differ from their outputs by that."""
    cell = getattr(item, "cell", None)
    within = None if cell is None else tolerance(cell.metadata.get("tags", []))
    if within is not None:
        to_the_letter = item.compare_outputs
        item.compare_outputs = lambda test, ref, skip_compare=None: to_the_letter(
            adopt(test, ref, within), ref, skip_compare
        )
