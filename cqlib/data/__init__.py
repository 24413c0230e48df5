"""Data sets: by name, from this package or scikit-learn, or any LibSVM file by path."""

from cqlib.data.catalogue import ENTRIES, Entry
from cqlib.data.content import content_sha256
from cqlib.data.dataset import Dataset
from cqlib.data.lines import DataError
from cqlib.data.load import is_path, load, names

__all__ = [
    "ENTRIES",
    "DataError",
    "Dataset",
    "Entry",
    "content_sha256",
    "is_path",
    "load",
    "names",
]
