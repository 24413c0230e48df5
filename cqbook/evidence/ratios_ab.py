"""Ratios of errors to their bounds: of single compressors, and of means over clients.

Each function maps points of the cube $[-1,1]^{size}$, shape (k, size), to left side over right
side, shape (k,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from itertools import combinations, product

import numpy as np

from cqbook.evidence import batch_errors, exact
from cqbook.evidence.ratios import Array, over, squares
from cqlib import theory
from cqlib.compressors import Compressor, make

# --- single compressors --------------------------------------------------------------------------


def standard_dithering(z: Array, p: float, s: int) -> Array:
    """Return the error of standard dithering over its bound omega."""
    omega = theory.standard_dithering_omega(z.shape[1], p, s)
    return over(theory.standard_dithering_variance(z, p, s), omega * squares(z))


def natural_dithering(z: Array, s: int) -> Array:
    """Return the error of natural dithering over its bound omega."""
    omega = theory.natural_dithering_omega(z.shape[1], 2, s)
    return over(theory.natural_dithering_variance(z, 2, s), omega * squares(z))


def natural_compression(z: Array) -> Array:
    """Return the error of natural compression over its bound omega = 1/8."""
    return over(theory.natural_compression_variance(z), squares(z) / 8)


def drive_hadamard(z: Array) -> Array:
    """Return the error of DRIVE with Hadamard rotation over the constant of a uniform rotation."""
    _, error = batch_errors.drive_hadamard(z)
    return over(error, (np.pi / 2 - 1) * squares(z))


# --- the AB-inequality ---------------------------------------------------------------------------


def any_dependence(z: Array) -> Array:
    """Return the ratio of Proposition 1, first half: constants (omega + 1, 1) for any joint law."""
    left, omega, a = _any_law(z)
    A, B = np.where(omega < 1e6, omega + 1, 0.0), 1.0  # for larger omega, rounding errors decide
    return over(left, A * (a**2).mean(axis=1) - B * a.mean(axis=1) ** 2)


def any_dependence_sharper(z: Array) -> Array:
    """Return the ratio for the sharper constants (omega, 0), for any joint law."""
    left, omega, a = _any_law(z)
    return over(left, np.where(omega < 1e6, omega, 0.0) * (a**2).mean(axis=1))


def _any_law(z: Array) -> tuple[Array, Array, Array]:
    """Map the cube to joint laws of three clients with three outcomes and one coordinate.

    Return the error of the mean, omega, and the clients' inputs, which are their expectations.
    """
    outcomes = z.reshape(-1, 3, 3)
    a = outcomes.mean(axis=1)
    spread = ((outcomes - a[:, None]) ** 2).mean(axis=1)
    omega = np.max(np.divide(spread, a**2, out=np.full_like(a, np.inf), where=a != 0), axis=1)
    total = outcomes.mean(axis=2)
    error = ((total - total.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)
    return error, omega, a


def covariance(z: Array) -> Array:
    """Return the probability that two of n clients both round up, over the product of both."""
    y = (z[:, :2] + 1) / 2
    n = (2 + np.floor((z[:, 2] + 1) / 2 * 11.999)).astype(int)
    both = [theory.cq_covariance(u, v, m) + u * v for (u, v), m in zip(y, n, strict=True)]
    return over(np.array(both), y[:, 0] * y[:, 1])


def never_worse(z: Array, n: int) -> Array:
    """Return the error of CQ over that of IQ, for n clients."""
    X = z.reshape(len(z), n, -1)
    return over(batch_errors.cq_mse(X), batch_errors.iq_mse(X))


def corollary_2(z: Array, n: int, kappa: float) -> Array:
    """Return the error of CQ with n equal clients over kappa d / n^2."""
    return over(theory.cq_mse_equal(z, n), kappa * z.shape[1] / n**2 * squares(z))


def theorem_1(z: Array) -> Array:
    """Return the variance of n equal clients over 1 / (4 n^2), n from 1 to 12."""
    y = (z[:, 0] + 1) / 2
    n = 1 + np.floor((z[:, 1] + 1) / 2 * 11.999)
    fraction = n * y % 1.0
    return np.asarray(4 * fraction * (1 - fraction))


def suresh(z: Array, slope: float, floor: float) -> Array:
    """Return the error at a coordinate over slope * sigma_md / n + floor / n^2, range [0, 1]."""
    y = (z + 1) / 2
    n = z.shape[1]
    deviation = np.abs(y - y.mean(axis=1, keepdims=True)).mean(axis=1)
    variance = batch_errors.cq_variance(y[:, :, None])[:, 0] / n**2
    return over(variance, slope * deviation / n + floor / n**2)


def corollary_3(z: Array, n: int, b: int, kappa: float) -> Array:
    """Return the error of PermK+CQ with n equal clients over kappa b d / n^2."""
    bound = kappa * b * z.shape[1] / n**2 * squares(z)
    return over(theory.permk_cq_mse_equal(z, n, b), bound)


# --- the constants of the library ----------------------------------------------------------------

Error = Callable[[Array], Array]  # exact error of the mean, X of shape (k, n, d) to (k,)


@dataclass(frozen=True)
class Clients:
    """A compressor, small n and d, and constants A, B that are claimed for them.

    Args:
        label: label of the compressor.
        compressor: the compressor.
        n: number of clients.
        d: number of coordinates.
        A: constant of Assumption 5.
        B: constant of Assumption 5.
        error: exact error of the mean, X of shape (k, n, d) to (k,).
        kind: kind of constants; all but "valid constants" are too small.
        claim: id of the item of the ledger.
    """

    label: str
    compressor: Compressor
    n: int
    d: int
    A: float
    B: float
    error: Error
    kind: str = "valid constants"
    claim: str = "assumption-5"

    @property
    def name(self) -> str:
        """Name of the inequality."""
        return f"{self.kind}: {self.label}, n = {self.n}, d = {self.d}"

    @property
    def valid(self) -> bool:
        """True if the constants are claimed to be valid."""
        return self.kind == "valid constants"

    def ratio(self, z: Array) -> Array:
        """Return the error over (A - B) times mean square plus B times the clients' variance."""
        X = z.reshape(-1, self.n, self.d)
        mean_square = squares(X).mean(axis=1)
        variance = squares(X - X.mean(axis=1, keepdims=True)).mean(axis=1)
        return over(self.error(X), (self.A - self.B) * mean_square + self.B * variance)


