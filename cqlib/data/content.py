"""The digest of a data set's content, which does not depend on layout or compression."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

_BLOCK = 2**17  # elements of the rows that are converted at a time


def content_sha256(X: Any, y: npt.ArrayLike) -> str:
    """Return the SHA-256, in hexadecimal, of a matrix and its labels.

    Hashed in this order: labels as int8, CSR ``indptr`` and ``indices`` as little-endian int32,
    ``data`` as little-endian float64, without explicit zeros and with indices sorted. An array is
    converted in blocks of rows, so it is not copied as a whole.

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
    matrix = X if sparse.issparse(X) else np.asarray(X)
    digest = hashlib.sha256(labels.astype("i1").tobytes())
    digest.update(bytes(4))  # indptr starts at 0
    before = 0  # entries of earlier blocks
    for rows in _row_blocks(matrix):
        digest.update((before + rows.indptr[1:].astype(np.int64)).astype("<i4").tobytes())
        before += rows.nnz
    for rows in _row_blocks(matrix):
        digest.update(rows.indices.astype("<i4").tobytes())
    for rows in _row_blocks(matrix):
        digest.update(rows.data.astype("<f8").tobytes())
    return digest.hexdigest()


def _row_blocks(X: Any) -> Iterator[Any]:
    """Yield the rows as CSR matrices without explicit zeros; a sparse matrix is one block."""
    N, d = X.shape
    step = max(N if sparse.issparse(X) else _BLOCK // max(d, 1), 1)
    for start in range(0, N, step):
        part = X if sparse.issparse(X) else X[start : start + step]
        rows = sparse.csr_array(part, copy=True)
        rows.eliminate_zeros()
        rows.sort_indices()
        yield rows
