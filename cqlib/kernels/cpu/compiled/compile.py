"""Compiler settings of the loops, and a cache of machine code that notices changed sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numba

from cqlib.kernels.caches.compiled import Cache, writable

_HERE = Path(__file__).parent
_REFERENCE = _HERE.parents[1] / "reference"
# The sources of the machine code: the loops, and the files with their constants.
SOURCES = (
    *sorted(_HERE.glob("*.py")),
    *(_REFERENCE / f"{name}.py" for name in ("hadamard", "norms", "packing", "ranks", "rounding")),
    _HERE.parents[2] / "philox.py",
)


def digest(files: Iterable[Path]) -> str:
    """Return a digest of the contents of files, in their order."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


STAMP = digest(SOURCES)


def find_folder() -> None:
    """Choose the folder that machine code is kept in; warn now, if there is none, and not later."""
    writable(_HERE)


def compiled(function):
    """Compile at the first call for each combination of argument types; cache the machine code."""
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = Cache(function, STAMP)
    return dispatcher


# Such a function is inlined into its callers. The NumPy error model avoids a test for zero in every
# division, which would prevent vectorisation.
inlined = numba.njit(nogil=True, error_model="numpy", forceinline=True)
