"""The digest of a data set's content, which does not depend on layout or compression."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse


def content_sha256(X: Any, y: npt.ArrayLike) -> str:
    """Return the SHA-256, in hexadecimal, of a matrix and its labels.

    Hashed in this order: labels as int8, CSR ``indptr`` and ``indices`` as little-endian int32,
    ``data`` as little-endian float64, without explicit zeros and with indices sorted.

    Args:
        X: shape (N, d), a NumPy array or a SciPy sparse matrix; not changed.
        y: shape (N,), labels -1 and +1.

    Raises:
        ValueError: if a label is neither -1 nor +1.

    >>> content_sha256(np.eye(2), [1, -1])[:12]
    '025004775b75'
    """
    labels = np.asarray(y)
    if not np.isin(labels, (-1, 1)).all():
        raise ValueError("labels must be -1 or +1")
    rows = sparse.csr_array(X, copy=True)
    rows.eliminate_zeros()
    rows.sort_indices()
    parts = ((labels, "i1"), (rows.indptr, "<i4"), (rows.indices, "<i4"), (rows.data, "<f8"))
    return hashlib.sha256(b"".join(a.astype(t).tobytes() for a, t in parts)).hexdigest()
