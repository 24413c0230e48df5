"""Atomic writes, and a private temporary folder."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part.

    Args:
        path: the file; missing folders are made.
        content: text (UTF-8, line ends as given) or bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)  # mkstemp makes the file private
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def private_folder(name: str) -> Path | None:
    """Return a folder in a temporary one that only this user can read or write; None without it.

    It is the same in all processes of the user. A folder that another user made first, or may
    write to, and a link are not trusted.

    Args:
        name: name of the folder.
    """
    with suppress(OSError):  # also if no temporary folder is usable
        private = Path(tempfile.gettempdir()) / f"cqlib-{os.getuid()}"
        if is_private(private) and can_be_written(private / name):
            return private / name
    return None


def is_private(folder: Path) -> bool:
    """Return True if only this user can read or write a folder; it is made if it is missing."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        return mine and not found.st_mode & 0o077
    return False


def can_be_written(folder: Path) -> bool:
    """Return True if a file can be written in a folder; the folder is made if it is missing."""
    with suppress(OSError, ValueError):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return True
    return False
