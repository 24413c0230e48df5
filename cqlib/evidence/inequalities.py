"""The inequalities of the paper, each as a ratio that a search can push towards its limit.

An input is a point of the cube $[-1,1]^{size}$; each ratio maps it to what the statement is about,
and returns left side over right side. A true statement keeps it at most 1, up to rounding; one that
reaches 1 is tight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from cqlib import theory
from cqlib.evidence import small_cases
from cqlib.theory.rates import best_factors

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Inequality:
    """A statement, left side at most right side.

    Args:
        name: what is compared, with sizes.
        claim: id of the ledger's item that it belongs to.
        size: number of entries of an input.
        ratio: from shape (k, size), entries in [-1, 1], to (k,): left side over right side.
        valid: whether it is claimed to hold here; False for a constant that is shown to be wrong.
    """

    name: str
    claim: str
    size: int
    ratio: Callable[[Array], Array]
    valid: bool = True


SMALLEST = 1e-5  # right sides below are not looked at: their ratio would be one of roundings


def _over(left: Array, right: Array) -> Array:
    """Ratio of two sides; 0 where the right one is too small to compare."""
    return np.divide(left, right, out=np.zeros_like(left), where=right > SMALLEST)


def _squares(z: Array) -> Array:
    return np.asarray(np.sum(z**2, axis=-1))


def _log_uniform(z: Array, low: float, high: float) -> Array:
    """From [-1, 1] to a range of positive numbers, by their logarithms."""
    return np.asarray(np.clip(np.exp(np.log(low) + (z + 1) / 2 * np.log(high / low)), low, high))


# --- single compressors --------------------------------------------------------------------------


def _standard_dithering(z: Array, p: float, s: int) -> Array:
    omega = theory.standard_dithering_omega(z.shape[1], p, s)
    return _over(theory.standard_dithering_variance(z, p, s), omega * _squares(z))


def _natural_dithering(z: Array, s: int) -> Array:
    omega = theory.natural_dithering_omega(z.shape[1], 2, s)
    return _over(theory.natural_dithering_variance(z, 2, s), omega * _squares(z))


def _natural_compression(z: Array) -> Array:
    return _over(theory.natural_compression_variance(z), _squares(z) / 8)


def _drive_hadamard(z: Array) -> Array:
    """DRIVE's error against the constant that a uniform rotation would give."""
    _, error = small_cases.drive_hadamard(z)
    return _over(error, (np.pi / 2 - 1) * _squares(z))


# --- the AB-inequality ---------------------------------------------------------------------------


