"""Compiler settings of the loops, and a cache of machine code that notices changed sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

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


class _Cache(FunctionCache):
    """Numba's cache of one function; it is valid as long as the digest of all sources is the same.

    Numba itself checks only the function's own file, although the machine code contains functions
    of other files. Numba chooses the folder: NUMBA_CACHE_DIR, or ``__pycache__`` next to the file,
    or a folder of the user if that is read-only.
    """

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(self.cache_path, self._impl.filename_base, STAMP)


def compiled(function):
    """Compile at the first call for each combination of argument types; cache the machine code."""
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # without a writable folder, every process compiles again
        dispatcher._cache = _Cache(function)
    return dispatcher


# Such a function is inlined into its callers. The NumPy error model avoids a test for zero in every
# division, which would prevent vectorisation.
inlined = numba.njit(nogil=True, error_model="numpy", forceinline=True)
