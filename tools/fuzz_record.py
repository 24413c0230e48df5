"""Fuzz the wire format in several processes, and record the figures for the book's page.

``python tools/fuzz_record.py 10000000 2`` shares ten million inputs between two processes, each
with a seed of its own. The figures go to ``benchmarks/fuzz.json``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cqbook.runs import provenance  # noqa: E402
from cqlib.files import write_atomic  # noqa: E402
from tests.cases import CASES  # noqa: E402

LIBRARIES = ("python", "numpy", "torch", "numba")
PLACE = ROOT / "benchmarks" / "fuzz.json"


def main(runs: int, processes: int) -> None:
    """Run the processes and write the record; a fault is printed and makes the exit code 1."""
    started = time.time()
    program = [sys.executable, str(ROOT / "tools" / "fuzz_payload.py")]
    running = [
        subprocess.Popen(
            [*program, f"-runs={runs // processes}", f"-seed={seed}", "-print_final_stats=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in range(1, processes + 1)
    ]
    told = [process.communicate()[0] for process in running]
    tried = [re.search(r"number_of_executed_units:\s+(\d+)", text) for text in told]
    faults = sum(process.returncode != 0 for process in running)
    facts = provenance.machine()
    record = {
        "inputs": sum(int(found[1]) for found in tried if found),
        "faults": faults,
        "compressors": len(CASES),
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
        print("\n".join(text[-2000:] for text in told))
        raise SystemExit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
