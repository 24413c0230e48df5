"""The machine and the software of the measurements."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import cqlib
from cqbook.runs import provenance

_PACKAGES = ("numba", "llvmlite", "triton", "minifl", "fedjax", "jax", "jaxlib")
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "XLA_FLAGS", "CQLIB_BACKEND",
              "OPENBLAS_CORETYPE",
              "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")  # fmt: skip
_CPU = Path("/sys/devices/system/cpu/cpu0")


def machine() -> dict[str, Any]:
    """Return processor, memory, system, versions, commit, settings, date and load."""
    facts = provenance.machine()
    packages = {name: _version(name) for name in _PACKAGES}
    return {
        **facts,
        "cqlib": cqlib.__version__,
        "versions": {**facts["versions"], **packages},
        "cores": os.cpu_count(),
        "caches": caches(),
        "memory_gib": _memory_gib(),
        "governor": _text(_CPU / "cpufreq/scaling_governor") or "unknown",
        "huge_pages": _text(Path("/sys/kernel/mm/transparent_hugepage/enabled")) or "unknown",
        "libc": " ".join(platform.libc_ver()),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load": list(os.getloadavg()),
    }


def caches() -> dict[str, str]:
    """Return the sizes of the first core's caches, such as {"L1 Data": "32K"}."""
    found = {}
    for folder in sorted((_CPU / "cache").glob("index*")):
        level, kind = _text(folder / "level"), _text(folder / "type")
        found[f"L{level} {kind}"] = _text(folder / "size")
    return found


def _memory_gib() -> float | None:
    lines: Iterable[str] = _text(Path("/proc/meminfo")).splitlines()
    kib = [int(line.split()[1]) for line in lines if line.startswith("MemTotal")]
    return kib[0] / 2**20 if kib else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
