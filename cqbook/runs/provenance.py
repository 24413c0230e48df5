"""The provenance of a run, and the fingerprint that tells whether the run is up to date.

The fingerprint is a digest of everything that decides the results: the notebook, its parameters
with the contents of their data files, the modules that its cells use with the data in their
folders, the module that executes notebooks, the ids, kinds and titles of the items of the ledger
that its cells name, and the versions of libraries. It does not depend on pages of the book, the
wording of the ledger, comments, docstrings and the version of cqlib. The kernels for GPUs count
only if the run asks for a GPU.

It does not depend on the processor either, although last digits may: a run from a node of a cluster
or from another machine is up to date here, too. The provenance names the machine.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nbformat

import cqbook
from cqbook import paths, strict_yaml
from cqbook.runs import data_files
from cqbook.runs.imports import Sources
from cqbook.runs.parameters import defaults
from cqlib import __version__

_PACKAGES = Path(cqbook.__file__).parents[1]
_EXECUTION = "cqbook.runs.notebook"  # executes a notebook and cleans its outputs
_GPU = "cqlib.kernels.gpu"
_LIBRARIES = (
    *(
        "numpy",
        "scipy",
        "numba",
        "pandas",
        "matplotlib",
        "cycler",
        "sympy",
        "scikit-learn",
        "torch",
        "minifl",
    ),
    *("papermill", "nbformat", "ipykernel", "ipython"),  # they shape the outputs
)


class Snapshot:
    """The files and versions that runs depend on, each as at its first reading.

    It reads each file once for all jobs. To see changed files, make a new one.
    """

    def __init__(self) -> None:
        self._sources = functools.cache(lambda: Sources(_PACKAGES))
        self._notebook = functools.cache(self._notebook_digest)
        self._ledger = functools.cache(_ledger)
        self._file = functools.cache(file_digest)

    def fingerprint(self, notebook: Path, parameters: Mapping[str, Any]) -> str:
        """Return the digest of everything that decides the results of a run, in hexadecimal."""
        given = json.dumps(parameters, sort_keys=True)
        data = json.dumps(data_files.digests({**defaults(notebook), **parameters}, self._file))
        on_gpu = os.environ.get("CQLIB_BACKEND") == "gpu" or _asks_for_gpu(given)
        parts = [self._notebook(notebook, on_gpu), given, data, json.dumps(versions())]
        return digest("\0".join(parts))

    def _notebook_digest(self, file: Path, on_gpu: bool) -> str:
        """Return the digest of a notebook's cells and of the modules and files that they use."""
        cells = nbformat.read(file, as_version=4).cells
        sources = self._sources()
        lines = [cell.source for cell in cells if cell.cell_type == "code"]
        code = _code(lines, sources.files)
        on_gpu = on_gpu or any(map(_asks_for_gpu, lines))
        used = sources.used(code, without="" if on_gpu else _GPU)
        parts = [f"{cell.cell_type}\n{cell.source}" for cell in cells]
        parts += [sources.digest({*used, _EXECUTION}), *_read(code)]
        if "cqbook.cells.claims" in used:
            ledger = self._ledger()
            parts += [ledger[name] for name in sorted(_literals(lines) & ledger.keys())]
        return digest("\0".join(parts))


def files(place: Path) -> dict[str, str]:
    """Return the digests of a file, or of all files below a folder, by relative path."""
    found = sorted(path for path in (place, *place.rglob("*")) if path.is_file())
    return {path.relative_to(place).as_posix(): file_digest(path) for path in found}


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _code(cells: list[str], modules: Collection[str]) -> ast.Module:
    """Return the code of cells without IPython's commands; if it is not Python, it uses all."""
    lines = [line for cell in cells for line in cell.split("\n")]
    plain = [line for line in lines if not line.lstrip().startswith(("%", "!"))]
    try:
        return ast.parse("\n".join(plain))
    except SyntaxError:
        return ast.parse("import " + ", ".join(modules))


def _read(code: ast.Module) -> list[str]:
    """Return digests of the files that code names as ``paths.root() / "folder" / "file"``.

    A folder stands for all files in it, except hidden ones.
    """
    named = re.findall(r"paths\.root\(\)((?: / '[^']+')+)", ast.unparse(code))
    places = [paths.root().joinpath(*re.findall(r"'([^']+)'", name)) for name in named]
    return [json.dumps(_shown(files(place))) for place in places]


