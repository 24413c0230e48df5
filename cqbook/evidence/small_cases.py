"""Small optimisation problems with all outcomes enumerated, for many inputs.

Each function sums over all outcomes with their probabilities, in float64. The first axis, of length
k, runs over the inputs of a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from cqlib import data
from cqlib.problems.logistic import Logistic
from cqlib.theory import Smoothness
from cqlib.theory.stepsizes import marina_stepsize

Array = NDArray[np.float64]

# --- MARINA with two clients in two dimensions ---------------------------------------------------


def squared_constants(A: Array, factors: Array | None = None) -> tuple[Array, Array, Array]:
    """Return the squares of L_-, L_+ and L_pm of quadratics, for k tasks.

    Args:
        A: Hessians, shape (k, n, d, d).
        factors: 1 / (n w_i), shape (k, n), for weighted L_+ and L_pm.

    Returns:
        Shape (k,) each; ``theory.smoothness_of_hessians`` has the formulas.
    """
    factors = np.ones(A.shape[:2]) if factors is None else factors
    mean = A.mean(axis=1)
    square = np.einsum("kn,knij,knjl->kil", factors / A.shape[1], A, A)
    minus, plus, variance = (
        np.linalg.eigvalsh(each)[..., -1] for each in (mean @ mean, square, square - mean @ mean)
    )
    return minus, plus, np.maximum(variance, 0.0)


@dataclass(frozen=True)
class _Setting:
    """k tasks with compressor and stepsize."""

    hessians: Array  # (k, 2, 2, 2); the mean function has its minimum 0 at the origin
    x0: Array  # (k, 2)
    p: Array  # (k,)
    probabilities: Array  # (k, 2): of the outcomes of a compressed round
    kind: str
    noise: Array  # (k,): (A - B) L_+^2 + B L_pm^2 with weighted constants
    gamma: Array  # (k,)

    def gradient(self, x: Array) -> Array:
        return np.einsum("kij,kj->ki", self.hessians.mean(axis=1), x)

    def outcomes(self, change: Array) -> list[tuple[Array, Array]]:
        """Return probabilities and values of S for the clients' gradient differences A_i change."""
        a = np.einsum("knij,kj->kni", self.hessians, change)
        if self.kind == "perm_k":  # each client sends one coordinate, doubled; the mean halves it
            values = [np.stack([a[:, i, 0], a[:, 1 - i, 1]], -1) for i in range(2)]
        else:
            values = [a[:, i] / (2 * self.probabilities[:, i, None]) for i in range(2)]
        return [(self.probabilities[:, i], values[i]) for i in range(2)]

    def next_directions(self, x: Array, g: Array) -> list[tuple[Array, Array]]:
        """Return probabilities and values of g^{t+1}, with x^{t+1} = x - gamma g."""
        change = -self.gamma[:, None] * g
        full = (self.p, self.gradient(x + change))
        sent = self.outcomes(change)
        return [full, *(((1 - self.p) * q, g + value) for q, value in sent)]


def _setting(hessians: Array, x0: Array, p: Array, kind: str) -> _Setting:
    mean = hessians.mean(axis=1)
    if kind == "perm_k":
        probabilities = np.full((len(hessians), 2), 0.5)
        factors = np.ones((len(hessians), 2))
    elif kind == "sampling":
        L_i = np.abs(np.linalg.eigvalsh(hessians)).max(axis=-1) + 1e-12
        probabilities = L_i / L_i.sum(axis=1, keepdims=True)
        factors = 1 / (2 * probabilities)
    else:
        raise ValueError(f"kind must be 'perm_k' or 'sampling', got {kind!r}")
    _, _, noise = squared_constants(hessians, factors)  # A = B = 1
    L_minus = np.maximum(np.abs(np.linalg.eigvalsh(mean)).max(axis=-1), 1e-12)
    root = np.sqrt(noise)
    steps = [
        marina_stepsize(float(q), 1.0, 1.0, float(L), float(r), float(r))
        for q, L, r in zip(p, L_minus, root, strict=True)
    ]
    return _Setting(hessians, x0, p, probabilities, kind, noise, np.array(steps))


def marina_guarantee(
    hessians: Array, x0: Array, p: Array, kind: str, T: int = 4
) -> tuple[Array, Array]:
    r"""Return both sides of $\mathbb E\|\nabla f(\hat x)\|^2\le\frac{2\Delta^0}{\gamma T}$.

    Two clients have $f_i(x)=\frac12x^\top A_ix$ in two dimensions, with a convex mean. All coins
    and all outcomes of the compressor in T rounds are enumerated, at the theoretical stepsize.

    Args:
        hessians: $A_i$, shape (k, 2, 2, 2).
        x0: start, shape (k, 2).
        p: probability of a full round, shape (k,).
        kind: "perm_k", or "sampling" (one client, with probability in proportion to its $L_i$).
        T: number of iterates; the output is one of them at random.

    Returns:
        Left and right side, shape (k,) each.

    Source: Theorem 2; with "perm_k" the guarantee of Algorithm 1.
    """
    case = _setting(hessians, x0, p, kind)
    ways = [(np.ones(len(x0)), x0, case.gradient(x0))]
    left = np.zeros(len(x0))
    for t in range(T):
        left += sum(prob * np.sum(case.gradient(x) ** 2, axis=-1) for prob, x, _ in ways) / T
        if t < T - 1:
            ways = [
                (prob * q, x - case.gamma[:, None] * g, new)
                for prob, x, g in ways
                for q, new in case.next_directions(x, g)
            ]
    gap = np.einsum("ki,ki->k", x0, case.gradient(x0)) / 2
    return left, 2 * gap / (case.gamma * T)


