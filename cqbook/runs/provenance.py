"""What a run was made from, and on what: the digests that tell whether it is up to date."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nbformat

import cqlib
from cqbook import paths
from cqbook.runs import data_files
from cqbook.runs.parameters import defaults

_BOOK = Path(__file__).parents[1]


class Snapshot:
    """What runs depend on, each part as it was when first asked for.

    It reads a file once for many jobs. Whoever wants things as they are now takes a new one.
    """

    def __init__(self) -> None:
        self._notebook = functools.cache(_notebook)
        self._package = functools.cache(_package)
        self._file = functools.cache(file_digest)

    def key(self, notebook: Path, parameters: Mapping[str, Any]) -> str:
        """Return the digest of what decides results: notebook, parameters, data, code, versions.

        Data are the files that parameters name; sets with a name are part of the code, which has
        the digests of their content.
        """
        given = json.dumps(parameters, sort_keys=True)
        data = json.dumps(data_files.digests({**defaults(notebook), **parameters}, self._file))
        return digest("\0".join([self._notebook(notebook), given, data, self._package()]))


def files(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder, by its path from there."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in found}


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _notebook(file: Path) -> str:
    cells = nbformat.read(file, as_version=4).cells
    return digest("\0".join(f"{cell.cell_type}\n{cell.source}" for cell in cells))


def _package() -> str:
    sources = [file for folder in _code() for file in sorted(folder.rglob("*.py"))]
    parts = [
        *(f"{_place(file)}\n{file.read_text(encoding='utf-8')}" for file in sources),
        (paths.root() / "book" / "claims.yml").read_text(encoding="utf-8"),
        json.dumps(versions()),
    ]
    return digest("\0".join(parts))


def _code() -> list[Path]:
    """Return the folders whose code decides results: the library, and what notebooks import."""
    used = ("cells", "evidence", "experiments", "network")
    return [Path(cqlib.__file__).parent, *(_BOOK / name for name in used)]


def _place(file: Path) -> str:
    """Return a file's path from the folder that holds its package."""
    package = Path(cqlib.__file__).parent
    base = package if file.is_relative_to(package) else _BOOK
    return (Path(base.name) / file.relative_to(base)).as_posix()


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that results may depend on."""
    names = ("numpy", "scipy", "numba", "pandas", "matplotlib", "scikit-learn", "torch")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


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
