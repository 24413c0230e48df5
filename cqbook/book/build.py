"""Build the book of a profile with Sphinx, in ``build/PROFILE``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cqbook import paths
from cqbook.book import staging
from cqbook.runs.locks import locked
from cqlib.files import write_atomic

_MARK = "made-from"


class BookError(RuntimeError):
    """Sphinx failed or warned."""


def build(profile: str) -> tuple[Path, bool]:
    """Stage and build the book of a profile.

    Returns:
        The index page, and True if something had to be built.

    Raises:
        BookError: if Sphinx fails or warns.
        RunError: if a chapter has no run.
        PageError: if two notebooks disagree.
    """
    out = paths.root() / "build" / profile
    with locked(out):
        return _build(out, staging.source(profile))


def _build(out: Path, files: Mapping[str, bytes]) -> tuple[Path, bool]:
    index = out / "book" / "_build" / "html" / "index.html"
    mark, digest = out / _MARK, _digest(files)
    if index.exists() and mark.exists() and mark.read_text() == digest:
        return index, False
    mark.unlink(missing_ok=True)
    staging.write(out / "source", files)
    shutil.rmtree(out / "book", ignore_errors=True)  # it may have pages of earlier contents
    _sphinx(out, index)
    write_atomic(mark, digest)
    return index, True


def _sphinx(out: Path, index: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "jupyter-book"),
        *("build", str(out / "source"), "--toc", str(out / "source" / "book" / "_toc.yml")),
        *("--path-output", str(out / "book"), "-W", "-n", "--keep-going", "-q"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    log = result.stdout + result.stderr
    write_atomic(out / "sphinx.log", log)
    if result.returncode != 0 or not index.exists():
        problems = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
        raise BookError(
            "Sphinx did not accept the book (whole log: "
            f"{out / 'sphinx.log'}):\n" + "\n".join(problems or log.splitlines()[-15:])
        )


def _digest(files: Mapping[str, bytes]) -> str:
    parts = (name.encode() + b"\0" + content for name, content in sorted(files.items()))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
