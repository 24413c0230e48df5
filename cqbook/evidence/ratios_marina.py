"""Ratios for MARINA: smoothness, the guarantee and its lemmas, and the cost.

Each function maps points of the cube $[-1,1]^{size}$, shape (k, size), to left side over right
side, shape (k,).
"""

from __future__ import annotations

import numpy as np

from cqbook.evidence import small_cases
from cqbook.evidence.ratios import Array, log_uniform, over, squares
from cqlib.theory.rates import best_factors

# --- smoothness ----------------------------------------------------------------------------------


def _matrices(z: Array, n: int) -> Array:
    """Return symmetric 2 x 2 matrices, shape (k, n, 2, 2)."""
    a, b, c = np.moveaxis(z.reshape(len(z), n, 3), -1, 0)
    return np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -1)


def variance_at_most_mean_square(z: Array) -> Array:
    """Return L_pm^2 over L_+^2."""
    _, plus, pm = small_cases.squared_constants(_matrices(z, 3))
    return over(pm, plus)


def difference_at_most_variance(z: Array) -> Array:
    """Return L_+^2 - L_-^2 over L_pm^2."""
    minus, plus, pm = small_cases.squared_constants(_matrices(z, 3))
    return over(np.maximum(plus - minus, 0.0), pm)


def importance_weights(z: Array, variance: bool) -> Array:
    """Return the squares of L_{+,w} or L_{pm,w} over the mean of the L_i, weights of Theorem 3."""
    A = _matrices(z, 3)
    L_i = np.abs(np.linalg.eigvalsh(A)).max(axis=-1)
    mean = L_i.mean(axis=1)
    factors = np.divide(mean[:, None], L_i, out=np.zeros_like(L_i), where=L_i > 0)
    return over(small_cases.squared_constants(A, factors)[2 if variance else 1], mean**2)


# --- MARINA --------------------------------------------------------------------------------------


def descent(z: Array) -> Array:
    """Return the ratio of Lemma 1 for a function that is not quadratic: a sum of log cosh."""
    angle, h = np.pi * z[:, 0], z[:, 1:3]
    rotation = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], -1)
    rotation = rotation.reshape(-1, 2, 2)
    x, g = 3 * z[:, 3:5], 3 * z[:, 5:7]
    gamma = log_uniform(z[:, 7], 0.1, 10)
    step = -gamma[:, None] * g

    def value(x: Array) -> Array:
        u = np.einsum("kij,kj->ki", rotation, x)
        return np.asarray(np.sum(h * np.logaddexp(u, -u), axis=1))

    u = np.einsum("kij,kj->ki", rotation, x)
    gradient = np.einsum("kij,ki->kj", rotation, h * np.tanh(u))
    L = np.abs(h).max(axis=1)  # log cosh has curvature in (0, 1]
    left = value(x + step) - value(x) + gamma / 2 * squares(gradient)
    left = left + squares(step) / (2 * gamma) - gamma / 2 * squares(g - gradient)
    return over(left, L / 2 * squares(step))


def stepsize_lemma(z: Array) -> Array:
    r"""Return $a\gamma^2+b\gamma$ at the stepsize of Lemma 2, $\gamma=1/(\sqrt a+b)$."""
    a, b = log_uniform(z, 1e-6, 1e6).T
    gamma = 1 / (np.sqrt(a) + b)
    return np.asarray(a * gamma**2 + b * gamma)


def largest_stepsize_within_factor_2(z: Array) -> Array:
    """Return an upper bound of all valid stepsizes over twice that of Lemma 2."""
    a, b = log_uniform(z, 1e-6, 1e6).T
    return np.asarray(np.minimum(1 / np.sqrt(a), 1 / b) * (np.sqrt(a) + b) / 2)


def marina_cost(z: Array, lower: bool) -> Array:
    """Return the cost of MARINA at its best p over its upper bound, or the lower bound over it."""
    c, a = log_uniform(z[:, 0], 1e-6, 1.0), log_uniform(z[:, 1], 1e-4, 1e4)
    least = best_factors(a**2, c)  # D = 1, zeta = c
    mixed = 2 * a * np.sqrt(c)
    if lower:
        return np.asarray(np.minimum(1, c + mixed) / least)
    return np.asarray(least / np.minimum(1, 2 * c + mixed))


