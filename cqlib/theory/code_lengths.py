"""Lengths of the Elias codes in which QSGD sends its symbols."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLOAT_BITS = 32


def elias_omega_bits(k: ArrayLike) -> NDArray[np.int64]:
    """Length in bits of the Elias omega code of each positive integer.

    The code ends with one bit. If k is above 1, k in binary is put in front of it; the same is then
    done with the length of k minus one, and so on down to 1.

    Args:
        k: positive integers below 2^53, any shape.

    Raises:
        ValueError: if k holds anything else.

    Source: Elias 1975; the "recursive Elias coding" of Alistarh et al. 2017, QSGD.

    >>> elias_omega_bits([1, 2, 3, 4, 7, 8, 15, 16, 100])
    array([ 1,  3,  3,  6,  6,  7,  7, 11, 13])
    """
    rest = np.array(k)
    if rest.dtype.kind not in "iu" or (rest < 1).any() or (rest >= 2**53).any():
        raise ValueError(f"k must hold integers in [1, 2^53), got {k!r}")
    rest = rest.astype(np.int64)
    bits = np.ones(rest.shape, dtype=np.int64)
    while (rest > 1).any():
        length = np.frexp(rest.astype(np.float64))[1]  # digits of rest in binary
        bits += np.where(rest > 1, length, 0)
        rest = np.where(rest > 1, length - 1, rest)
    return bits


def qsgd_sparse_bits(symbols: ArrayLike) -> int:
    """Bits of QSGD's message of symbols: the norm, then each nonzero's gap, sign and size.

    Args:
        symbols: integers of shape (d,); coordinate j is norm * symbols[j] / s.

    Raises:
        ValueError: if symbols are not integers.

    Source: Alistarh et al. 2017, Section 3.2: $Code_s$.

    >>> qsgd_sparse_bits([0, 0, 1, -1, 0])  # gaps 3 and 1, sizes 1 and 1: 32 + (3+1+1) + (1+1+1)
    40
    """
    values = _integers(symbols)
    (places,) = np.nonzero(values)
    gaps = np.diff(places, prepend=-1)
    sizes = np.abs(values[places])
    signs = len(places)
    return FLOAT_BITS + signs + int(_total(gaps) + _total(sizes))


def qsgd_dense_bits(symbols: ArrayLike) -> int:
    """Bits of QSGD's message without gaps: the norm, then each coordinate's size and sign.

    A coordinate takes the Elias code of its size plus one, and a sign where it is not zero.

    Args:
        symbols: integers of shape (d,); coordinate j is norm * symbols[j] / s.

    Raises:
        ValueError: if symbols are not integers.

    Source: Alistarh et al. 2017, Section 3.2: $Code_s'$.

    >>> qsgd_dense_bits([0, 0, 1, -1, 0])  # 32 + 1 + 1 + (3+1) + (3+1) + 1
    43
    """
    values = _integers(symbols)
    return FLOAT_BITS + int(np.count_nonzero(values)) + int(_total(np.abs(values) + 1))


def qsgd_expected_bits(d: int, s: int) -> float:
    r"""QSGD's bound on the expected bits of :func:`qsgd_sparse_bits`, without its o(1) term.

    $32+(3+\frac32\log_2\frac{2(s^2+d)}{s(s+\sqrt d)})\,s(s+\sqrt d)$, for the 2-norm.

    Args:
        d: dimension, at least 1.
        s: number of levels above 0, at least 1.

    Raises:
        ValueError: if a number is below 1.

    Source: Alistarh et al. 2017, Theorem 3.2.

    >>> qsgd_expected_bits(64, 8)  # s = sqrt(d): 9 d + 32
    608.0
    """
    if not (d >= 1 and s >= 1):
        raise ValueError(f"d and s must be at least 1, got {d=}, {s=}")
    m = s * (s + math.sqrt(d))
    return FLOAT_BITS + (3 + 1.5 * math.log2(2 * (s**2 + d) / m)) * m


def _integers(symbols: ArrayLike) -> NDArray[np.int64]:
    values = np.asarray(symbols)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"symbols must be integers, got {values.dtype}")
    return values.astype(np.int64)


def _total(values: NDArray[np.int64]) -> int:
    return int(np.sum(elias_omega_bits(values))) if len(values) else 0
