"""The record of a run: bits sent, gradient norm and value, round by round."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqlib.files import write_atomic
from cqlib.keys import Key, Stream

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    r"""Record of a batch: row t belongs to the iterate x^t, a column to one stepsize and seed.

    Where seeds need different numbers of rounds for the same bits, the shorter columns end in NaN.

    Args:
        bits: bits that each client had sent when x^t was reached, shape (rounds + 1, b).
        grad_norm_sq: $\|\nabla f(x^t)\|^2$, shape (rounds + 1, b); infinite after divergence.
        value: f(x^t), shape (rounds + 1, b); infinite after divergence.
        stepsize: the stepsizes, shape (b,).
        seed: the seeds, shape (b,).

    >>> trace = Trace(*np.array([[[0.0], [64]], [[4], [1]], [[2], [1]]]), [0.5], [0])
    >>> trace.at([0, 63, 64, 99]).ravel().tolist()
    [4.0, 4.0, 1.0, 1.0]
    """

    bits: Array
    grad_norm_sq: Array
    value: Array
    stepsize: Array
    seed: NDArray[np.uint64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stepsize", np.asarray(self.stepsize, dtype=np.float64))
        object.__setattr__(self, "seed", np.asarray(self.seed, dtype=np.uint64))

    @property
    def rounds(self) -> int:
        """Number of rounds of the seed that ran longest."""
        return len(self.bits) - 1

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Which members of the batch diverged, shape (b,)."""
        return np.asarray(np.isinf(self.grad_norm_sq).any(axis=0))

    def select(self, columns: ArrayLike) -> Trace:
        """Return some members of the batch, without the rounds that only other members ran.

        Args:
            columns: indices, shape (k,), or a mask, shape (b,).

        Raises:
            IndexError: if a column does not exist.
        """
        own = np.atleast_1d(np.asarray(columns))
        bits = self.bits[:, own]
        rows = ~np.isnan(bits).all(axis=1)
        arrays = bits[rows], self.grad_norm_sq[:, own][rows], self.value[:, own][rows]
        return Trace(*arrays, self.stepsize[own], self.seed[own])

    def of_seed(self, seed: int) -> Trace:
        """Return the columns of one seed: the trace of a run with this seed alone.

        Raises:
            ValueError: if no column has this seed.
        """
        own = self.seed == seed
        if not own.any():
            raise ValueError(
                f"no column has seed {seed}; the seeds are {sorted(set(self.seed.tolist()))}"
            )
        return self.select(own)

    def at(self, bits: ArrayLike) -> Array:
        """Squared gradient norm of the last iterate reached within a number of bits.

        Args:
            bits: bits per client, one number or shape (k,), each at least 0.

        Returns:
            Shape (b,) or (k, b).

        Raises:
            ValueError: if a number of bits is negative.
        """
        if not (np.asarray(bits) >= 0).all():
            raise ValueError(f"bits must be at least 0, got {bits!r}")
        rows = [
            np.searchsorted(column, np.asarray(bits), side="right") - 1 for column in self.bits.T
        ]
        return np.asarray(self.grad_norm_sq[np.stack(rows, axis=-1), np.arange(len(rows))])

    def best(self, bits: float = np.inf) -> int:
        """Column of the smallest squared gradient norm within a number of bits (D.2.2)."""
        return int(np.argmin(self.at([bits])[0]))

    def output_round(self, seed: int) -> int:
        r"""Draw the round of the output, uniform over $x^0,\dots,x^{T-1}$ after T rounds.

        MARINA's guarantee bounds the gradient at this iterate, not at the last one.

        Args:
            seed: seed of the run; the draw has its own stream of random words.

        Raises:
            ValueError: if no round was run.

        Source: Algorithms 1 and 4, last line.
        """
        if self.rounds == 0:
            raise ValueError("no round was run: there is no iterate to draw")
        return int(Key(seed).uniform(Stream.OUTPUT) * self.rounds)

    def columns(self, **constants: Any) -> dict[str, ArrayLike]:
        """Return a table by its columns: a row per round and member; ``constants`` come first."""
        rounds, b = self.bits.shape
        table: dict[str, Any] = {
            "seed": np.tile(self.seed, rounds),
            "stepsize": np.tile(self.stepsize, rounds),
            "round": np.repeat(np.arange(rounds), b),
            "bits": self.bits.ravel(),
            "grad_norm_sq": self.grad_norm_sq.ravel(),
            "value": self.value.ravel(),
        }
        there = ~np.isnan(table["bits"])
        given = {name: [value] * int(there.sum()) for name, value in constants.items()}
        return given | {name: column[there] for name, column in table.items()}

    def to_csv(self, path: str | Path, **constants: Any) -> None:
        """Write :meth:`columns` as CSV, completely or not at all; floats keep all digits."""
        table = self.columns(**constants)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table)
        columns = (np.asarray(column).tolist() for column in table.values())
        writer.writerows(zip(*columns, strict=True))
        write_atomic(Path(path), text.getvalue())
