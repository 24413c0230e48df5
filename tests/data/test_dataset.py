"""The type of data sets: checked, copied, frozen, with rows of norm 1."""

from typing import Any

import numpy as np
import pytest

from cqlib import data


def test_arrays_are_checked_copied_and_fixed() -> None:
    X: Any = np.asfortranarray(np.ones((2, 3), np.float32))
    y: Any = np.array([1, -1])
    mine = data.Dataset(X, y, "mine", "here")
    X[0, 0] = 7
    assert mine.X[0, 0] == 1 and mine.X.flags.c_contiguous and "array" not in repr(mine)
    for array in (mine.X, mine.y):
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        setattr(mine, "name", "yours")  # noqa: B010
    for bad_X, bad_y in [(X, y[:1]), (X[0], y), (X, y * 0), (X * np.nan, y)]:
        with pytest.raises(ValueError, match="mine"):
            data.Dataset(bad_X, bad_y, "mine", "here")


def test_only_fixed_arrays_are_kept_without_a_copy() -> None:
    fixed, view = np.ones((2, 3)), np.ones((2, 3))[:]
    y = np.array([1.0, -1.0])
    for array in (fixed, view, y):
        array.setflags(write=False)
    mine = data.Dataset(fixed, y, "mine", "here")
    assert mine.X is fixed and mine.y is y
    assert data.Dataset(view, y, "mine", "here").X is not view
    for other in (np.asfortranarray(fixed), fixed.astype(np.float32)):
        other.setflags(write=False)
        made = data.Dataset(other, y, "mine", "here").X
        assert made is not other and made.flags.c_contiguous and made.dtype == np.float64


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "splice"])
def test_unit_rows(name: str) -> None:
    loaded = data.load(name)
    unit = loaded.unit_rows()
    np.testing.assert_allclose((unit.X**2).sum(axis=1), 1, rtol=1e-14)
    norms = np.sqrt((loaded.X**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(unit.X * norms, loaded.X, rtol=1e-14)
    np.testing.assert_array_equal(unit.y, loaded.y)
    assert (unit.name, unit.source) == (name, loaded.source)
    assert unit.label == f"{name}, unit rows" and unit.unit_rows() is unit
    assert loaded.label == name and data.load(name) is loaded


def test_unit_rows_of_zeros_and_of_extreme_rows() -> None:
    X = np.array([[0, 0], [3, -4], [1e300, 1e300], [5e-324, 0], [0, -1e-200]])
    made = data.Dataset(X, np.ones(5), "mine", "here").unit_rows()
    half = np.sqrt(0.5)
    wanted = [[0, 0], [0.6, -0.8], [half, half], [1, 0], [0, -1]]
    np.testing.assert_allclose(made.X, wanted, rtol=1e-15)
    assert made.label == "mine, unit rows" and not made.X.flags.writeable
    assert data.Dataset(np.ones((2, 0)), np.ones(2), "none", "").unit_rows().X.shape == (2, 0)


def test_rows_said_to_be_unit_must_be() -> None:
    X = np.array([[0.6, 0.8], [1e300, 1]])
    with pytest.raises(ValueError, match="mine: rows must have norm 1 or be zero"):
        data.Dataset(X, np.ones(2), "mine", "here", unit=True)
