"""cqlib: correlated quantization for distributed optimization, with the checks of its theory."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cqlib import compressors, data, distributed, kernels, methods, problems, theory
    from cqlib.keys import Key
    from cqlib.payload import Payload, PayloadError

__all__ = [
    "Key",
    "Payload",
    "PayloadError",
    "compressors",
    "data",
    "distributed",
    "kernels",
    "methods",
    "problems",
    "theory",
]
__version__ = "0.2.0"

# Loaded on first use, so that `import cqlib` does not wait for torch.
_HOMES = {"Key": "cqlib.keys", "Payload": "cqlib.payload", "PayloadError": "cqlib.payload"}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use."""
    if name in _HOMES:
        found = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in __all__:
        found = importlib.import_module(f"cqlib.{name}")
    else:
        raise AttributeError(f"module 'cqlib' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
