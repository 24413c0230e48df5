"""``python -m cqbook.evidence``: search for worse inputs than the stored ones, and store them."""

from __future__ import annotations

import json

import numpy as np

from cqbook.evidence.inequalities import INEQUALITIES
from cqbook.evidence.worst_inputs import FILE, stored
from cqlib.files import write_atomic


def main(*, evaluations: int = 1_000_000, restarts: int = 10, seed: int = 1) -> None:
    """Search with ten times as many evaluations as a notebook."""
    found = {name: list(at) for name, at in stored().items() if name in INEQUALITIES}
    for name, inequality in INEQUALITIES.items():
        worst = inequality.search(evaluations=evaluations, restarts=restarts, seed=seed)
        known = -np.inf
        if len(found.get(name, ())) == inequality.size:
            known = float(inequality.ratio(np.array([found[name]]))[0])
        if worst.ratio > known:
            found[name] = list(worst.at)
        print(f"{name}: {max(worst.ratio, known):.9f} (this search {worst.ratio:.9f})")
        write_atomic(FILE, json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
