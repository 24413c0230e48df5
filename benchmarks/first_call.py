"""Time of the first call in a process: compiling, or loading from Numba's cache."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

from benchmarks import child

_START = time.perf_counter()
SIZE = (16, 2**16)  # n and d


def first_calls(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Measure cases in fresh processes, with an empty cache and then with the filled one.

    Returns:
        Rows with the seconds of the imports, of the first call and of the second call.
    """
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("empty", "filled"):
                seconds = child.run("first_call", name, env={"NUMBA_CACHE_DIR": folder})
                rows.append({"name": name, "cache": cache, **seconds})
    return rows


def main() -> None:
    """Measure one case in this process."""
    import torch

    from benchmarks import ours

    torch.set_num_threads(1)
    imported = time.perf_counter()
    # The set-up may call kernels too, so it counts as part of the first call.
    operation = ours.find(sys.argv[1]).setup(*SIZE)
    operation()
    first = time.perf_counter()
    operation()
    repeated = time.perf_counter()
    seconds = (imported - _START, first - imported, repeated - first)
    print(json.dumps(dict(zip(("import_s", "first_s", "second_s"), seconds, strict=True))))


if __name__ == "__main__":
    main()