def marina_error_recursion(hessians: Array, x0: Array, p: Array, kind: str) -> tuple[Array, Array]:
    """Return both sides of Lemma 3 in the second round; see :func:`marina_guarantee`."""
    case = _setting(hessians, x0, p, kind)
    g0 = case.gradient(x0)
    x1 = x0 - case.gamma[:, None] * g0
    left, right = np.zeros(len(x0)), np.zeros(len(x0))
    for q1, g1 in case.next_directions(x0, g0):
        x2 = x1 - case.gamma[:, None] * g1
        before = np.sum((g1 - case.gradient(x1)) ** 2, axis=-1)
        step = np.sum((x2 - x1) ** 2, axis=-1)
        right += q1 * (1 - p) * (case.noise * step + before)
        for q2, g2 in case.next_directions(x1, g1):
            left += q1 * q2 * np.sum((g2 - case.gradient(x2)) ** 2, axis=-1)
    return left, right


def iscc_guarantee(
    hessians: Array, x0: Array, p: Array, gamma: Array, T: int = 4
) -> tuple[Array, Array]:
    r"""Return both sides of the guarantee for MARINA with importance sampling of IQ.

    As :func:`marina_guarantee`, but with any stepsize. In a compressed round one of the two
    clients, drawn with probability in proportion to its $L_i$, rounds its two coordinates to one
    bit. So there are eight outcomes.

    Args:
        hessians: $A_i$, shape (k, 2, 2, 2).
        x0: start, shape (k, 2).
        p: probability of a full round, shape (k,).
        gamma: stepsize, shape (k,).
        T: number of iterates; the output is one of them at random.

    Returns:
        Left and right side, shape (k,) each.

    Source: Theorems 2 and 3.
    """
    k, mean = len(x0), hessians.mean(axis=1)
    L_i = np.abs(np.linalg.eigvalsh(hessians)).max(axis=-1) + 1e-12
    q = (L_i / L_i.sum(axis=1, keepdims=True))[:, None]  # (k, 1, 2)
    x, g = x0[:, None], np.einsum("kij,kj->ki", mean, x0)[:, None]  # (k, branches, 2)
    gap = np.sum(x0 * g[:, 0], axis=1) / 2
    chance, left = np.ones((k, 1)), np.zeros(k)
    for t in range(T):
        gradient = np.einsum("kij,kwj->kwi", mean, x)
        left += np.sum(chance * np.sum(gradient**2, axis=-1), axis=1) / T
        if t == T - 1:
            break
        change = -gamma[:, None, None] * g
        x = x + change
        if t == T - 2:  # the last direction is not used
            continue
        a = np.einsum("knij,kwj->kwni", hessians, change)
        length = np.sqrt(np.sum(a**2, axis=-1, keepdims=True))
        y = np.divide(a, length, out=np.zeros_like(a), where=length > 0)
        odds = q[..., None] * np.prod((1 + _SIGNS * y[..., None, :]) / 2, axis=-1)
        sent = (length / (2 * q[..., None]))[..., None] * _SIGNS  # (k, branches, 2, 4, 2)
        full = np.einsum("kij,kwj->kwi", mean, x)[:, :, None]
        g = np.concatenate([full, g[:, :, None] + sent.reshape(k, -1, 8, 2)], axis=2)
        coin = np.broadcast_to(p[:, None, None], (k, g.shape[1], 1))
        odds = np.concatenate([coin, (1 - coin) * odds.reshape(k, -1, 8)], axis=2)
        x, g = np.repeat(x, 9, axis=1), g.reshape(k, -1, 2)
        chance = (chance[..., None] * odds).reshape(k, -1)
    return left, 2 * gap / (gamma * T)


_SIGNS = np.array(list(product((1.0, -1.0), repeat=2)))

# --- logistic regression -------------------------------------------------------------------------


@dataclass(frozen=True)
class SmallLogistic:
    """A small logistic regression, to search for points with a large difference quotient."""

    problem: Logistic

    @classmethod
    def of_breast_cancer(cls, n_clients: int, n_features: int, reg: float) -> SmallLogistic:
        """Return the regression on the first features of the breast cancer set of scikit-learn."""
        samples = data.load("breast_cancer")
        m = len(samples.y) // n_clients
        rows = (samples.X * samples.y[:, None])[: n_clients * m, :n_features]
        signed = torch.from_numpy(np.ascontiguousarray(rows)).reshape(n_clients, m, n_features)
        return cls(Logistic(signed, reg))

    @property
    def bounds(self) -> Smoothness:
        """Return upper bounds of the constants."""
        return self.problem.smoothness()

    def quotients(self, x: Array, v: Array) -> tuple[Array, Array]:
        """Return the left sides of Assumption 2 and Definition 4 over |v|^2, for x and x + v."""
        one, two = (self.problem.gradients(torch.from_numpy(z)).numpy() for z in (x, x + v))
        change = two - one
        length = np.maximum(np.sum(v**2, axis=-1), 1e-4)  # for closer points rounding errors decide
        square = np.sum(change**2, axis=-1).mean(axis=1)
        spread = np.sum((change - change.mean(axis=1, keepdims=True)) ** 2, axis=-1).mean(axis=1)
        return square / length, spread / length
