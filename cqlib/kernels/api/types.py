"""Types of the operations' arguments."""

from __future__ import annotations

from typing import Any, TypeVar

from numpy.typing import NDArray

from cqlib.philox import Words

A = TypeVar("A")  # arrays of one backend: NumPy arrays or torch tensors
Array = NDArray[Any]
StreamKey = tuple[Words, Words]  # two words, or two arrays of shape (c,): one stream per row
