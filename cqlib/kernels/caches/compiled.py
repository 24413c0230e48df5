"""Machine code on disk, in a folder that this user can write to and nobody else could fill.

Numba's own cache checks only the function's own file, although the machine code contains functions
of other files; it ignores code next to a package that cannot be written; and damaged files or a
full disk end the call. So this one keeps each function's code in a file with its checksum, under a
name that says which sources, version and processor it was made for.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from cqlib.files import can_be_written, is_private, private_folder

_CHECKSUM = 32  # bytes of a SHA-256


class Cache(_Cache):
    """The machine code of one function.

    Args:
        function: the Python function.
        stamp: digest of all sources that the machine code comes from.
    """

    def __init__(self, function: Any, stamp: str) -> None:
        code = function.__code__
        self._file = Path(code.co_filename)
        versions = f"{sys.implementation.cache_tag} numba {numba.__version__}"
        function_name = f"{self._file.stem}.{function.__qualname__}-{code.co_firstlineno}"
        self._name = f"{function_name}.{_short(versions)}"
        self._stamp = _short(stamp)

    @property
    def cache_path(self) -> str:
        """The folder that new code is written to; empty if there is none."""
        return str(writable(self._file.parent) or "")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for these argument types; None if none is kept, or a damaged one.

        A damaged file is replaced by the code that is then compiled.
        """
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        for folder in readable(self._file.parent):
            with suppress(Exception):  # not there, damaged, or of another build of Numba
                data = (folder / self._file_name(key)).read_bytes()
                if hashlib.sha256(data[_CHECKSUM:]).digest() == data[:_CHECKSUM]:
                    kept, code = pickle.loads(data[_CHECKSUM:])
                    if kept == key:
                        return _CODE.rebuild(target_context, code)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write machine code, if a folder is writable; that of older sources is removed."""
        folder = writable(self._file.parent)
        if folder is None or data.library.has_dynamic_globals:
            return
        key = self._key(sig, data.codegen)
        body = dumps((key, _CODE.reduce(data)))
        path = folder / self._file_name(key)
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            new.write_bytes(hashlib.sha256(body).digest() + body)
            os.replace(new, path)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            _say_once(f"machine code could not be kept in {folder}: {error.strerror}", folder)
            return
        for old in folder.glob(f"{self._name}.*.nbc"):
            if old.name.split(".")[-3] != self._stamp:
                with suppress(OSError):
                    old.unlink()

    def enable(self) -> None:
        """Do nothing: the cache is always in use."""

    def disable(self) -> None:
        """Do nothing: the cache is always in use."""

    def flush(self) -> None:
        """Remove this function's code from the folder that is written to."""
        folder = writable(self._file.parent)
        for old in [] if folder is None else folder.glob(f"{self._name}.*.nbc"):
            old.unlink(missing_ok=True)

    def _key(self, sig: Any, codegen: Any) -> tuple[str, str]:
        """Return argument types and processor as text."""
        return repr(sig), repr(codegen.magic_tuple())

    def _file_name(self, key: tuple[str, str]) -> str:
        return f"{self._name}.{self._stamp}.{_short(repr(key))}.nbc"


def _short(text: str) -> str:
    """Return a digest that tells texts apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Code(CompileResultCacheImpl):
    """Numba's translation of machine code to bytes; no folder is chosen here."""

    def __init__(self) -> None:
        """Choose no folder."""


_CODE: Any = _Code()


# --- folders -------------------------------------------------------------------------------------


def readable(sources: Path) -> list[Path]:
    """Return the folders to look into for the machine code of a folder of sources.

    Code next to the sources is as trustworthy as they are, also if it cannot be written.
    """
    folder = writable(sources)
    beside = sources / "__pycache__"
    return [beside] if folder is None else list(dict.fromkeys((folder, beside)))


@cache
def writable(sources: Path) -> Path | None:
    """Return the folder that the machine code of a folder of sources is written to; say so once.

    The first that can be written to, of ``NUMBA_CACHE_DIR``, ``__pycache__`` next to the sources,
    and the user's folder of caches; then a private temporary folder; then None. In a folder that
    others may share, the code is in one that is private: who could write there could run anything.
    """
    name = f"cqlib-{os.getuid()}-{_short(str(sources))}"
    tried = []
    if chosen := getattr(config, "CACHE_DIR", ""):
        shared = Path(chosen)
    else:
        beside = sources / "__pycache__"
        if can_be_written(beside):
            return beside
        tried.append(str(beside))
        shared = Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)
    if shared.is_absolute() or chosen:  # without a home, "~" stays as it is
        own = shared / name
        if can_be_written(shared) and is_private(own) and can_be_written(own):
            return own
        tried.append(str(own))
    private = private_folder(name)
    kept = "is compiled again in every process" if private is None else f"is kept in {private}"
    _say_once(
        f"{' and '.join(tried)} cannot be written to by you alone, so machine code {kept}; "
        "set NUMBA_CACHE_DIR to a folder of yours",
        sources,
    )
    return private


_said: set[Path] = set()


def _say_once(text: str, about: Path) -> None:
    """Warn, but once in this process."""
    if about not in _said:
        _said.add(about)
        warnings.warn(text, RuntimeWarning, stacklevel=2)
