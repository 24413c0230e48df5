"""Compressors by name: ``make("cq")``, ``names()``.

One file per idea. A new compressor is one class and one line here.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cqlib.compressors.base import AB, Compressor, Constants, Symbols, client_mean
from cqlib.compressors.cq import CQ
from cqlib.compressors.identity import Identity
from cqlib.compressors.iq import IQ

__all__ = [
    "AB",
    "CQ",
    "IQ",
    "Compressor",
    "Constants",
    "Identity",
    "Symbols",
    "client_mean",
    "make",
    "names",
]

_CLASSES: tuple[type[Compressor], ...] = (
    Identity,
    IQ,
    CQ,
)


def names() -> list[str]:
    """Return the names of all compressors.

    >>> {"identity", "iq", "cq"} <= set(names())
    True
    """
    return [cls.name for cls in _CLASSES]


def make(name: str, **options: Any) -> Compressor:
    """Return the compressor of that name.

    Args:
        name: one of :func:`names`.
        options: the compressor's options; all have defaults.

    Raises:
        ValueError: for an unknown name or option, naming the known ones.

    >>> make("cq", ranks="permutation")
    CQ(ranks='permutation')
    >>> make("cq", rank="shift")
    Traceback (most recent call last):
    ValueError: unknown option 'rank' of cq; known: ranks
    """
    known = {cls.name: cls for cls in _CLASSES}
    if name not in known:
        raise ValueError(f"unknown compressor {name!r}; known: {', '.join(known)}")
    allowed = [f.name for f in fields(known[name])]
    for option in options:
        if option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise ValueError(f"unknown option {option!r} of {name}; known: {listed}")
    return known[name](**options)
