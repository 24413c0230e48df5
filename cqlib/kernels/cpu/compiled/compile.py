"""How loops are compiled, and when machine code on disk is out of date."""

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
# All that ends up in machine code: the loops, and the files that they take constants from.
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
    """Numba's cache of one function, with the digest of all sources as its stamp.

    Numba itself looks at the function's own file, although the code of functions from other files
    is part of it. Numba chooses the folder: NUMBA_CACHE_DIR, ``__pycache__`` beside the file, or
    one of the user where that cannot be written.
    """

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(self.cache_path, self._impl.filename_base, STAMP)


def compiled(function):
    """Compile at the first call for each kind of arguments, and keep the machine code on disk."""
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # where no folder can be written, each process compiles anew
        dispatcher._cache = _Cache(function)
    return dispatcher


# Part of the functions that call it. Without the NumPy error model every division would test for
# zero, and no loop would vectorise.
inlined = numba.njit(nogil=True, error_model="numpy", forceinline=True)
