"""Checkpoints of a run: arrays and numbers in one file, written completely or not at all."""

from __future__ import annotations

import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.files import write_atomic

FORMAT = 1
_ARRAYS = ("x", "direction", "rows")
Array = NDArray[Any]


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or of another run."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run of MARINA after a round.

    Args:
        facts: description of the run, as text by name; only a run with the same facts may continue.
        round: number of rounds done.
        sent_bits: bits that each client had sent when x was reached.
        cost_bits: bits of the messages that the direction was computed from.
        sent_bytes: bytes that the process of rank 0 has sent.
        x: iterate, shape (d,), float64.
        direction: the server's estimate g, shape (d,), float64.
        rows: the log, shape (k, 4): round, bits, squared gradient norm, value.
    """

    facts: Mapping[str, str]
    round: int
    sent_bits: float
    cost_bits: float
    sent_bytes: int
    x: Tensor
    direction: Tensor
    rows: Tensor

    def to_bytes(self) -> bytes:
        """Return an ``npz`` archive without pickles."""
        numbers = ("round", "sent_bits", "cost_bits", "sent_bytes")
        about = {name: getattr(self, name) for name in numbers}
        about |= {"format": FORMAT, "facts": dict(self.facts)}
        file = io.BytesIO()
        np.savez(
            file,
            about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
            x=self.x.numpy(),
            direction=self.direction.numpy(),
            rows=self.rows.numpy(),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Undo :meth:`to_bytes`.

        Raises:
            CheckpointError: if anything is malformed.
        """
        try:
            about, arrays = _opened(data)
        except CheckpointError:
            raise
        except Exception as error:  # zipfile and json raise many kinds
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(f"it is damaged: {_printable(told)}") from None
        if repr(about.pop("format", None)) != repr(FORMAT):  # True is no format
            raise CheckpointError(f"it is not of format {FORMAT}")
        _check_about(about)
        _check_arrays(arrays, about["round"], about["sent_bits"])
        about |= {name: float(about[name]) for name in ("sent_bits", "cost_bits")}
        about |= {name: torch.from_numpy(arrays[name]) for name in _ARRAYS}
        return cls(**about)


def _printable(text: str) -> str:
    """Return the start of a text, in which nothing moves a terminal's cursor."""
    return (text if text.isprintable() else repr(text))[:200]


def read(path: Path, most: int) -> bytes:
    """Return the bytes of a checkpoint, checked; none if there is no file.

    Raises:
        CheckpointError: if it is no plain file, longer than ``most`` bytes, or malformed.
        OSError: if it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CheckpointError("it is no plain file")
        if os.fstat(descriptor).st_size > most:
            raise CheckpointError(f"it is larger than {most} bytes, as no such run writes it")
        data = file.read(most + 1)
    Checkpoint.from_bytes(data)
    return data


def _opened(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what is in the archive: a mapping and three arrays.

    The members are not compressed, so that they are not larger than the archive.
    """
    if data[-22:-18] != b"PK\5\6":  # the end of an archive without a comment
        raise CheckpointError("it is damaged: it is cut off, or something was added")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        whole = set(members) == {f"{name}.npy" for name in ("about", *_ARRAYS)}
        if not whole or len(archive.infolist()) != len(members):
            raise CheckpointError("it is damaged: it has other members than a checkpoint")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise CheckpointError("it is damaged: a member is compressed")
        if sum(info.file_size for info in members.values()) > len(data):
            raise CheckpointError("it is damaged: its members are larger than the file")
        for info in members.values():
            with archive.open(info) as member:
                np.lib.format.read_magic(member)
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
                if math.prod(shape) * dtype.itemsize + member.tell() != info.file_size:
                    raise CheckpointError(f"it is damaged: {info.filename} has another size")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        if file["about"].dtype != np.uint8:
            raise CheckpointError("it is damaged: its description is no text")
        about = json.loads(file["about"].tobytes())
        arrays = {name: file[name] for name in _ARRAYS}
    if not isinstance(about, dict):
        raise CheckpointError("it is damaged: it does not say which run it is of")
    return about, arrays


def _check_about(about: dict[str, Any]) -> None:
    """Raise if a number of a checkpoint or its facts are missing or impossible."""
    names = ("round", "sent_bits", "cost_bits", "sent_bytes", "facts")
    if set(about) != set(names):
        raise CheckpointError(f"it must have {', '.join(names)}, got {sorted(about)!r:.200}")
    for name in names[:-1]:
        value = about[name]
        kinds = (int,) if name in ("round", "sent_bytes") else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if not number or not 0 <= value < 2**63:
            kind = "an integer" if len(kinds) == 1 else "a number"
            raise CheckpointError(f"{name} must be {kind} in [0, 2^63), got {value!r:.80}")
    facts = about["facts"]
    if not isinstance(facts, dict) or not all(isinstance(value, str) for value in facts.values()):
        raise CheckpointError(f"facts must be texts by name, got {facts!r:.80}")


def _check_arrays(arrays: dict[str, Array], round: int, sent_bits: float) -> None:
    """Raise if no run could have written the arrays of a checkpoint."""
    x, direction, rows = (arrays[name] for name in _ARRAYS)
    for name, values in arrays.items():
        if values.dtype != np.float64:
            raise CheckpointError(f"{name} must be float64, got {values.dtype!s:.80}")
        if not np.isfinite(values).all():
            raise CheckpointError(f"{name} has NaN or infinity")
    if x.ndim != 1 or not x.size or direction.shape != x.shape:
        raise CheckpointError(
            f"its arrays do not fit each other: x has shape {x.shape}, direction {direction.shape}"
        )
    if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
        raise CheckpointError(f"its arrays do not fit each other: rows has shape {rows.shape}")
    at, bits, norms = rows.T[:3]
    steps, spent = np.diff(at), np.diff(bits)
    if at[0] != 0 or (at != np.floor(at)).any() or (steps <= 0).any() or at[-1] > round:
        raise CheckpointError(f"the rounds of rows must grow from 0 to at most {round}")
    if bits[0] != 0 or (spent < 0).any() or bits[-1] > sent_bits or (norms < 0).any():
        raise CheckpointError(
            f"bits of rows must grow from 0 to at most {sent_bits}, and no norm be negative"
        )


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of an earlier one."""
    write_atomic(path, checkpoint.to_bytes())
