"""The data sets with a name, from this package or scikit-learn, compared with their digests."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cqlib.data import libsvm
from cqlib.data.catalogue import Entry
from cqlib.data.content import content_sha256
from cqlib.data.dataset import Dataset
from cqlib.data.lines import DataError

Array = npt.NDArray[np.float64]


@functools.cache
def named(entry: Entry) -> Dataset:
    """Return the set of an entry, read and compared once per process.

    Raises:
        DataError: if the content does not have the entry's digest.
        ImportError: if the set comes from scikit-learn, which is not installed.
    """
    if entry.package == "scikit-learn":
        return _of_scikit_learn(entry)
    X, y = libsvm.read(Path(__file__).with_name(f"{entry.name}.svm.xz"))
    _check(entry, X, y)
    return Dataset(X, y, entry.name, f"LibSVM {entry.name}, content {entry.content[:12]}")


def _of_scikit_learn(entry: Entry) -> Dataset:
    try:
        import sklearn.datasets as shipped
    except ImportError as error:
        raise ImportError(
            f"the data set {entry.name} comes with scikit-learn: pip install cqlib[data]"
        ) from error
    X, classes = getattr(shipped, f"load_{entry.name}")(return_X_y=True)
    if entry.name == "digits":
        scaled, y = X / 16, 1 - 2 * (classes % 2)
    else:
        scaled, y = (X - X.mean(0)) / X.std(0), 2 * classes - 1
    _check(entry, X, y)
    return Dataset(scaled, y, entry.name, f"scikit-learn load_{entry.name}")


def _check(entry: Entry, X: Array, y: Array) -> None:
    """Raise unless the numbers have the digest of the entry."""
    if (found := content_sha256(X, y)) != entry.content:
        raise DataError(
            f"{entry.name} of {entry.package} is not the expected set: the SHA-256 of its content "
            f"is {found}, not {entry.content}; install {entry.package} anew"
        )
