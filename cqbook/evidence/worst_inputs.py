"""The worst inputs found so far, stored for later checks.

``python -m cqbook.evidence`` searches again, and replaces an input if it finds a worse one.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("worst_inputs.json")


@cache
def stored() -> dict[str, list[float]]:
    """Return all stored inputs, by the name of their inequality."""
    return dict(json.loads(FILE.read_text(encoding="utf-8"))) if FILE.exists() else {}


def worst_input(name: str) -> NDArray[np.float64]:
    """Return the stored worst input of an inequality, shape (1, size), for its ``ratio``.

    Args:
        name: name in ``INEQUALITIES``.

    Raises:
        ValueError: if none is stored.

    >>> from cqbook.evidence import INEQUALITIES
    >>> printed = INEQUALITIES["Corollary 2, constant as read, n = 2, d = 4"]
    >>> float(printed.ratio(worst_input(printed.name))[0]) > 3.99
    True
    """
    if name not in stored():
        raise ValueError(f"no worst input is stored for {name!r}; known: {', '.join(stored())}")
    return np.array([stored()[name]])
