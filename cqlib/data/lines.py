"""The lines of a text file, compressed or not, in blocks of bounded size."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Protocol

BLOCK = 2**18  # bytes of text
LONGEST = 2**26  # bytes of a line

_PACKED = 2**16  # bytes of a compressed file that are read at a time


class DataError(ValueError):
    """A data file that is missing, damaged, too large, or has other content than expected."""


class _Stream(Protocol):
    """A decompressor of one stream; a file has one or more."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """The decompressor of zlib for a gzip stream, with the methods of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_XZ_MEMORY = 2**28  # bytes; a header may announce a dictionary of 4 GiB, xz -9 makes one of 64 MiB

_FORMATS: dict[str, tuple[Callable[[], _Stream], bytes]] = {  # with the first bytes of a stream
    ".bz2": (bz2.BZ2Decompressor, b"BZh"),
    ".gz": (_Gzip, b"\x1f\x8b"),
    ".xz": (partial(lzma.LZMADecompressor, memlimit=_XZ_MEMORY), b"\xfd7zXZ\0"),
}
COMPRESSIONS = tuple(_FORMATS)


def blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    r"""Yield the blocks: the number of the first line, and the lines without their line ends.

    A file is compressed if its name ends in ``.bz2``, ``.gz`` or ``.xz``. It may have several
    streams, and zeros after each. Lines end in ``\n``. At most one block and one line are in
    memory.

    Raises:
        DataError: if the file cannot be read, ends too early, has other data after the compressed
            text, or has a line above ``LONGEST``.
    """
    number, rest = 1, b""
    try:
        with _opened(path) as file:
            texts = _texts(file, path.suffix.lower())
            while text := _next(texts, path, number):
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


def _opened(path: Path) -> IO[bytes]:
    """Return the open file; raise if its name is impossible."""
    try:
        return path.open("rb")
    except ValueError as error:  # a null character, or one that the system cannot encode
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error


def _next(texts: Iterator[bytes], path: Path, number: int) -> bytes:
    """Return the next text, empty at the end; errors of decompression name the line."""
    try:
        return next(texts, b"")
    except EOFError:
        raise DataError(f"{path}, line {number}: the compressed file ends too early") from None
    except DataError as error:
        raise DataError(f"{path}, line {number}: {error}") from None
    except (OSError, lzma.LZMAError, zlib.error) as error:
        if getattr(error, "errno", None) is not None:  # of the system, not of the decompressor
            raise
        raise DataError(f"{path}, line {number}: not a valid compressed file: {error}") from None


def _texts(file: IO[bytes], ending: str) -> Iterator[bytes]:
    """Yield the text of a file in pieces of ``BLOCK`` to twice that; the last may be shorter."""
    if ending not in _FORMATS:
        while text := file.read(BLOCK):
            yield text
        return
    gathered = bytearray()
    for piece in _decompressed(file, *_FORMATS[ending]):
        gathered += piece
        if len(gathered) >= BLOCK:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _decompressed(
    file: IO[bytes], new: Callable[[], _Stream], first_bytes: bytes
) -> Iterator[bytes]:
    """Yield the text of all streams; raise if there is anything but zeros after a stream."""
    packed = file.read(_PACKED)
    while True:
        stream = new()
        while not stream.eof:
            if stream.needs_input and not packed:
                packed = file.read(_PACKED)
                if not packed:
                    raise EOFError
            yield stream.decompress(packed, BLOCK)
            packed = b""
        packed = _after_zeros(file, stream.unused_data, len(first_bytes))
        if not packed:
            return
        if not packed.startswith(first_bytes):
            raise DataError("other data follow the compressed text")


def _after_zeros(file: IO[bytes], packed: bytes, least: int) -> bytes:
    """Return the bytes after zeros, ``least`` or more unless the file ends."""
    packed = packed.lstrip(b"\0")
    while len(packed) < least and (more := file.read(_PACKED)):
        packed = (packed + more).lstrip(b"\0")
    return packed
