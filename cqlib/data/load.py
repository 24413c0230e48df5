"""Data sets by name, checked by their content, and anybody's LibSVM file by path."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cqlib.data import libsvm
from cqlib.data.catalogue import ENTRIES
from cqlib.data.content import content_sha256
from cqlib.data.dataset import Dataset
from cqlib.data.lines import COMPRESSIONS
from cqlib.data.named import named

_ENTRIES = {entry.name: entry for entry in ENTRIES}


def names() -> tuple[str, ...]:
    """Return the names that `load` knows.

    >>> names()
    ('a9a', 'madelon', 'splice', 'breast_cancer', 'digits')
    """
    return tuple(_ENTRIES)


def load(name: str | os.PathLike[str]) -> Dataset:
    """Return a data set by its name, or by the path of a LibSVM file.

    - a9a, 32561 x 123: zeros and ones, 11 to 14 ones a row; +1 earns over 50,000 USD a year.
    - madelon, 2000 x 500: integers 0 to 999; two artificial classes.
    - splice, 1000 x 60: 1, 2, 3, 4 for the bases A, G, C, T; +1 means no junction.
    - breast_cancer, 569 x 30: columns of mean 0 and population variance 1; +1 is benign.
    - digits, 1797 x 64: pixels / 16, in [0, 1]; +1 is an even digit.

    The first three are LibSVM's training files, unscaled, and ship with cqlib; the others ship with
    scikit-learn. Each is compared with its known digest, once per process.

    A file is LibSVM text (`cqlib.data.libsvm`), compressed if its name ends in .bz2, .gz or .xz. It
    has two labels: the smaller becomes -1, the larger +1. X, y and the entries of the text may take
    up to 2 GiB. A file is read anew on every call.

    Args:
        name: one of `names`; or a path, which has an ending or a separator; ``~`` is the user's
            home.

    Raises:
        TypeError: if the name is neither a text nor a path of text.
        ValueError: if the name is unknown.
        DataError: if a file cannot be read or is malformed; the message names the line.
        ImportError: if the set comes from scikit-learn, which is not installed.

    Source: https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html

    >>> data = load("splice")
    >>> data.X.shape, data.label, data.source
    ((1000, 60), 'splice', 'LibSVM splice, content 2c00d62ea299')
    """
    if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
        raise TypeError(f"a data set is named by a text or a path, not by {name!r}")
    if is_path(name):
        return _from_file(Path(os.path.expanduser(name)))
    if name in _ENTRIES:
        return named(_ENTRIES[str(name)])
    raise ValueError(
        f"unknown data set {name!r}; known are {', '.join(names())}; the path of a LibSVM file has "
        f"an ending, such as .svm or .svm.xz, or a {os.sep!r}"
    )


def is_path(name: str | os.PathLike[str]) -> bool:
    """Return whether `load` takes a name as a path: it has an ending or a separator.

    >>> is_path("a9a"), is_path("./a9a"), is_path("a9a.svm")
    (False, True, True)
    """
    if not isinstance(name, str):
        return True
    return bool(Path(name).suffix) or os.sep in name or bool(os.altsep and os.altsep in name)


def _from_file(path: Path) -> Dataset:
    X, y = libsvm.read(path)
    return Dataset(X, y, _title(path), f"{path.name}, content {content_sha256(X, y)[:12]}")


def _title(path: Path) -> str:
    """Return a file's name without the endings of its format and compression.

    Characters with a meaning in Markdown, HTML or a figure's formulas become underscores.
    """
    bare = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    title = bare.stem if bare.suffix.lower() in (".svm", ".libsvm", ".txt") else bare.name
    return re.sub(r"[^\w .,+=()-]", "_", title)
