"""Memory of one call beyond its inputs and ``out``: the resident peak, and NumPy's own.

The resident peak is the operating system's (VmHWM), reset after a call on a small vector and after
all inputs and outputs have been touched; Linux only. NumPy's own peak is that of ``tracemalloc``,
which sees allocations of Python and NumPy, but not of torch.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

from benchmarks import child

_SMALL = 2**14
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def memory(names: tuple[str, ...], d: int) -> list[dict[str, Any]]:
    """Measure one call of each case in a process of its own.

    Returns:
        Rows with sizes in bytes: the input (d floats), the result (at the case's bits per
        coordinate), the growth of the resident peak, and NumPy's peak.
    """
    return [{"name": name, "d": d, **child.run("memory", name, d)} for name in names]


def resident(field: str) -> int:
    """Return a field of the process's status in bytes: VmRSS is the size now, VmHWM the peak."""
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS} has no {field}")


def main() -> None:
    """Measure one case in this process."""
    import torch

    from benchmarks import ours

    torch.set_num_threads(1)
    case, d = ours.find(sys.argv[1]), int(sys.argv[2])
    case.setup(case.n, _SMALL)()
    operation = case.setup(case.n, d)
    _RESET.write_text("5")  # sets the peak to the present size
    before = resident("VmRSS")
    kept = operation()
    growth = resident("VmHWM") - before
    del kept
    tracemalloc.start()
    kept = operation()
    traced = tracemalloc.get_traced_memory()[1]
    del kept
    sizes = {"input": 4 * d, "result": int(case.bits * d / 8)}
    result = {**sizes, "resident_growth": max(growth, 0), "traced_peak": traced}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