def _any_dependence(z: Array) -> Array:
    """Three clients, three equally likely outcomes of any joint law, one coordinate."""
    outcomes = z.reshape(-1, 3, 3)
    a = outcomes.mean(axis=1)
    spread = ((outcomes - a[:, None]) ** 2).mean(axis=1)
    omega = np.max(np.divide(spread, a**2, out=np.full_like(a, np.inf), where=a != 0), axis=1)
    total = outcomes.mean(axis=2)
    left = ((total - total.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)
    A, B = np.where(omega < 1e6, omega + 1, 0.0), 1.0  # beyond, means are mostly rounding
    return _over(left, A * (a**2).mean(axis=1) - B * a.mean(axis=1) ** 2)


def _covariance(z: Array) -> Array:
    """Probability that two of n clients both round up, over the product of each one's."""
    y = (z[:, :2] + 1) / 2
    n = (2 + np.floor((z[:, 2] + 1) / 2 * 11.999)).astype(int)
    both = [theory.cq_covariance(u, v, m) + u * v for (u, v), m in zip(y, n, strict=True)]
    return _over(np.array(both), y[:, 0] * y[:, 1])


def _never_worse(z: Array, n: int) -> Array:
    X = z.reshape(len(z), n, -1)
    return _over(small_cases.cq_mse(X), small_cases.iq_mse(X))


def _corollary_2(z: Array, n: int, kappa: float) -> Array:
    return _over(theory.cq_mse_equal(z, n), kappa * z.shape[1] / n**2 * _squares(z))


def _theorem_1(z: Array) -> Array:
    """Equal clients at position y, n from 1 to 12: their variance over 1 / (4 n^2)."""
    y = (z[:, 0] + 1) / 2
    n = 1 + np.floor((z[:, 1] + 1) / 2 * 11.999)
    fraction = n * y % 1.0
    return np.asarray(4 * fraction * (1 - fraction))


def _suresh(z: Array, slope: float, floor: float) -> Array:
    """Error of one coordinate against slope * sigma_md / n + floor / n^2, range of length 1."""
    y = (z + 1) / 2
    n = z.shape[1]
    deviation = np.abs(y - y.mean(axis=1, keepdims=True)).mean(axis=1)
    variance = small_cases.cq_variance(y[:, :, None])[:, 0] / n**2
    return _over(variance, slope * deviation / n + floor / n**2)


def _corollary_3(z: Array, n: int, b: int, kappa: float) -> Array:
    bound = kappa * b * z.shape[1] / n**2 * _squares(z)
    return _over(theory.permk_cq_mse_equal(z, n, b), bound)


def _permk_cq(z: Array, n: int, b: int) -> Array:
    X = z.reshape(len(z), n, -1)
    A, B = theory.permk_cq_constants(n, X.shape[2], b)
    bound = A * _squares(X).mean(axis=1) - B * _squares(X.mean(axis=1))
    return _over(small_cases.permk_cq_mse(X, b), bound)


# --- smoothness ----------------------------------------------------------------------------------


def _matrices(z: Array, n: int) -> Array:
    """Symmetric 2 x 2 matrices, shape (k, n, 2, 2)."""
    a, b, c = np.moveaxis(z.reshape(len(z), n, 3), -1, 0)
    return np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -1)


def _top(square: Array) -> Array:
    """Largest eigenvalue of symmetric 2 x 2 matrices."""
    return np.asarray(np.linalg.eigvalsh(square)[..., -1])


def _constants(A: Array, factors: Array | None = None) -> tuple[Array, Array, Array]:
    """Squares of L_-, L_+ and L_pm of quadratics; the last two weighted by 1 / (n w_i)."""
    factors = np.ones(A.shape[:2]) if factors is None else factors
    mean = A.mean(axis=1)
    square = np.einsum("kn,knij,knjl->kil", factors / A.shape[1], A, A)
    variance = np.maximum(_top(square - mean @ mean), 0.0)
    return _top(mean @ mean), _top(square), variance


def _variance_at_most_mean_square(z: Array) -> Array:
    _, plus, pm = _constants(_matrices(z, 3))
    return _over(pm, plus)


def _difference_at_most_variance(z: Array) -> Array:
    minus, plus, pm = _constants(_matrices(z, 3))
    return _over(np.maximum(plus - minus, 0.0), pm)


def _importance_weights(z: Array, variance: bool) -> Array:
    A = _matrices(z, 3)
    L_i = np.abs(np.linalg.eigvalsh(A)).max(axis=-1)
    mean = L_i.mean(axis=1)
    factors = np.divide(mean[:, None], L_i, out=np.zeros_like(L_i), where=L_i > 0)
    return _over(_constants(A, factors)[2 if variance else 1], mean**2)


# --- MARINA --------------------------------------------------------------------------------------


