"""Measurements in a process of their own, which returns them as a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from cqbook import paths


def run(module: str, *arguments: object, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a module of this package in a fresh process and return the JSON that it prints last.

    If the process fails, the last line of its errors is returned under "error".
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=paths.root(),
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"error": last}
    return json.loads(done.stdout.splitlines()[-1])
