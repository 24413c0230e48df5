"""Who works in a folder: one process at a time, named to the others, gone when it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Seconds that interrupted jobs, and the children of a killed owner, get to end.
PATIENCE = float(os.environ.get("CQLIB_PATIENCE", "30"))


class OwnedError(RuntimeError):
    """Somebody else is at work in the folder."""


@dataclass(frozen=True)
class Owned:
    """A folder that is ours.

    Args:
        handle: the open lock; a child that inherits it shares the ownership.
        abandoned: whether the owner before was killed.
    """

    handle: int
    abandoned: bool


@contextmanager
def owned(folder: Path) -> Iterator[Owned]:
    """Own a folder until the end of the block, or of this process and all that have the handle.

    Nobody waits for an owner that lives. One that was killed is known by its lock being free, or
    by its process being gone, when its children get a moment to end.

    Raises:
        OwnedError: naming the owner.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".owner", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(handle, folder)
        before = _read(handle)
        here = socket.gethostname()
        if before.get("host", here) != here:
            # A file system may not share locks between machines, so a free one proves nothing.
            raise OwnedError(_told(folder, before) + f"; if it is gone, remove {folder}/.owner")
        _write(handle, json.dumps({"pid": os.getpid(), "host": here}))
        yield Owned(handle, abandoned=bool(before))
        _write(handle, "")
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read(handle)
            if _alive(owner) or time.monotonic() > deadline:
                raise OwnedError(_told(folder, owner)) from None
            time.sleep(0.1)


def _told(folder: Path, owner: dict[str, object]) -> str:
    who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
    return f"{who} is at work in {folder}"


def _alive(owner: dict[str, object]) -> bool:
    """Whether the owner's process lives; that of another machine cannot be asked."""
    if owner.get("host") != socket.gethostname():
        return bool(owner)
    try:
        os.kill(int(str(owner["pid"])), 0)
        # Linux keeps a dead process, as Z, until its parent has looked.
        status = Path(f"/proc/{owner['pid']}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or no Linux
        return True
    return status.rpartition(")")[2].split()[0] != "Z"


def _read(handle: int) -> dict[str, object]:
    try:
        found = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:
        return {}  # being written
    return found if isinstance(found, dict) else {}


def _write(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
