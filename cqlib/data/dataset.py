"""A data set of samples in two classes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A binary classification set; X and y are kept as read-only C-contiguous float64 arrays.

    They are copies, unless they are such arrays already and own their memory.

    Args:
        X: shape (N, d), one row a sample, finite.
        y: shape (N,), labels -1 and +1.
        name: a short name, for figures and tables.
        source: where the numbers come from, in the same words on every machine.
        unit: whether `unit_rows` has scaled the rows.

    Raises:
        ValueError: if a shape or value is wrong.

    >>> data = Dataset(np.eye(2), np.array([1.0, -1.0]), "two points", "made up")
    >>> data.n_samples, data.d, data.label
    (2, 2, 'two points')
    """

    X: Array = field(repr=False)
    y: Array = field(repr=False)
    name: str
    source: str
    unit: bool = False

    def __post_init__(self) -> None:
        """Copy, check and freeze the arrays."""
        X, y = _fixed(self.X), _fixed(self.y)
        if X.ndim != 2 or y.shape != X.shape[:1]:
            raise ValueError(
                f"{self.name}: need shapes (N, d) and (N,), got {X.shape} and {y.shape}"
            )
        if not (np.isfinite(X).all() and np.isin(y, (-1, 1)).all()):
            raise ValueError(f"{self.name}: X must be finite and y hold only -1 and +1")
        if self.unit and not _unit_or_zero(X):
            raise ValueError(f"{self.name}: rows must have norm 1 or be zero, since unit is True")
        for name, array in (("X", X), ("y", y)):
            object.__setattr__(self, name, array)

    @property
    def n_samples(self) -> int:
        """N, the number of rows."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """The number of features."""
        return int(self.X.shape[1])

    @property
    def label(self) -> str:
        """The name to print in every figure, table and claim."""
        return self.name + (", unit rows" if self.unit else "")

    def unit_rows(self) -> Dataset:
        r"""Return the same samples with rows of Euclidean norm 1, $z/\|z\|$; zero rows stay zero.

        A logistic loss then has curvature of at most 1/4 on each sample, whatever its units were.
        ``name`` and ``source`` stay; ``label`` states the scaling.

        Returns:
            A new set of the same shape, or this one if its rows are scaled already.

        >>> rows = Dataset(np.array([[3.0, 4.0]]), np.array([1.0]), "one", "made up").unit_rows()
        >>> rows.label, rows.X.tolist()
        ('one, unit rows', [[0.6, 0.8]])
        """
        if self.unit:
            return self
        largest = np.abs(self.X).max(axis=1, keepdims=True, initial=0.0)
        X = self.X / np.where(largest > 0, largest, 1.0)  # or squares could over- or underflow
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        return replace(self, X=X / np.where(norms > 0, norms, 1.0), unit=True)


def _fixed(given: Array) -> Array:
    """Return an array if nobody writes to it and its layout is right, else a copy like that."""
    flags = given.flags if type(given) is np.ndarray and given.dtype == np.float64 else None
    if flags and flags.owndata and flags.c_contiguous and not flags.writeable:
        return given
    array = np.array(given, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def _unit_or_zero(X: Array) -> bool:
    with np.errstate(over="ignore"):  # an overflow gives infinity, which is not 1
        norms = np.linalg.norm(X, axis=1)
    return bool(((norms == 0) | (abs(norms - 1) <= 1e-12)).all())
