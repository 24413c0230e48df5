"""Data sets by name."""

from cqlib.data.load import (
    DataError,
    Dataset,
    DataStatus,
    DataWarning,
    content_sha256,
    load,
    names,
    status,
    whereabouts,
)

__all__ = [
    "DataError",
    "DataStatus",
    "DataWarning",
    "Dataset",
    "content_sha256",
    "load",
    "names",
    "status",
    "whereabouts",
]
