"""How nbval reruns notebooks, and compares their outputs with the stored ones."""

import os
from collections.abc import Generator
from pathlib import Path
from unittest import mock

import pytest

from tests.stored_numbers import adopt, tolerance

# With these settings the libraries choose the code for an old processor: it rounds sums
# differently.
OLD_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out notebooks that the book has run with their own parameters.

    ``tests/repository/test_notebooks.py`` compares the outputs of these runs.
    """
    if collection_path.suffix != ".ipynb" or not os.environ.get("CQLIB_REQUIRE_BOOK"):
        return None
    from tests import built_book  # here, since it imports more than nbval needs

    return built_book.shows(collection_path) or None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Start kernels as on an old processor: outputs must not depend on it."""
    with mock.patch.dict(os.environ, OLD_PROCESSOR if hasattr(item, "cell") else {}):
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
