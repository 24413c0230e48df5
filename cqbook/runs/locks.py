"""Locks of folders: other processes wait, or get an error that names the owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, SoftFileLock, Timeout

_MOMENT = 3.0  # seconds; a damaged lock file counts as abandoned after two


class OwnedError(RuntimeError):
    """Another process owns the folder."""


class LockError(OSError):
    """A folder cannot be locked."""


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Lock a folder; other processes wait. The lock ends with the process, even if it is killed.

    The lock is on the file ``.NAME.lock`` next to the folder, so that it also holds between
    machines that share a disk. The file stays: to remove it would break the lock of a process that
    waits for it.

    Raises:
        LockError: if the file cannot be opened for writing, or is a link.
    """
    file = target.with_name(f".{target.name}.lock")
    lock = FileLock(file)
    try:
        lock.acquire()
    except OSError as error:
        raise LockError(f"cannot lock {target}: {file}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a folder until the end of the block; the file ``.owner`` in it names the process.

    If the owner's process is gone, it was killed and the folder is free. A process on another
    machine cannot be checked and counts as alive.

    Raises:
        OwnedError: if another process owns it; the message names the owner.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLock(folder / ".owner")
    if _is_zombie(lock.pid):
        lock.break_lock()
    try:
        lock.acquire(timeout=_MOMENT)
    except Timeout:
        pid, host, *_ = f"{Path(lock.lock_file).read_text(encoding='utf-8')}\n?\n?".split("\n")
        told = f"process {pid} on {host} is using {folder}"
        raise OwnedError(f"{told}; if it is gone, remove {lock.lock_file}") from None
    try:
        yield
    finally:
        lock.release()


def _is_zombie(pid: int | None) -> bool:
    """Return True if a process has ended, but its parent has not read the exit code yet."""
    with suppress(psutil.NoSuchProcess):
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return False
