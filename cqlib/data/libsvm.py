"""LibSVM text: ``label index:value index:value ...``, one sample a line.

Indices start at 1 and ascend; entries that are not listed are zero. ``#`` starts a comment; lines
that are otherwise empty are skipped. Two labels are needed: the smaller becomes -1, the larger +1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cqlib.data.lines import DataError, blocks

Array = npt.NDArray[np.float64]

LARGEST = 2**30  # bytes of the dense matrix

_ROW = re.compile(rb"\s*+[^\s:_]++(?:\s++\d++:[^\s:_]++)*+\s*+")
_DIGITS = 15  # most digits of an index; with these, a float is exact


@dataclass(frozen=True)
class _Rows:
    """Samples of a block: labels (r,), numbers of entries (r,), 1-based columns, values."""

    labels: Array
    counts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.integer[Any]]
    values: Array


def read(path: Path, *, largest: int = LARGEST) -> tuple[Array, Array]:
    """Return X of shape (N, d) and y of shape (N,), from a file that may be compressed.

    d is the largest index in the file. The text is read in blocks. X and 12 bytes for each entry of
    the file are kept in memory.

    Args:
        path: the file; ``.bz2``, ``.gz`` and ``.xz`` are decompressed.
        largest: largest size of X in bytes, 8 for each of its N d elements.

    Returns:
        X and y, float64; labels are -1 and +1.

    Raises:
        DataError: if the file is not of this format; the message names the file, the line and the
            value.

    Source: https://www.csie.ntu.edu.tw/~cjlin/libsvm/faq.html#f201
    """
    kept: list[_Rows] = []
    N = d = 0
    first_lines: dict[float, int] = {}
    for start, lines in blocks(path):
        places, texts = _samples(start, lines)
        if not texts:
            continue
        rows = _rows(path, places, texts)
        _note_labels(path, places, rows.labels, first_lines)
        d = _checked_width(path, places, rows, N, d, largest)
        N += len(texts)
        narrow = rows.columns.astype(np.int32)
        kept.append(_Rows(rows.labels, rows.counts, narrow, rows.values))
    if not N:
        raise DataError(f"{path}: no samples")
    if not d:
        raise DataError(f"{path}: {N} samples without a single feature")
    if len(first_lines) < 2:
        (only,) = first_lines
        raise DataError(f"{path}: all labels are {only:g}; two different ones are needed")
    return _dense(kept, N, d), _signs(kept, max(first_lines))


def _samples(start: int, lines: list[bytes]) -> tuple[list[int], list[bytes]]:
    """Return line numbers and texts of the lines that hold a sample, without comments."""
    if any(b"#" in line for line in lines):
        lines = [line.partition(b"#")[0] for line in lines]
    places = [place for place, line in enumerate(lines, start) if line and not line.isspace()]
    return places, [lines[place - start] for place in places]


def _rows(path: Path, places: Sequence[int], texts: Sequence[bytes]) -> _Rows:
    """Return the samples of a block, or raise the error of its first wrong line."""
    return _all_at_once(texts) or _one_by_one(path, places, texts)


def _all_at_once(texts: Sequence[bytes]) -> _Rows | None:
    """Return the samples, or None if one may be wrong."""
    if not all(map(_ROW.fullmatch, texts)):
        return None
    try:
        numbers = _numbers(b" ".join(texts).replace(b":", b" ").split())
    except ValueError:
        return None
    counts = np.fromiter((text.count(b":") for text in texts), np.int64, len(texts))
    labels = np.cumsum(2 * counts + 1) - 2 * counts - 1  # places of the labels among the numbers
    pairs = np.delete(numbers, labels).reshape(-1, 2)
    columns, values = pairs.T
    before = np.concatenate([[0.0], columns[:-1]])
    first = np.cumsum(counts) - counts
    before[first[counts > 0]] = 0
    ascend = (columns > before).all() and columns.max(initial=0) < 10**_DIGITS
    if not (ascend and np.isfinite(numbers).all()):
        return None
    return _Rows(numbers[labels], counts, columns.astype(np.int64), values)


def _numbers(words: list[bytes]) -> Array:
    """Return words as numbers; where few words differ, each is converted once."""
    different = set(words)
    if 4 * len(different) > len(words):
        return np.fromiter(map(float, words), np.float64, len(words))
    known = {word: float(word) for word in different}
    return np.fromiter(map(known.__getitem__, words), np.float64, len(words))


def _one_by_one(path: Path, places: Sequence[int], texts: Sequence[bytes]) -> _Rows:
    """Return the samples as `_all_at_once` does, but one by one; raise at the first wrong one."""
    labels, counts, columns, values = [], [], [], []
    for place, text in zip(places, texts, strict=True):
        where = f"{path}, line {place}"
        label, *pairs = text.split()
        labels.append(_number(where, "label", label))
        last = 0
        for pair in pairs:
            index, colon, value = pair.partition(b":")
            if not colon:
                raise DataError(f"{where}: {_shown(pair)} is not of the form index:value")
            last = _index(where, index, last)
            columns.append(last)
            values.append(_number(where, f"value of index {last}", value))
        counts.append(len(pairs))
    return _Rows(
        np.array(labels), np.array(counts), np.array(columns, np.int64), np.array(values, float)
    )


def _index(where: str, text: bytes, last: int) -> int:
    """Return an index; raise unless it is above ``last``."""
    if not text.isdigit():
        raise DataError(f"{where}: the index {_shown(text)} is not a whole number")
    digits = text.lstrip(b"0")
    if not digits:
        raise DataError(f"{where}: the index 0; indices of LibSVM files start at 1")
    if len(digits) > _DIGITS:
        raise DataError(f"{where}: the index {_shown(text)} is too large")
    if int(digits) <= last:
        raise DataError(f"{where}: the index {int(digits)} follows {last}; indices must ascend")
    return int(digits)


def _number(where: str, what: str, text: bytes) -> float:
    """Return a number; raise unless it is finite."""
    try:
        value = float(text.replace(b"_", b"?"))  # Python accepts 1_000, LibSVM does not
    except ValueError:
        raise DataError(f"{where}: the {what} is {_shown(text)}, which is not a number") from None
    if not math.isfinite(value):
        raise DataError(f"{where}: the {what} is {_shown(text)}; it must be finite")
    return value


def _shown(text: bytes) -> str:
    """Return a piece of the file as a message shows it."""
    shown = text.decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 40 else f"{shown[:40]}...")


def _note_labels(path: Path, places: Sequence[int], labels: Array, known: dict[float, int]) -> None:
    """Add each new label with its line; raise at a third."""
    values, rows = np.unique(labels, return_index=True)
    for row, value in sorted(zip(rows.tolist(), values.tolist(), strict=True)):
        if value not in known and len(known) == 2:
            (one, at), (other, later) = known.items()
            raise DataError(
                f"{path}, line {places[row]}: a third label, {value:g}, after {one:g} (line {at}) "
                f"and {other:g} (line {later}); a set has two"
            )
        known.setdefault(value, places[row])


def _checked_width(
    path: Path, places: Sequence[int], rows: _Rows, N: int, d: int, largest: int
) -> int:
    """Return d after one more block; raise at the line that makes the dense matrix too large."""
    full = rows.counts > 0
    widths = np.zeros(len(places), np.int64)
    widths[full] = rows.columns[np.cumsum(rows.counts)[full] - 1]
    widths = np.maximum.accumulate(np.maximum(widths, d))
    so_far = N + 1 + np.arange(len(places))
    too_large = widths > largest // 8 // so_far
    if too_large.any():
        row = int(too_large.argmax())
        n, width = int(so_far[row]), int(widths[row])
        raise DataError(
            f"{path}, line {places[row]}: {n} samples with indices up to {width} take "
            f"{8 * n * width} bytes as a dense matrix; the limit is {largest}"
        )
    return int(widths[-1])


def _dense(kept: Sequence[_Rows], N: int, d: int) -> Array:
    """Return the matrix of all blocks."""
    X, start = np.zeros((N, d)), 0
    for rows in kept:
        samples = np.repeat(start + np.arange(len(rows.counts)), rows.counts)
        X[samples, rows.columns - 1] = rows.values
        start += len(rows.counts)
    return X


def _signs(kept: Sequence[_Rows], upper: float) -> Array:
    """Return +1 for the larger label and -1 for the other."""
    labels = np.concatenate([rows.labels for rows in kept])
    return np.where(labels == upper, 1.0, -1.0)
