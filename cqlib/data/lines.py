"""The lines of a text file, compressed or not, in blocks of bounded size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

BLOCK = 2**20  # bytes of text
LONGEST = 2**26  # bytes of a line

_OPEN: dict[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open}
COMPRESSIONS = tuple(_OPEN)


class DataError(ValueError):
    """A data file that is missing, damaged, too large, or has other content than expected."""


def blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    r"""Yield the blocks: the number of the first line, and the lines without their line ends.

    A file is compressed if its name ends in ``.bz2``, ``.gz`` or ``.xz``. Lines end in ``\n``. At
    most one block and one line are in memory.

    Raises:
        DataError: if the file cannot be read, ends too early, or has a line above ``LONGEST``.
    """
    number, rest = 1, b""
    try:
        with _OPEN.get(path.suffix.lower(), open)(path, "rb") as file:
            while text := _text(file, path, number):
                *lines, rest = (rest + text).split(b"\n")
                if lines:
                    yield number, lines
                number += len(lines)
                if len(rest) > LONGEST:
                    raise DataError(f"{path}, line {number}: longer than {LONGEST} bytes")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if rest:
        yield number, [rest]


def _text(file: IO[bytes], path: Path, number: int) -> bytes:
    """Return the next block of bytes; errors of decompression name the line."""
    try:
        return file.read(BLOCK)
    except EOFError:
        raise DataError(f"{path}, line {number}: the compressed file ends too early") from None
    except (OSError, lzma.LZMAError, zlib.error) as error:
        if (
            getattr(error, "errno", None) is not None
        ):  # an error of the system, not of the decompressor
            raise
        raise DataError(f"{path}, line {number}: not a valid compressed file: {error}") from None
