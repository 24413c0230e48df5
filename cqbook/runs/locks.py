"""One process at a time in a folder: others wait, or are told who is at work."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, SoftFileLock, Timeout

_MOMENT = 3.0  # seconds; a damaged lock file counts as abandoned after two


class OwnedError(RuntimeError):
    """Another process is at work in the folder."""


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Have a folder to oneself; others wait. The lock ends with the process, however that ends.

    Lock files lie in the system's temporary folder, so none is left beside the target.
    """
    name = hashlib.sha256(str(target.resolve()).encode()).hexdigest()[:16]
    with FileLock(Path(tempfile.gettempdir()) / f"cqlib-{os.getuid()}-{name}.lock"):
        yield


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a folder until the end of the block; the file ``.owner`` in it names the process.

    An owner that was killed is known by its process being gone. That of another machine cannot be
    asked, so it is believed.

    Raises:
        OwnedError: naming the owner.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLock(folder / ".owner")
    if _is_zombie(lock.pid):
        lock.break_lock()
    try:
        lock.acquire(timeout=_MOMENT)
    except Timeout:
        pid, host, *_ = f"{Path(lock.lock_file).read_text(encoding='utf-8')}\n?\n?".split("\n")
        told = f"process {pid} on {host} is at work in {folder}"
        raise OwnedError(f"{told}; if it is gone, remove {lock.lock_file}") from None
    try:
        yield
    finally:
        lock.release()


def _is_zombie(pid: int | None) -> bool:
    """Whether a process has ended, though its parent has not asked for its exit code yet."""
    with suppress(psutil.NoSuchProcess):
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return False
