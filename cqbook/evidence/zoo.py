"""All compressors of the registry, and their errors on given vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from cqbook.evidence.sampling import squared_errors, standard_error
from cqlib.compressors import Compressor, make

FLOOR = 1e-9  # smaller relative errors are rounding of float32


class Member(NamedTuple):
    """A compressor with its family and its name in words."""

    family: str
    name: str
    compressor: Compressor


def zoo(n: int, d: int) -> dict[str, Member]:
    """Return the compressors for n clients and d coordinates, by a short name.

    PermK+CQ needs a divisor of n. DRIVE's uniform rotation takes d^2 numbers per client, so it is
    left out for large d.

    >>> len(zoo(16, 30)), len(zoo(16, 1000)), len(zoo(3, 30))
    (22, 21, 20)
    """
    iq, perm_k, natural = make("iq"), make("perm_k"), make("natural_compression")
    members = {
        "none": Member("sparsifiers", "no compression", make("identity")),
        "RK": Member("sparsifiers", "RandK", make("rand_k")),
        "TK": Member("sparsifiers", "TopK (biased)", make("top_k")),
        "PK": Member("sparsifiers", "PermK", perm_k),
        "SD": Member("dithering", "standard dithering", make("standard_dithering")),
        "ND": Member("dithering", "natural dithering", make("natural_dithering")),
        "NC": Member("dithering", "natural compression", natural),
        "TG": Member("dithering", "TernGrad", make("terngrad")),
        "GQ": Member("dithering", "Global-QSGD, linear", make("global_qsgd")),
        "IQ": Member("IQ", "independent", iq),
        "CQ": Member("CQ", "correlated", make("cq")),
        "CQ∞": Member("CQ", "CQ, max norm", make("cq", range="linf")),
        "CQr": Member("CQ", "CQ, max norm, rotated", make("cq", range="linf", rotate=True)),
        "CQ4": Member("CQ", "CQ, four levels", make("cq", levels=4)),
        "DR": Member("DRIVE", "DRIVE, Hadamard", make("drive")),
        "D+": Member("DRIVE", "DRIVE+, Hadamard", make("drive_plus")),
        "IS": Member("combinations", "ISCC of IQ", make("iscc", inner=iq)),
        "RQ": Member("combinations", "RandK, then IQ", _both(make("rand_k"), iq)),
        "PN": Member("combinations", "PermK, then NC", _both(perm_k, natural)),
    }
    for b in (4, 16):
        if n % b == 0:
            blocks = make("permk_cq", b=b)
            members[f"P{b}"] = Member("combinations", f"PermK+CQ, {b} blocks", blocks)
    if n * d * d < 300_000:
        members["DRu"] = Member("DRIVE", "DRIVE, uniform", make("drive", rotation="uniform"))
    return members


def _both(sparsifier: Compressor, quantizer: Compressor) -> Compressor:
    return make("compose", sparsifier=sparsifier, quantizer=quantizer)


def exact_error(compressor: Compressor, X: torch.Tensor) -> float:
    """Return the exact squared error of the mean; NaN if no closed form is known.

    Args:
        compressor: any.
        X: the clients' vectors, shape (n, d).

    >>> exact_error(make("iq"), torch.ones(2, 4)), exact_error(make("drive"), torch.ones(2, 4))
    (6.0, nan)
    """
    try:
        return float(compressor.mse(X))
    except ValueError:
        return np.nan


def valid_bound(compressor: Compressor, X: torch.Tensor, *, homogeneous: bool) -> float:
    """Return the right side of the AB-inequality; NaN if no valid constants are known.

    Args:
        compressor: any.
        X: the clients' vectors, shape (n, d).
        homogeneous: True if they are equal; some constants are then smaller.

    >>> valid_bound(make("cq"), torch.ones(2, 4), homogeneous=True)
    4.0
    """
    n, d = X.shape
    try:
        A, B, _ = compressor.ab(n, d, constants="homogeneous" if homogeneous else "valid")
    except ValueError:
        return np.nan
    return A * float((X**2).sum()) / n - B * float((X.mean(0) ** 2).sum())


def measure(
    compressor: Compressor, X: torch.Tensor, *, homogeneous: bool, rounds: int, seed: int
) -> dict[str, Any]:
    r"""Return sampled and exact error and the bound, over $\frac1n\sum_i\|a_i\|^2$, and the bits.

    Args:
        compressor: any.
        X: the clients' vectors, shape (n, d).
        homogeneous: True if they are equal.
        rounds: number of rounds.
        seed: seed of the keys.
    """
    n, d = X.shape
    scale = float((X**2).sum()) / n
    errors = squared_errors(compressor, X, rounds=rounds, seed=seed) / scale
    return {
        "bits_per_coordinate": compressor.bits(d, n) / d,
        "sampled": errors.mean(),
        "standard_error": standard_error(errors),
        "rounds": rounds,
        "exact": exact_error(compressor, X) / scale,
        "bound": valid_bound(compressor, X, homogeneous=homogeneous) / scale,
    }
