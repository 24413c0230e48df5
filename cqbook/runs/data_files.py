"""Data files that the parameters of a run name: where they are, and what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cqbook.runs.parameters import ParameterError

_ENDINGS = tuple(
    text + compression
    for text in (".svm", ".libsvm", ".txt")
    for compression in ("", ".bz2", ".gz", ".xz")
)


def located(parameters: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return parameters with the whole path of each data file, also in lists.

    A text names a data file if `cqlib.data.load` would take it for a path and there is such a file,
    or it has one of the endings .svm, .libsvm and .txt, compressed or not.

    Args:
        parameters: as a user gave them.
        base: the folder from which relative paths start.

    Raises:
        ParameterError: if a file with one of the endings does not exist.
    """
    return {name: _located(name, value, base) for name, value in parameters.items()}


def digests(parameters: Mapping[str, Any], digest: Callable[[Path], str]) -> dict[str, str]:
    """Return the digest of the content of every data file that parameters name, by its path.

    Args:
        parameters: of a run.
        digest: gives the digest of a file.
    """
    texts = [text for value in parameters.values() for text in _texts(value)]
    found = {text: _file(text, Path()) for text in texts}
    return {text: digest(path) for text, path in found.items() if path and path.is_file()}


def _located(name: str, value: Any, base: Path) -> Any:
    if isinstance(value, list):
        return [_located(name, part, base) for part in value]
    path = _file(value, base) if isinstance(value, str) else None
    if path is None:
        return value
    if not path.is_file():
        raise ParameterError(f"parameter {name!r} names the data file {path}, which is not there")
    return str(path)


def _file(text: str, base: Path) -> Path | None:
    """Return the whole path of the data file that a text names; None if it names none."""
    from cqlib.data import is_path  # here, since it takes longer than most commands

    path = Path(os.path.abspath(base / os.path.expanduser(text)))
    if not is_path(text):
        return None
    return path if path.is_file() or text.lower().endswith(_ENDINGS) else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
