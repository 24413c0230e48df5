"""Other libraries, one file each, which defines ``CASES``.

A library that is not installed, or cannot be imported, is reported and skipped.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from benchmarks.case import Case

NAMES = ("minifl", "fedjax", "torch")


@dataclass(frozen=True)
class Peer:
    """A library with its cases, or the reason why it has none."""

    name: str
    cases: tuple[Case, ...] = ()
    why: str = ""


def load(name: str) -> Peer:
    """Import a library's cases; an error on import is reported in ``why``, not raised."""
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except Exception as error:  # a broken install raises anything
        return Peer(name, why=f"{type(error).__name__}: {error}")
    return Peer(name, tuple(module.CASES))
