"""Checkpoints of a run: arrays and numbers in one file, written completely or not at all."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cqlib.files import write_atomic

FORMAT = 1
# Errors that reading such a file may raise; zipfile raises RuntimeError, too.
_DAMAGE = (ValueError, LookupError, TypeError, OSError, EOFError, RuntimeError, zipfile.BadZipFile)


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
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                x, direction, rows = (
                    torch.from_numpy(file[name]) for name in ("x", "direction", "rows")
                )
            if about.pop("format") != FORMAT:
                raise CheckpointError(f"it is not of format {FORMAT}")
            if x.ndim != 1 or direction.shape != x.shape or rows.ndim != 2 or rows.shape[1] != 4:
                raise CheckpointError("its arrays do not fit each other")
            return cls(x=x, direction=direction, rows=rows, **about)
        except CheckpointError:
            raise
        except _DAMAGE as error:
            raise CheckpointError(f"it is damaged: {error}") from None


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of an earlier one."""
    write_atomic(path, checkpoint.to_bytes())