def _shown(found: Mapping[str, str]) -> dict[str, str]:
    """Return the files that are not hidden; "." is the place itself."""
    return {name: told for name, told in found.items() if name == "." or name[0] != "."}


def _asks_for_gpu(text: str) -> bool:
    """Return True if code or parameters name a GPU; without that all tensors are on the CPU."""
    return re.search("cuda|gpu", text, re.IGNORECASE) is not None


def _literals(cells: list[str]) -> set[str]:
    """Return the words in quotation marks: a notebook names the items of the ledger so."""
    return {word for cell in cells for word in re.findall(r"""["']([\w.-]+)["']""", cell)}


def _ledger() -> dict[str, str]:
    """Return by id what a verdict on an item takes from the ledger: its kind and title."""
    items = strict_yaml.read(paths.root() / "book" / "claims.yml")
    return {
        item["id"]: json.dumps([item[name] for name in ("id", "kind", "title")]) for item in items
    }


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions on which results may depend."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


class ProvenanceError(RuntimeError):
    """A ``provenance.json`` is damaged; the message names the file."""


def text(facts: Mapping[str, Any]) -> str:
    """Return the content of ``provenance.json``: the facts of a run, and their digest.

    >>> "digest" in json.loads(text({"seconds": 1.5}))
    True
    """
    return json.dumps({**facts, "digest": _digest_of(facts)}, indent=2) + "\n"


def read(file: Path) -> dict[str, Any]:
    """Return the facts of a run from its ``provenance.json``.

    Raises:
        ProvenanceError: if anything was changed since :func:`text`.
        FileNotFoundError: if there is no such file.
    """
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        whole = facts.pop("digest") == _digest_of(facts) and _has_all(facts)
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
        whole = False
    if not whole:
        raise ProvenanceError(f"{file} is damaged, or of an older version; run the notebook again")
    return dict(facts)


_FIELDS: Mapping[str, Any] = {
    **dict.fromkeys(("notebook", "fingerprint", "commit", "cqlib", "device"), str),
    **dict.fromkeys(("parameters", "files", "versions"), dict),
    "seconds": (int, float),
}


def check_files(folder: Path, facts: Mapping[str, Any]) -> None:
    """Raise ProvenanceError unless all files that a run made are still in its folder, unchanged."""
    for name, made in facts["files"].items():
        file = folder / name
        if not file.is_file():
            raise ProvenanceError(f"{file} is missing; run the notebook again")
        if file_digest(file) != made:
            raise ProvenanceError(f"{file} was changed after its run; run the notebook again")


def _has_all(facts: Mapping[str, Any]) -> bool:
    """Return True if facts have all fields that are read, and name the notebook and its digest."""
    if not all(isinstance(facts.get(name), kind) for name, kind in _FIELDS.items()):
        return False
    files = facts["files"]
    texts = all(isinstance(made, str) for made in files.values())
    return texts and any(name.endswith(".ipynb") for name in files)


def _digest_of(facts: Mapping[str, Any]) -> str:
    return digest(json.dumps(facts, sort_keys=True))


def machine() -> dict[str, Any]:
    """Return the environment of a run: commit, versions, processor, system."""
    folder = str(Path(__file__).parent)
    git = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or "unknown",
        "cqlib": __version__,
        "versions": versions(),
        "device": _processor(),
        "arithmetic": _arithmetic(),
        "system": f"{platform.system()} {platform.release()}",
        "interpreter": sys.implementation.name,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _arithmetic() -> dict[str, str]:
    """Return the processor features by which NumPy, Numba and OpenBLAS choose machine code."""
    import numpy as np
    from llvmlite import binding
    from threadpoolctl import threadpool_info

    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    blas = [pool["architecture"] for pool in threadpool_info() if "architecture" in pool]
    return {
        "numpy": " ".join(simd["baseline"] + simd["found"]),
        "numba": os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name(),
        "openblas": os.environ.get("OPENBLAS_CORETYPE") or " ".join(sorted(set(blas))),
    }
