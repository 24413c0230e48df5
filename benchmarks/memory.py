"""How much memory one call takes beyond its inputs and ``out``: the resident peak, and NumPy's own.

The peak is the kernel's (VmHWM), reset after warming up on a small vector, with all inputs and
outputs touched; Linux only. ``tracemalloc`` sees what Python and NumPy allocate, not torch.
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
        Rows with bytes: of the input (d floats), of what the call holds or returns at its
        stated bits a coordinate, the growth of the resident peak, NumPy's peak.
    """
    return [{"name": name, "d": d, **child.run("memory", name, d)} for name in names]


def resident(field: str) -> int:
    """Return bytes of a field of the process's status: VmRSS now, VmHWM at its highest."""
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
    _RESET.write_text("5")  # the highest so far becomes what it is now
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
