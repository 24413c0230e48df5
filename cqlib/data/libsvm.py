"""LibSVM text: ``label index:value index:value ...``, one sample a line.

Indices start at 1 and ascend; entries that are not listed are zero. ``#`` starts a comment; lines
that are otherwise empty are skipped. Two labels are needed: the smaller becomes -1, the larger +1.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cqlib.data.lines import DataError, blocks

Array = npt.NDArray[np.float64]

LARGEST = 2**31  # bytes of X, y and what is kept of the text

_SAMPLE = 13  # bytes of a sample: y, the number of entries, which label
_ENTRY = 12  # bytes of an entry: column and value
_SPARE = 2**26  # bytes of text that need no entry
_TEXT = 128  # further bytes of text for each entry
_LINE = 32  # bytes by which a line counts more than its text

_ROW = re.compile(rb"\s*+[^\s:_]++(?:\s++\d++:[^\s:_]++)*+\s*+")
_DIGITS = 15  # most digits of an index; with these, a float is exact


@dataclass(frozen=True)
class _Rows:
    """Samples of a block: labels (r,), numbers of entries (r,), 1-based columns, values."""

    labels: Array
    counts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.integer[Any]]
    values: Array


@dataclass(frozen=True)
class _Kept:
    """What is kept of a block: numbers of entries, 1-based columns, values, and which label.

    ``other`` is true if a label is not the first of the file.
    """

    counts: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]
    values: Array
    other: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Size:
    """Numbers of samples N, of columns d (1 or more) and of entries E."""

    N: int = 0
    d: int = 1
    E: int = 0


def read(path: Path, *, largest: int = LARGEST) -> tuple[Array, Array]:
    """Return X of shape (N, d) and y of shape (N,), from a file that may be compressed.

    d is the largest index in the file. The text is read in blocks. Of each, 12 bytes an entry and 5
    bytes a sample are kept until they are in X and y, and ``largest`` bounds the sum of all: 8 N d
    bytes for X, 13 for each sample (8 of them in y) and 12 for each entry. The text of one block
    takes up to 25 MiB more, and a line above 256 KiB up to 30 times its length.

    Text without entries (comments, empty lines, samples without features) may have 64 MiB, and 128
    bytes more for each entry of the file. Each line counts 32 bytes more than its length.

    Args:
        path: the file; ``.bz2``, ``.gz`` and ``.xz`` are decompressed.
        largest: largest sum in bytes.

    Returns:
        X and y, float64, read-only; labels are -1 and +1.

    Raises:
        DataError: if the file is not of this format or too large; the message names the file, the
            line and the value.

    Source: https://www.csie.ntu.edu.tw/~cjlin/libsvm/faq.html#f201
    """
    kept: deque[_Kept] = deque()
    size, text = _Size(), 0
    first_lines: dict[float, int] = {}
    for start, lines in blocks(path):
        places, texts = _samples(start, lines)
        if texts:
            rows = _rows(path, places, texts)
            _note_labels(path, places, rows.labels, first_lines)
            size = _checked_size(path, places, rows, size, largest)
            kept.append(_to_keep(rows, next(iter(first_lines))))
        text += sum(map(len, lines)) + _LINE * len(lines)
        if text > _SPARE + _TEXT * size.E:
            raise DataError(
                f"{path}, line {start + len(lines) - 1}: too much text without features: comments, "
                "empty lines or samples without an entry"
            )
    _check_not_trivial(path, size, first_lines)
    first, other = first_lines
    return _filled(kept, size, above=other > first)


def _check_not_trivial(path: Path, size: _Size, first_lines: Mapping[float, int]) -> None:
    """Raise unless there are samples, features and two labels."""
    if not size.N:
        raise DataError(f"{path}: no samples")
    if not size.E:
        raise DataError(f"{path}: none of the {size.N} samples has a feature")
    if len(first_lines) < 2:
        (only,) = first_lines
        raise DataError(f"{path}: all labels are {only:g}; two different ones are needed")


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


def _checked_size(
    path: Path, places: Sequence[int], rows: _Rows, size: _Size, largest: int
) -> _Size:
    """Return the size after one more block; raise at the line that makes it too large."""
    full = rows.counts > 0
    ends = np.cumsum(rows.counts)
    widths = np.full(len(places), size.d)
    widths[full] = np.maximum(rows.columns[ends[full] - 1], size.d)
    widths = np.maximum.accumulate(widths)
    N, E = size.N + 1 + np.arange(len(places)), size.E + ends
    left = largest - _SAMPLE * N - _ENTRY * E
    too_large = widths > left // (8 * N)  # a product with the widths could overflow
    if too_large.any():
        row = int(too_large.argmax())
        n, d, entries = int(N[row]), int(widths[row]), int(E[row])
        needed = 8 * n * d + _SAMPLE * n + _ENTRY * entries
        raise DataError(
            f"{path}, line {places[row]}: a matrix of {n} x {d} from a text with {entries} entries "
            f"takes {needed} bytes; the limit is {largest}"
        )
    return _Size(int(N[-1]), int(widths[-1]), int(E[-1]))


def _to_keep(rows: _Rows, first_label: float) -> _Kept:
    """Return the samples of a block in little memory, without views of larger arrays."""
    return _Kept(
        rows.counts.astype(np.int32),
        rows.columns.astype(np.int32),
        rows.values.copy(),
        rows.labels != first_label,
    )


def _filled(kept: deque[_Kept], size: _Size, *, above: bool) -> tuple[Array, Array]:
    """Return X and y, read-only; ``kept`` is empty afterwards.

    Args:
        kept: all blocks.
        size: their size.
        above: True if the other label is above the first one of the file.
    """
    X, y = np.zeros((size.N, size.d)), np.empty(size.N)
    start = 0
    while kept:
        rows = kept.popleft()
        samples = np.arange(start, start + len(rows.counts))
        X[np.repeat(samples, rows.counts), rows.columns - 1] = rows.values
        y[samples] = np.where(rows.other == above, 1.0, -1.0)
        start += len(samples)
    for array in (X, y):
        array.setflags(write=False)
    return X, y
