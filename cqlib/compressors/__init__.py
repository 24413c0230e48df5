"""Compressors by name: ``make("cq")``, ``names()``.

One file per idea. A new compressor is one class and one line here.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cqlib.compressors.averaging import client_mean
from cqlib.compressors.base import Compressor
from cqlib.compressors.composition import Composition, compose
from cqlib.compressors.cq import CQ
from cqlib.compressors.drive import Drive
from cqlib.compressors.drive_plus import DrivePlus
from cqlib.compressors.global_qsgd import GlobalQSGD
from cqlib.compressors.identity import Identity
from cqlib.compressors.iq import IQ
from cqlib.compressors.iscc import ISCC
from cqlib.compressors.natural_compression import NaturalCompression
from cqlib.compressors.natural_dithering import NaturalDithering
from cqlib.compressors.perm_k import PermK
from cqlib.compressors.permk_cq import PermKCQ
from cqlib.compressors.rand_k import RandK
from cqlib.compressors.standard_dithering import StandardDithering
from cqlib.compressors.terngrad import TernGrad
from cqlib.compressors.top_k import TopK
from cqlib.compressors.types import AB, Constants, Context, Sizes, Symbols

__all__ = [
    "AB",
    "CQ",
    "IQ",
    "ISCC",
    "Composition",
    "Compressor",
    "Constants",
    "Context",
    "Drive",
    "DrivePlus",
    "GlobalQSGD",
    "Identity",
    "NaturalCompression",
    "NaturalDithering",
    "PermK",
    "PermKCQ",
    "RandK",
    "Sizes",
    "StandardDithering",
    "Symbols",
    "TernGrad",
    "TopK",
    "client_mean",
    "compose",
    "make",
    "names",
]

_CLASSES: tuple[type[Compressor], ...] = (
    Identity,
    RandK,
    TopK,
    PermK,
    StandardDithering,
    NaturalDithering,
    NaturalCompression,
    TernGrad,
    IQ,
    CQ,
    Drive,
    DrivePlus,
    PermKCQ,
    ISCC,
    Composition,
    GlobalQSGD,
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
    CQ(levels=1, ranks='permutation', range='l2', rotate=False)
    >>> make("cq", rank="shift")
    Traceback (most recent call last):
    ValueError: unknown option 'rank' of cq; known: levels, ranks, range, rotate
    """
    known = {cls.name: cls for cls in _CLASSES}
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown compressor {name!r}; known: {', '.join(known)}")
    allowed = [f.name for f in fields(known[name])]
    for option in options:
        if option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise ValueError(f"unknown option {option!r} of {name}; known: {listed}")
    return known[name](**options)