def _descent(z: Array) -> Array:
    """Lemma 1 for a function that is no quadratic: sum of h_k log cosh((U x)_k)."""
    angle, h = np.pi * z[:, 0], z[:, 1:3]
    rotation = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], -1)
    rotation = rotation.reshape(-1, 2, 2)
    x, g = 3 * z[:, 3:5], 3 * z[:, 5:7]
    gamma = _log_uniform(z[:, 7], 0.1, 10)
    step = -gamma[:, None] * g

    def value(x: Array) -> Array:
        u = np.einsum("kij,kj->ki", rotation, x)
        return np.asarray(np.sum(h * np.logaddexp(u, -u), axis=1))

    u = np.einsum("kij,kj->ki", rotation, x)
    gradient = np.einsum("kij,ki->kj", rotation, h * np.tanh(u))
    L = np.abs(h).max(axis=1)  # log cosh has curvature in (0, 1]
    left = value(x + step) - value(x) + gamma / 2 * _squares(gradient)
    left = left + _squares(step) / (2 * gamma) - gamma / 2 * _squares(g - gradient)
    return _over(left, L / 2 * _squares(step))


def _stepsize_lemma(z: Array) -> Array:
    a, b = _log_uniform(z, 1e-6, 1e6).T
    gamma = 1 / (np.sqrt(a) + b)
    return np.asarray(a * gamma**2 + b * gamma)


def _stepsize_lemma_factor_2(z: Array) -> Array:
    a, b = _log_uniform(z, 1e-6, 1e6).T
    return np.asarray(np.minimum(1 / np.sqrt(a), 1 / b) * (np.sqrt(a) + b) / 2)


def _cost(z: Array, lower: bool) -> Array:
    c, a = _log_uniform(z[:, 0], 1e-6, 1.0), _log_uniform(z[:, 1], 1e-4, 1e4)
    least = best_factors(a**2, c)  # D = 1, zeta = c
    mixed = 2 * a * np.sqrt(c)
    if lower:
        return np.asarray(np.minimum(1, c + mixed) / least)
    return np.asarray(least / np.minimum(1, 2 * c + mixed))


def _guarantee(z: Array, kind: str) -> Array:
    left, right = small_cases.marina_guarantee(*_task(z), kind)
    return _over(left, right)


def _recursion(z: Array, kind: str) -> Array:
    left, right = small_cases.marina_error_recursion(*_task(z), kind)
    return _over(left, right)


def _task(z: Array) -> tuple[Array, Array, Array]:
    """Two clients in two dimensions: Hessians of a convex mean, the start, p."""
    root = np.zeros((len(z), 2, 2))
    root[:, 0, 0], root[:, 1, 0], root[:, 1, 1] = z[:, 0], z[:, 1], z[:, 2]
    mean = root @ root.transpose(0, 2, 1)
    apart = 3 * _matrices(z[:, 3:6], 1)[:, 0]
    return np.stack([mean + apart, mean - apart], 1), z[:, 6:8], _log_uniform(z[:, 8], 0.01, 1.0)


# --- logistic regression -------------------------------------------------------------------------


@cache
def _logistic() -> small_cases.SmallLogistic:
    return small_cases.SmallLogistic.of_breast_cancer(n_clients=4, n_features=3, reg=0.1)


def _logistic_quotient(z: Array, variance: bool) -> Array:
    """Difference quotient of two points against L_+^2 or L_pm^2."""
    plus, pm = _logistic().quotients(20 * z[:, :3], _log_uniform(z[:, 6:], 1e-3, 40) * z[:, 3:6])
    bounds = _logistic().bounds
    return np.asarray(pm / bounds.L_pm**2 if variance else plus / bounds.L_plus**2)


