"""Fuzz the wire format in several processes, and record the figures for the book's page.

``python tools/fuzz_record.py 10000000 2`` tries ten million inputs, two processes at a time;
each process has a seed of its own. The figures go to ``benchmarks/fuzz.json``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cqbook.runs import provenance  # noqa: E402
from cqlib.files import write_atomic  # noqa: E402

LIBRARIES = ("python", "numpy", "torch", "numba")
PLACE = ROOT / "benchmarks" / "fuzz.json"
AT_ONCE = 10**6  # inputs of one process: libFuzzer's own memory grows with their number


def fuzzed(runs: int, seed: int) -> tuple[int, str]:
    """Return the number of inputs that a process tried, and its words if it found a fault."""
    program = [sys.executable, str(ROOT / "tools" / "fuzz_payload.py")]
    done = subprocess.run(
        [*program, f"-runs={runs}", f"-seed={seed}", "-print_final_stats=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = re.search(r"number_of_executed_units:\s+(\d+)", done.stdout)
    fault = done.stdout[-2000:] or f"ended with {done.returncode}, without a word"
    return int(found[1]) if found else 0, fault if done.returncode else ""


def main(runs: int, processes: int) -> None:
    """Try the inputs and write the record; print the faults, and exit with code 1 if any.

    Args:
        runs: number of inputs.
        processes: number of processes at a time.
    """
    started = time.time()
    parts = [min(AT_ONCE, runs - at) for at in range(0, runs, AT_ONCE)]
    with ThreadPoolExecutor(processes) as pool:
        told = list(pool.map(fuzzed, parts, range(1, len(parts) + 1)))
    faults = [text for _, text in told if text]
    facts = provenance.machine()
    record = {
        "inputs": sum(count for count, _ in told),
        "faults": len(faults),
        "seconds": round(time.time() - started),
        "processes": processes,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": facts["commit"],
        "cqlib": facts["cqlib"],
        "versions": {name: facts["versions"][name] for name in LIBRARIES},
        "device": facts["device"],
    }
    write_atomic(PLACE, json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    if faults:
        print("\n".join(faults))
        raise SystemExit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
