"""Data files in the parameters of a run: their paths and digests."""

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


def located(parameters: Mapping[str, Any], base: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the absolute path of each data file, also inside lists.

    Only a parameter that is a text by default, or a list with texts, can name files. A text names a
    data file if `cqlib.data.load` reads it as a path and either this file exists or the text ends
    in .svm, .libsvm or .txt, compressed or not.

    Args:
        parameters: the parameters given by a user.
        base: the folder at which relative paths start.
        known: the notebook's own values, by name.

    Raises:
        ParameterError: if a file with one of the endings does not exist.
    """
    return {
        name: _located(name, value, base) if any(_texts(known.get(name))) else value
        for name, value in parameters.items()
    }


def digests(parameters: Mapping[str, Any], digest: Callable[[Path], str]) -> dict[str, str]:
    """Return the digest of every data file in the parameters, by its path.

    Args:
        parameters: parameters of a run.
        digest: function that returns the digest of a file.
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
        raise ParameterError(f"parameter {name!r} names the data file {path}, which does not exist")
    return str(path)


def _file(text: str, base: Path) -> Path | None:
    """Return the absolute path of the data file that a text names; None for other texts."""
    from cqlib.data import is_path  # here, since this import takes longer than most commands

    path = Path(os.path.abspath(base / os.path.expanduser(text)))
    if not is_path(text):
        return None
    return path if path.is_file() or text.lower().endswith(_ENDINGS) else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