_MANY = [
    Inequality("standard dithering, d = 16, one level", "definition-2", 16,
               partial(_standard_dithering, p=2, s=1)),
    Inequality("standard dithering, d = 10, four levels", "definition-2", 10,
               partial(_standard_dithering, p=2, s=4)),
    Inequality("TernGrad, d = 16", "definition-2", 16, partial(_standard_dithering, p=np.inf, s=1)),
    Inequality("natural dithering, d = 16, three levels", "definition-3", 16,
               partial(_natural_dithering, s=3)),
    Inequality("natural compression, d = 4", "definition-1", 4, _natural_compression),
    Inequality("DRIVE with Hadamard rotation against pi/2 - 1, d = 4", "finding-8", 4,
               _drive_hadamard, valid=False),
    Inequality("DRIVE with Hadamard rotation against pi/2 - 1, d = 8", "finding-8", 8,
               _drive_hadamard, valid=False),
    Inequality("Proposition 1, any dependence", "proposition-1", 9, _any_dependence),
    Inequality("CQ: both round up, at most independently", "definition-7", 3, _covariance),
    Inequality("CQ never worse than IQ, n = 4, d = 3", "definition-7", 12,
               partial(_never_worse, n=4)),
    Inequality("Theorem 1", "theorem-1", 2, _theorem_1),
    Inequality("Corollary 2, valid constant, n = 2, d = 4", "corollary-2", 4,
               partial(_corollary_2, n=2, kappa=1.0)),
    Inequality("Corollary 2, valid constant, n = 5, d = 16", "corollary-2", 16,
               partial(_corollary_2, n=5, kappa=1.0)),
    Inequality("Corollary 2, constant as read, n = 2, d = 4", "corollary-2", 4,
               partial(_corollary_2, n=2, kappa=0.25), valid=False),
    Inequality("Corollary 3, valid constant, n = 8, d = 8, b = 2", "corollary-3", 8,
               partial(_corollary_3, n=8, b=2, kappa=1.0)),
    Inequality("Corollary 3, constant as read, n = 8, d = 8, b = 2", "corollary-3", 8,
               partial(_corollary_3, n=8, b=2, kappa=0.25), valid=False),
    Inequality("PermK+CQ for all inputs, n = d = 4, b = 2", "algorithm-3", 16,
               partial(_permk_cq, n=4, b=2)),
    Inequality("bound of Suresh et al., n = 12", "algorithm-2", 12,
               partial(_suresh, slope=3.0, floor=12.0)),
    Inequality("sharper bound (not proved), n = 12", "finding-10", 12,
               partial(_suresh, slope=1.0, floor=0.25)),
    Inequality("sharper bound (not proved), n = 5", "finding-10", 5,
               partial(_suresh, slope=1.0, floor=0.25)),
    Inequality("Hessian variance at most L_+^2", "definition-4", 9, _variance_at_most_mean_square),
    Inequality("L_+^2 - L_-^2 at most Hessian variance", "definition-4", 9,
               _difference_at_most_variance),
    Inequality("logistic regression: L_+", "assumption-2", 7,
               partial(_logistic_quotient, variance=False)),
    Inequality("logistic regression: L_pm", "definition-4", 7,
               partial(_logistic_quotient, variance=True)),
    Inequality("Lemma 1", "lemma-1", 8, _descent),
    Inequality("Lemma 2", "lemma-2", 2, _stepsize_lemma),
    Inequality("Lemma 2, factor 2", "lemma-2", 2, _stepsize_lemma_factor_2),
    Inequality("Lemma 3, PermK, second round", "lemma-3", 9, partial(_recursion, kind="perm_k")),
    Inequality("Lemma 3, importance sampling, second round", "lemma-3", 9,
               partial(_recursion, kind="sampling")),
    Inequality("Theorem 2, PermK, four rounds", "theorem-2", 9,
               partial(_guarantee, kind="perm_k")),
    Inequality("Theorem 2, importance sampling, four rounds", "theorem-2", 9,
               partial(_guarantee, kind="sampling")),
    Inequality("Theorem 3, L_plus_w at most the mean of L_i", "theorem-3", 9,
               partial(_importance_weights, variance=False)),
    Inequality("Theorem 3, L_pm_w at most the mean of L_i", "theorem-3", 9,
               partial(_importance_weights, variance=True)),
    Inequality("cost of MARINA, lower bound", "proposition-4", 2, partial(_cost, lower=True)),
    Inequality("cost of MARINA, upper bound", "proposition-4", 2, partial(_cost, lower=False)),
]  # fmt: skip

INEQUALITIES = {inequality.name: inequality for inequality in _MANY}
