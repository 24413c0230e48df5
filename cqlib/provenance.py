"""What a run was made from, and on what: the digests that tell whether it is up to date."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat

from cqlib import data, paths


def code_key(notebook: Path, parameters: Mapping[str, Any]) -> str:
    """Return the digest of what decides results: notebook, parameters, code, versions."""
    nb = nbformat.read(notebook, as_version=4)
    parts = [
        *(f"{cell.cell_type}\n{cell.source}" for cell in nb.cells),
        json.dumps(parameters, sort_keys=True),
        *(f"{p.name}\n{p.read_text(encoding='utf-8')}" for p in _sources()),
        (paths.root() / "book" / "claims.yml").read_text(encoding="utf-8"),
        json.dumps(versions()),
    ]
    return digest("\0".join(parts))


def key(code: str) -> str:
    """Return the digest that tells a run up to date: of its code key and of the data at hand.

    Data count as they are when the run ends, since it may have fetched them; real data must
    replace a stand-in.
    """
    return digest(code + digest(json.dumps(data.whereabouts())))


def _sources() -> list[Path]:
    return sorted(Path(__file__).parent.rglob("*.py"))


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that results may depend on."""
    names = ("numpy", "scipy", "pandas", "matplotlib", "scikit-learn", "torch")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def machine() -> dict[str, Any]:
    """Return what a run was made on: commit, versions, processor, system."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or "unknown",
        "versions": versions(),
        "device": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "interpreter": sys.implementation.name,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
