"""The worst inputs found so far: stored, so that anybody can look at them again.

``python -m cqlib.evidence.worst_inputs`` searches anew, with ten times the evaluations that a
notebook takes, and replaces an entry where it has found a worse one.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cqlib.evidence.attack import attack
from cqlib.evidence.inequalities import INEQUALITIES
from cqlib.files import write_atomic

FILE = Path(__file__).with_name("worst_inputs.json")


def worst_input(name: str) -> NDArray[np.float64]:
    """Return the stored worst input of an inequality, shape (1, size), for its ``ratio``.

    Raises:
        ValueError: if there is none.

    >>> from cqlib.evidence import INEQUALITIES
    >>> printed = INEQUALITIES["Corollary 2, constant as read, n = 2, d = 4"]
    >>> float(printed.ratio(worst_input(printed.name))[0]) > 3.99
    True
    """
    stored = _stored()
    if name not in stored:
        raise ValueError(f"no worst input is stored for {name!r}; known: {', '.join(stored)}")
    return np.array([stored[name]])


@cache
def _stored() -> dict[str, list[float]]:
    return dict(json.loads(FILE.read_text(encoding="utf-8"))) if FILE.exists() else {}


def search(*, evaluations: int = 1_000_000, restarts: int = 10, seed: int = 1) -> None:
    """Search for worse inputs than those stored, and store them."""
    found = {name: at for name, at in _stored().items() if name in INEQUALITIES}
    for name, inequality in INEQUALITIES.items():
        worst = attack(
            inequality.ratio,
            inequality.size,
            evaluations=evaluations,
            restarts=restarts,
            seed=seed,
        )
        known = -np.inf
        if len(found.get(name, ())) == inequality.size:
            known = float(inequality.ratio(np.array([found[name]]))[0])
        if worst.ratio > known:
            found[name] = list(worst.at)
        print(f"{name}: {max(worst.ratio, known):.9f} (this search {worst.ratio:.9f})")
        write_atomic(FILE, json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    search()
