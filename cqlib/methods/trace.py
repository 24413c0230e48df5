"""What a run leaves behind: bits sent and progress made, round by round."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cqlib.files import write_atomic
from cqlib.keys import Key, Stream

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    r"""Course of a stepsize sweep; row t is about the iterate x^t, column k about stepsize k.

    Args:
        bits: bits that each client had sent when x^t was reached, shape (rounds + 1, b).
        grad_norm_sq: $\|\nabla f(x^t)\|^2$, shape (rounds + 1, b); infinite after divergence.
        value: f(x^t), shape (rounds + 1, b); infinite after divergence.
        stepsize: the stepsizes, shape (b,).

    >>> trace = Trace(*np.array([[[0.0], [64]], [[4], [1]], [[2], [1]]]), stepsize=np.array([0.5]))
    >>> trace.at([0, 63, 64, 99]).ravel().tolist()
    [4.0, 4.0, 1.0, 1.0]
    """

    bits: Array
    grad_norm_sq: Array
    value: Array
    stepsize: Array

    @property
    def rounds(self) -> int:
        """Rounds that were run."""
        return len(self.bits) - 1

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Which members of the sweep diverged, shape (b,)."""
        return np.asarray(~np.isfinite(self.grad_norm_sq[-1]))

    def at(self, bits: ArrayLike) -> Array:
        """Squared gradient norm of the last iterate reached within a number of bits.

        Args:
            bits: bits per client, shape (k,), each at least 0.

        Returns:
            Shape (k, b).

        Raises:
            ValueError: for a negative number of bits.
        """
        if not (np.asarray(bits) >= 0).all():
            raise ValueError(f"bits must be at least 0, got {bits!r}")
        row = np.searchsorted(self.bits[:, 0], np.asarray(bits), side="right") - 1
        return np.asarray(self.grad_norm_sq[row])

    def best(self, bits: float = np.inf) -> int:
        """Column of the smallest squared gradient norm within a number of bits (D.2.2)."""
        return int(np.argmin(self.at([bits])[0]))

    def output_round(self, seed: int) -> int:
        r"""Draw the round of the output, uniform over $x^0,\dots,x^{T-1}$ after T rounds.

        What MARINA's guarantee bounds is the gradient at this iterate, not at the last one.

        Args:
            seed: of the run; the draw does not touch the run's other randomness.

        Raises:
            ValueError: if no round was run.

        Source: Algorithms 1 and 4, last line.
        """
        if self.rounds == 0:
            raise ValueError("no round was run, so that there is no iterate to draw")
        return int(Key(seed).uniform(Stream.OUTPUT) * self.rounds)

    def to_frame(self, **columns: Any) -> pd.DataFrame:
        """Return a tidy table: a row per round and stepsize, with constant ``columns`` in front."""
        rounds, b = self.bits.shape
        return pd.DataFrame(
            {
                **{name: [value] * (rounds * b) for name, value in columns.items()},
                "stepsize": np.tile(self.stepsize, rounds),
                "round": np.repeat(np.arange(rounds), b),
                "bits": self.bits.ravel(),
                "grad_norm_sq": self.grad_norm_sq.ravel(),
                "value": self.value.ravel(),
            }
        )

    def to_csv(self, path: str | Path, **columns: Any) -> None:
        """Write :meth:`to_frame` as CSV, whole or not at all; floats keep all their digits."""
        write_atomic(Path(path), self.to_frame(**columns).to_csv(index=False, lineterminator="\n"))
