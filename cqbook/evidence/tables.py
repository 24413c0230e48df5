"""Tables 2 and 4 of the paper: stated and valid constants, and the largest errors found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors import Compressor, make

Array = NDArray[np.float64]


def varied_vectors(gaussian: Array, rng: np.random.Generator) -> list[Array]:
    """Return vectors that should include the worst case of a compressor.

    They have two absolute values (k entries 1, the others t, for all k and some t), random signs,
    Gaussian entries, or Gaussian entries of very different sizes.

    Args:
        gaussian: shape (m, d).
        rng: generator of the other random vectors.
    """
    m, d = gaussian.shape
    sizes = [0, 1 / (1 + d**0.5), 1 / 7, 1 / 5, 1 / 3, 1 / 2, 0.9]
    two_sizes = [np.where(np.arange(d) < k, 1.0, t) for k in range(1, d + 1) for t in sizes]
    signs = rng.choice([-1.0, 1.0], (10, d))
    return [*two_sizes, *signs, *gaussian, *gaussian * np.exp(2 * rng.standard_normal((m, d)))]


def worst_of_equal_clients(compressor: Compressor, n: int, vectors: Iterable[Array]) -> float:
    r"""Return the largest exact error of the mean over $\|a\|^2$ for n clients that hold a.

    >>> worst_of_equal_clients(make("iq"), 2, [np.ones(4), np.arange(4.0)])
    1.5
    """
    return max(float(compressor.mse(np.tile(a, (n, 1)))) / float(a @ a) for a in vectors)


def compressors_of_table_2() -> dict[str, Compressor]:
    """Return the rows of Table 2.

    >>> list(compressors_of_table_2())[-1]
    'ISCC of TernGrad'
    """
    terngrad = make("terngrad")
    return {
        "standard dithering, s = 1": make("standard_dithering", s=1),
        "standard dithering, s = 7": make("standard_dithering", s=7),
        "TernGrad": terngrad,
        "natural dithering, s = 7": make("natural_dithering", s=7),
        "IQ": make("iq"),
        "CQ": make("cq"),
        "ISCC of TernGrad": make("iscc", inner=terngrad),
    }


def row_of_table_2(
    compressor: Compressor, n: int, d: int, vectors: Iterable[Array]
) -> dict[str, float]:
    """Return bits, the stated and the valid A - B, and the worst error of equal clients.

    Args:
        compressor: compressor of the row.
        n: number of clients.
        d: number of coordinates.
        vectors: inputs to try.

    Source: Table 2.
    """
    stated = compressor.ab(n, d, constants="paper")
    valid = compressor.ab(n, d, constants="homogeneous")
    return {
        "bits": compressor.bits(d, n),
        "stated": stated.A - stated.B,
        "valid": valid.A - valid.B,
        "worst found": worst_of_equal_clients(compressor, n, vectors),
    }


def row_of_table_4(
    label: str,
    compressor: Compressor,
    n: int,
    d: int,
    *,
    kind: Literal["valid", "homogeneous"],
    measured: str,
) -> tuple[str, ...]:
    """Return label, bits, stated A and B, valid A and B as text, and the measured value.

    Args:
        label: label of the row.
        compressor: compressor of the row.
        n: number of clients.
        d: number of coordinates.
        kind: kind of the valid constants, "valid" or "homogeneous"; without them "none" is shown.
        measured: last entry of the row.

    Source: Table 4.

    >>> row_of_table_4("DRIVE", make("drive"), 2, 4, kind="valid", measured="")[4]
    'none'
    """
    given = compressor.ab(n, d, constants="paper")
    try:
        A, B, _ = compressor.ab(n, d, constants=kind)
        valid = f"{A:.5g}", f"{B:g}"
    except ValueError:
        valid = "none", ""
    bits = f"{compressor.bits(d, n):g}"
    return (label, bits, f"{given.A:.4g}", f"{given.B:g}", *valid, measured)
