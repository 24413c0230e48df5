r"""Exact second moments of MARINA on quadratics, for any number of rounds.

If the covariance of the compressor's error is linear in the second moments of the inputs, the
second moments of $(x^t-x^*,g^t)$ follow a linear recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors import Compressor
from cqlib.problems.quadratic import Quadratic
from cqlib.theory import Smoothness

Array = NDArray[np.float64]


class _Inputs(NamedTuple):
    """Sums over clients of the second moments of their inputs."""

    n: int
    d: int
    V: Array  # sum of a_i a_i^T
    W: Array  # second moment of the mean

    @property
    def diagonal(self) -> Array:
        return np.diag(np.diag(self.V))

    @property
    def trace(self) -> Array:
        return np.trace(self.V) * np.eye(self.d)


def _identity(c: Any, at: _Inputs) -> Array:
    return 0 * at.V


def _rand_k(c: Any, at: _Inputs) -> Array:
    n, d, k = at.n, at.d, c.slots(at.d, at.n)
    off = d * (k - 1) / (k * (d - 1)) - 1
    return np.asarray(off * (at.V - at.diagonal) + (d / k - 1) * at.diagonal) / n**2


def _perm_k(c: Any, at: _Inputs) -> Array:
    n, d, V, W = at.n, at.d, at.V, at.W
    theta = (d // n - 1) / (d - 1)
    off = theta * V / n + (1 - theta) * (n**2 * W - V) / (n * (n - 1))
    return np.where(np.eye(d) > 0, V / n, off) - W


def _iq(c: Any, at: _Inputs) -> Array:
    return (at.trace - at.diagonal) / at.n**2


def _drive(c: Any, at: _Inputs) -> Array:
    return np.asarray(c.omega(at.d) / (at.d - 1) * (at.trace - at.V) / at.n**2)


def _iscc_of_iq(c: Any, at: _Inputs) -> Array:
    return at.V / at.n - at.W + (at.trace - at.diagonal) / at.n


_COVARIANCES: dict[str, Callable[[Any, _Inputs], Array]] = {
    "identity": _identity,
    "rand_k": _rand_k,
    "perm_k": _perm_k,
    "iq": _iq,
    "drive": _drive,
    "iscc": _iscc_of_iq,
}


def covariance(c: Compressor, A: Array, D: Array) -> Array:
    r"""Return the covariance of the server's mean for inputs $A_iv$, $\mathbb E\,vv^\top=D$.

    With $V=\sum_iA_iDA_i$ and $W=\bar AD\bar A$; RandK:
    $\frac1{n^2}\big(\frac{d(k-1)}{k(d-1)}-1\big)(V-\mathrm{Diag}V)
    +\frac1{n^2}\big(\frac dk-1\big)\mathrm{Diag}V$; PermK, d a multiple of n: diagonal
    $\frac1nV-W$, elsewhere $\frac\theta nV+(1-\theta)\frac{n^2W-V}{n(n-1)}-W$; IQ:
    $\frac1{n^2}(\mathrm{tr}(V)I-\mathrm{Diag}V)$; DRIVE with a uniform rotation:
    $\frac\omega{(d-1)n^2}(\mathrm{tr}(V)I-V)$; ISCC of IQ with one uniform draw:
    $\frac1nV-W+\frac1n(\mathrm{tr}(V)I-\mathrm{Diag}V)$.

    Args:
        c: identity, rand_k, perm_k, iq, drive with a uniform rotation, or iscc of iq.
        A: Hessians, shape (n, d, d).
        D: shape (d, d).

    Raises:
        ValueError: for another compressor.

    >>> from cqlib.compressors import make
    >>> covariance(make("iq"), np.stack([np.eye(2)] * 2), np.diag([1.0, 0.0])).tolist()
    [[0.0, 0.0], [0.0, 0.5]]
    """
    if c.name not in _COVARIANCES:
        raise ValueError(f"no covariance of {c.name!r}; known: {', '.join(_COVARIANCES)}")
    mean = A.mean(axis=0)
    n, d = A.shape[:2]
    at = _Inputs(n, d, (A @ D @ A).sum(axis=0), mean @ D @ mean)
    return _COVARIANCES[c.name](c, at)


def shares(A: Array, z: Array, c: Compressor, p: float, gamma: float, T: int) -> Array:
    r"""Return $\frac\gamma{2\Delta^0}\sum_{s<t}\mathbb E\|\nabla f(x^s)\|^2$ for t = 1 to T.

    Args:
        A: Hessians, shape (n, d, d), whose mean is positive definite.
        z: the start, $x^0-x^*$, shape (d,).
        c: a compressor of :func:`covariance`.
        p: probability of a round of whole gradients.
        gamma: stepsize.
        T: number of rounds.

    Returns:
        Shape (T,); by the guarantee all entries are at most 1.

    >>> from cqlib.compressors import make
    >>> shares(np.ones((1, 1, 1)), np.ones(1), make("identity"), 0.5, 0.25, 2).tolist()
    [0.25, 0.390625]
    """
    d = A.shape[1]
    H, eye = A.mean(axis=0), np.eye(d)
    full = np.block([[eye, -gamma * eye], [H, -gamma * H]])
    kept = np.block([[eye, -gamma * eye], [0 * eye, eye - gamma * H]])
    both = np.concatenate([z, H @ z])
    M, squares = np.outer(both, both), []
    for _ in range(T):
        squares.append(np.trace(H @ M[:d, :d] @ H))
        after = kept @ M @ kept.T
        after[d:, d:] += covariance(c, A, gamma**2 * M[d:, d:])
        M = p * full @ M @ full.T + (1 - p) * after
    return np.asarray(gamma * np.cumsum(squares) / (z @ H @ z))


def start(task: Quadratic) -> tuple[Array, Array]:
    """Return the Hessians of a quadratic, shape (n, d, d), and x^0 - x^*, shape (d,).

    >>> from cqlib import problems
    >>> A, z = start(problems.quadratic_hessian_variance(4, 3, 0.5, 0.1, seed=0))
    >>> A.shape, z.shape
    ((4, 3, 3), (3,))
    """
    A = task.hessians().numpy()
    right = np.eye(task.d)[0] * float(task.pull.mean())
    return A, task.x0.numpy() - np.linalg.solve(A.mean(axis=0), right)


def largest_stepsize(p: float, A: float, B: float, L: Smoothness) -> float:
    r"""Return the largest stepsize that the proof allows.

    The positive root of $\gamma L_-+\gamma^2\frac{1-p}p\big((A-B)L_+^2+BL_\pm^2\big)=1$.

    >>> largest_stepsize(0.5, 2.0, 0.0, Smoothness(1.0, 1.0, 1.0))
    0.5
    """
    noise = (1 - p) / p * ((A - B) * L.L_plus**2 + B * L.L_pm**2)
    return float(2 / (L.L_minus + np.sqrt(L.L_minus**2 + 4 * noise)))