@cache
def clients() -> tuple[Clients, ...]:
    """Return the compressors whose constants a search tries to refute, and two controls.

    >>> clients()[0].name, clients()[-1].name
    ('valid constants: iq, n = 3, d = 4', 'constant for equal inputs: cq, n = 3, d = 4')
    """
    q = (0.5, 0.3, 0.2)
    perm_k = _all_outcomes(exact.perm_k(3, 4))
    few_coordinates = _all_outcomes(exact.perm_k(4, 3))
    composed = make("compose", sparsifier=make("perm_k"), quantizer=make("natural_compression"))
    pairs: list[tuple[str, Compressor, int, int, Error]] = [
        ("iq", make("iq"), 3, 4, batch_errors.iq_mse),
        ("cq", make("cq"), 3, 4, batch_errors.cq_mse),
        ("rand_k, k = 2", make("rand_k", k=2), 3, 4, _all_outcomes(_rand_k(3, 4, 2))),
        ("perm_k", make("perm_k"), 3, 4, perm_k),
        ("perm_k", make("perm_k"), 4, 3, few_coordinates),
        ("permk_cq, b = 2", make("permk_cq", b=2), 4, 4, partial(batch_errors.permk_cq_mse, b=2)),
        ("iscc of iq, unequal chances", make("iscc", inner=make("iq"), probabilities=q), 3, 4,
         partial(_iscc_of_iq, q=q)),
        ("natural_compression of perm_k", composed, 3, 4, partial(_powers, kept=perm_k)),
    ]  # fmt: skip
    for label, c in (
        ("terngrad", make("terngrad")),
        ("standard_dithering, s = 1", make("standard_dithering", s=1)),
        ("natural_dithering, s = 3", make("natural_dithering", s=3)),
        ("natural_compression", make("natural_compression")),
    ):
        pairs.append((label, c, 3, 4, partial(_independent, c=c)))
    found = [Clients(label, c, n, d, *c.ab(n, d)[:2], error) for label, c, n, d, error in pairs]
    iq, cq = found[0].compressor, found[1].compressor
    A = iq.ab(3, 4, constants="paper").A
    found.append(
        Clients("iq", iq, 3, 4, A, 0.0, batch_errors.iq_mse, "constant as read", "corollary-1")
    )
    A = cq.ab(3, 4, constants="homogeneous").A
    kind = "constant for equal inputs"
    found.append(Clients("cq", cq, 3, 4, A, 0.0, batch_errors.cq_mse, kind, "corollary-2"))
    return tuple(found)


def _rand_k(n: int, d: int, k: int) -> exact.Law:
    """Return the law of the factors of RandK, in the form of ``exact.perm_k``."""
    rows = [
        tuple(Fraction(d, k) if j in kept else Fraction(0) for j in range(d))
        for kept in combinations(range(d), k)
    ]
    return [(Fraction(1, len(rows) ** n), choice) for choice in product(rows, repeat=n)]


def _all_outcomes(law: exact.Law) -> Error:
    """Return the error of the mean if clients send factors times coordinates."""
    chances = np.array([float(chance) for chance, _ in law])
    factors = np.array([rows for _, rows in law], dtype=np.float64)

    def error(X: Array) -> Array:
        off = np.einsum("cnd,knd->kcd", factors - 1, X) / X.shape[1]
        return np.asarray(squares(off) @ chances)

    return error


def _independent(X: Array, c: Compressor) -> Array:
    """Return the error of the mean of independent clients, from the variance of each."""
    k, n, d = X.shape
    return np.asarray(c.variance(X.reshape(k * n, d)).reshape(k, n).sum(axis=1) / n**2)


def _iscc_of_iq(X: Array, q: tuple[float, ...]) -> Array:
    """Return the error if a client, drawn with probability q_i, sends IQ of a_i / (n q_i)."""
    _, n, d = X.shape
    mean, error = X.mean(axis=1), np.zeros(len(X))
    for i, chance in enumerate(q):
        sent = X[:, i] / (n * chance)
        error += chance * (squares(sent - mean) + (d - 1) * squares(sent))
    return error


def _powers(X: Array, kept: Error) -> Array:
    """Return the error of PermK, n <= d, followed by natural compression of the kept values."""
    k, n, d = X.shape
    # 1 / n is the probability of being kept.
    rounding = theory.natural_compression_variance(n * X.reshape(k * n, d)) / n
    return kept(X) + rounding.reshape(k, n).sum(axis=1) / n**2
