"""Compressors by name, collected from all modules of this package.

``names()`` starts with the library's own, in the order of its tables; others follow by name.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from cqlib.compressors.contract import Compressor

PACKAGE = "cqlib.compressors"
LIBRARY = (
    "identity",
    "rand_k",
    "top_k",
    "perm_k",
    "standard_dithering",
    "natural_dithering",
    "natural_compression",
    "terngrad",
    "iq",
    "cq",
    "drive",
    "drive_plus",
    "permk_cq",
    "iscc",
    "compose",
    "global_qsgd",
)


def names() -> list[str]:
    """Return the names of all compressors.

    >>> {"identity", "iq", "cq"} <= set(names())
    True
    """
    return list(classes())


def make(name: str, **options: Any) -> Compressor:
    """Return the compressor of that name.

    Args:
        name: one of :func:`names`.
        options: the compressor's options; all have defaults.

    Raises:
        ValueError: for an unknown name or option, naming the known ones.

    >>> make("cq", ranks="permutation")
    CQ(levels=1, ranks='permutation', range='l2', rotate=False)
    >>> make("cq", rank="shift")
    Traceback (most recent call last):
    ValueError: unknown option 'rank' of cq; known: levels, ranks, range, rotate
    """
    known = classes()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown compressor {name!r}; known: {', '.join(known)}")
    allowed = [f.name for f in fields(known[name])]
    for option in options:
        if option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise ValueError(f"unknown option {option!r} of {name}; known: {listed}")
    return known[name](**options)


def classes() -> Mapping[str, type[Compressor]]:
    """Return the classes of all compressors by name, in the order of the tables.

    A file that is added while Python runs is found. One that has changed is not read again.

    Raises:
        TypeError: if a class lacks a member, or overrides a final one.
        ValueError: if two have the same name.
    """
    return _found(
        tuple((path, _listed(path)) for path in importlib.import_module(PACKAGE).__path__)
    )


def _listed(folder: str) -> frozenset[str]:
    """Return the names of a folder's files; none if it cannot be read."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


@lru_cache(maxsize=1)
def _found(files: tuple[tuple[str, frozenset[str]], ...]) -> Mapping[str, type[Compressor]]:
    """Import the modules of folders, given with the names of their files."""
    importlib.invalidate_caches()  # else Python may not see a new file
    folders = [folder for folder, _ in files]
    known: dict[str, type[Compressor]] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(folders)):
        for cls in _defined(f"{PACKAGE}.{module}"):
            if cls.name in known:
                raise ValueError(f"both {known[cls.name]} and {cls} have the name {cls.name!r}")
            known[cls.name] = cls
    order = {name: place for place, name in enumerate(LIBRARY)}
    return {
        name: known[name] for name in sorted(known, key=lambda n: (order.get(n, len(order)), n))
    }


def _defined(module: str) -> Iterator[type[Compressor]]:
    """Yield the compressor classes that a module defines, without abstract ones."""
    for cls in vars(importlib.import_module(module)).values():
        if not (isinstance(cls, type) and issubclass(cls, Compressor) and cls is not Compressor):
            continue
        if cls.__module__ == module and not inspect.isabstract(cls) and "name" in vars(cls):
            yield cls