def guarantee(z: Array, kind: str) -> Array:
    """Return the ratio of Theorem 2 after four rounds, over all outcomes."""
    left, right = small_cases.marina_guarantee(*_task(z), kind)
    return over(left, right)


def recursion(z: Array, kind: str) -> Array:
    """Return the ratio of Lemma 3 in the second round, over all outcomes."""
    left, right = small_cases.marina_error_recursion(*_task(z), kind)
    return over(left, right)


def _task(z: Array, most: float = 1.0) -> tuple[Array, Array, Array]:
    """Return tasks of two clients in two dimensions with a convex mean: Hessians, start, p."""
    root = np.zeros((len(z), 2, 2))
    root[:, 0, 0], root[:, 1, 0], root[:, 1, 1] = z[:, 0], z[:, 1], z[:, 2]
    mean = root @ root.transpose(0, 2, 1)
    apart = 3 * _matrices(z[:, 3:6], 1)[:, 0]
    return np.stack([mean + apart, mean - apart], 1), z[:, 6:8], log_uniform(z[:, 8], 0.01, most)


# --- MARINA with ISCC ----------------------------------------------------------------------------


def iscc_theorem_3(z: Array) -> Array:
    """Return the ratio of Theorem 3: ISCC of IQ with its stepsize, p <= 1/2, four rounds."""
    hessians, x0, p = _task(z, most=0.5)
    L_i = np.abs(np.linalg.eigvalsh(hessians)).max(axis=-1)
    L_minus = np.sqrt(small_cases.squared_constants(hessians)[0]) + 1e-12
    gamma = 1 / (L_minus + L_i.mean(axis=1) * np.sqrt((1 - p) / p * 2))  # omega + 1 = d = 2
    return over(*small_cases.iscc_guarantee(hessians, x0, p, gamma))


def iscc_up_to_largest(z: Array) -> Array:
    """Return the ratio of Theorem 2 for ISCC of IQ, with 1/3 to 1 of the largest stepsize."""
    return iscc_times_largest(z, (2 + z[:, 9]) / 3)


def iscc_times_largest(z: Array, factor: float | Array) -> Array:
    """Return the ratio of Theorem 2 for ISCC of IQ, with a multiple of the largest stepsize."""
    hessians, x0, p = _task(z, most=0.5)
    L_i = np.abs(np.linalg.eigvalsh(hessians)).max(axis=-1) + 1e-12
    minus, plus, variance = small_cases.squared_constants(
        hessians, L_i.mean(axis=1, keepdims=True) / L_i
    )
    theta = plus + variance  # omega = 1
    L_minus = np.sqrt(minus) + 1e-12
    largest = 2 / (L_minus + np.sqrt(L_minus**2 + 4 * (1 - p) / p * theta))
    return over(*small_cases.iscc_guarantee(hessians, x0, p, factor * largest))


def _sizes(z: Array) -> tuple[Array, Array, Array, Array]:
    """Return n, zeta / 32, omega, and the mean of the L_i over L_-."""
    n = np.round(log_uniform(z[:, 0], 2, 1e4))
    share, omega = log_uniform(z[:, 1], 0.01, 1), log_uniform(z[:, 2], 1e-3, 1e4)
    return n, share, omega, log_uniform(z[:, 3], 1, 100)


def corollary_4(z: Array, lower: bool) -> Array:
    """As ``marina_cost``, for MARINA with ISCC and the bounds of Corollary 4."""
    n, share, omega, mean = _sizes(z)
    a = np.sqrt(1 + omega) * mean
    least = best_factors(a**2, share / n)
    rate = np.minimum(1, 1 / n + a / np.sqrt(n))
    return np.asarray(np.sqrt(share) * rate / least if lower else least / ((1 + share) * rate))


def gain_over_root(z: Array) -> Array:
    """Return the cost of the original MARINA over root n times that with ISCC, at the best p."""
    n, share, omega, mean = _sizes(z)
    most = mean * np.sqrt(n)  # of L_+ over L_-
    plus = np.minimum(np.maximum(most * (z[:, 4] + 1) / 2, 1), most)
    original = best_factors(omega / n * plus**2, share)
    return np.asarray(original / best_factors((1 + omega) * mean**2, share / n) / np.sqrt(n))
