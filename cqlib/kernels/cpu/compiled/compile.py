"""How loops are compiled, and where the machine code is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numba

_config: Any = numba.config
_HERE = Path(__file__).parent

# Without the NumPy error model every division would test for zero, and no loop would vectorise.
inlined = numba.njit(nogil=True, error_model="numpy", forceinline=True)


def cached(decorate):
    """Decorate with a cache that also notices changes in the files that a function inlines from.

    Numba looks at the function's own file only, so the folder is named after all files; where it
    cannot be made, Numba's own choice serves.
    """

    def decorated(function):
        before = _config.CACHE_DIR
        _config.CACHE_DIR = before or str(_HERE / "__pycache__" / _digest())
        try:
            return decorate(function)
        finally:
            _config.CACHE_DIR = before

    return decorated


def _digest():
    names = ("hadamard", "norms", "packing", "ranks", "rounding")
    constants = (_HERE.parents[1] / "reference" / f"{name}.py" for name in names)
    files = [*sorted(_HERE.glob("*.py")), *constants, _HERE.parents[2] / "philox.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


compiled = cached(numba.njit(cache=True, nogil=True, error_model="numpy"))
