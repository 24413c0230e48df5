"""DRIVE: the algebra of its constant, its Hadamard rotation in fractions, and sampled errors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.special import erfcx

from cqbook.evidence import batch_errors
from cqbook.evidence.laws import mean_and_error
from cqbook.evidence.vectors import Vector, as_floats, same, squared_norm
from cqlib import Key
from cqlib.compressors import make

Array = NDArray[np.float64]
LIMIT = float(np.pi / 2 - 1)  # limit of the constant of a uniform rotation for d to infinity


def lemma_algebra() -> bool:
    r"""Return True if the polynomials in the proof of the lemma on erfcx factor as stated.

    Let $A=\frac2\pi$, $\kappa=2A^2-A$ and $v=\beta^2$. The sign of the derivative is that of a
    cubic in v, which $v-A$ divides. The quotient opens upwards and is positive at A, since $5A>3$.
    """
    A, v = sp.symbols("A v", positive=True)
    kappa = 2 * A**2 - A
    t = v ** sp.Rational(1, 2) * (1 - 2 * A**2 / (v + kappa))
    beta = sp.sqrt(v)
    slope = sp.simplify(sp.diff(t, v) * 2 * beta)  # dt / dbeta
    sign = sp.simplify((beta * (beta - t) * slope - 1) * (v + kappa) ** 3)
    cubic = 2 * A**2 * v * ((v + kappa) ** 2 + 2 * A**2 * (v - kappa)) - (v + kappa) ** 3
    quotient, remainder = sp.div(sp.Poly(sp.expand(cubic), v), sp.Poly(v - A, v))
    at_A = quotient.as_expr().subs(v, A)
    return bool(
        sp.simplify(sign - cubic) == 0
        and remainder.is_zero
        and quotient.degree() == 2
        and sp.expand(quotient.LC() - (2 * A**2 - 1)) == 0
        and sp.expand(at_A - 4 * A**4 * (5 * A - 3)) == 0
        and bool(8 / sp.pi**2 < 1)
        and bool(10 / sp.pi > 3)
    )


def lemma_share(t: Array) -> Array:
    r"""Return the left side over the right side of the lemma, which is at most 1.

    $t^2$ over $\frac\pi4(\psi^{-2}-1+2\log\psi)$ with $\psi=\mathrm{erfcx}(t/\sqrt2)$, for t > 0.

    >>> lemma_share(np.array([1.0])).round(3).tolist()
    [0.938]
    """
    psi = erfcx(t / np.sqrt(2))
    return np.asarray(t**2 / (np.pi / 4 * (psi**-2 - 1 + 2 * np.log(psi))))


def hadamard_outcomes(x: Sequence[Fraction]) -> list[Vector]:
    r"""Return the decoded vectors of DRIVE with a Hadamard rotation, for each choice of signs.

    $\mathcal C(x)=\frac{\|z\|^2}{D\|z\|_1}\mathrm{diag}(s)H\,\mathrm{sign}(z)$ with
    $z=H\,\mathrm{diag}(s)x$; all $2^D$ choices are equally likely.

    Args:
        x: a nonzero vector; its dimension D is a power of two.

    >>> hadamard_outcomes([Fraction(1), Fraction(1, 2)])[0]
    [Fraction(5, 4), Fraction(0, 1)]
    """
    D = len(x)
    H = hadamard(D).tolist()
    decoded = []
    for s in product((1, -1), repeat=D):
        z = [sum(h * e * v for h, e, v in zip(row, s, x, strict=True)) for row in H]
        scale = squared_norm(z) / (D * sum(abs(v) for v in z))
        bits = [1 if v >= 0 else -1 for v in z]  # the sign of 0 is +, as in the library
        back = [sum(h * b for h, b in zip(row, bits, strict=True)) for row in H]  # H = H^T
        decoded.append([scale * e * v for e, v in zip(s, back, strict=True)])
    return decoded


def bias_and_error(x: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    r"""Return squared bias and error of DRIVE with a Hadamard rotation, over $\|x\|^2$.

    >>> bias_and_error([Fraction(1)] * 4)
    (Fraction(0, 1), Fraction(3, 2))
    """
    law = [(Fraction(1, 2 ** len(x)), z) for z in hadamard_outcomes(x)]
    mean, error = mean_and_error(law, x)
    bias = squared_norm([m - v for m, v in zip(mean, x, strict=True)])
    return bias / squared_norm(x), error / squared_norm(x)


class TwoCoordinates(NamedTuple):
    """Checks of a vector with two nonzero coordinates, 1 and t."""

    always_decoded_alike: bool  # to (1 + t^2) e_i, for every choice of signs
    floats_agree: bool  # the library, with the enumeration
    choices: int  # of signs


def two_coordinates(D: int, i: int, k: int, t: Fraction) -> TwoCoordinates:
    r"""Check that DRIVE with a Hadamard rotation decodes $e_i+te_k$ to $(1+t^2)e_i$, always.

    Args:
        D: dimension, a power of two.
        i: index of the entry 1.
        k: index of the entry t, not i.
        t: |t| < 1.

    >>> two_coordinates(2, 0, 1, Fraction(1, 2))
    TwoCoordinates(always_decoded_alike=True, floats_agree=True, choices=4)
    """
    x, expected = [Fraction(0)] * D, [Fraction(0)] * D
    x[i], x[k], expected[i] = Fraction(1), t, 1 + t**2
    mean, error = batch_errors.drive_hadamard(as_floats([x]))
    agree = np.allclose(mean[0], as_floats([expected])[0], rtol=0, atol=1e-12)
    return TwoCoordinates(
        all(z == expected for z in hadamard_outcomes(x)),
        bool(agree) and same(t**2 * squared_norm(x), float(error[0])),
        2**D,
    )


def sampled_uniform_errors(x: Array, *, clients: int, rounds: int, seed: int) -> Array:
    r"""Return $\|\mathcal C(x)-x\|^2/\|x\|^2$ of DRIVE with uniform rotations.

    Args:
        x: vector, shape (d,).
        clients: number of clients, each with its own rotation.
        rounds: number of rounds.
        seed: seed of the keys.

    Returns:
        Shape (clients rounds,).
    """
    X, compressor = torch.from_numpy(np.tile(x, (clients, 1))), make("drive", rotation="uniform")
    decoded = [compressor.compress(X, key=Key(seed, r)).numpy() for r in range(rounds)]
    return np.concatenate([((each - x) ** 2).sum(axis=1) / (x @ x) for each in decoded])


def spike(d: int, t: float) -> tuple[Array, Array]:
    """Return (1, t, 0, ..., 0) and its decoded vector with Hadamard rotation, (1 + t^2, 0, ..., 0).

    >>> spike(2, 0.5)[1].tolist()
    [1.25, 0.0]
    """
    x, decoded = np.zeros(d), np.zeros(d)
    x[:2], decoded[0] = (1.0, t), 1 + t**2
    return x, decoded


class EqualClients(NamedTuple):
    """The error of the mean in each round, for clients that all hold :func:`spike`."""

    errors: Array  # over |x|^2, shape (rounds,)
    always_decoded_alike: bool  # to (1 + t^2, 0, ..., 0)


def equal_clients(
    rotation: str, t: float, *, d: int, clients: int, rounds: int, seed: int
) -> EqualClients:
    r"""Return errors of the mean of DRIVE if all clients hold $(1,t,0,\dots,0)$.

    Args:
        rotation: "hadamard" or "uniform".
        t: |t| < 1.
        d: number of coordinates, a power of two.
        clients: number of clients.
        rounds: number of rounds.
        seed: seed of the keys.

    >>> equal_clients("hadamard", 0.9, d=4, clients=2, rounds=1, seed=0).always_decoded_alike
    True
    """
    x, expected = spike(d, t)
    X: Any = torch.from_numpy(np.tile(x, (clients, 1)))
    compressor = make("drive", rotation=rotation)
    means = [compressor.mean(X, key=Key(seed, r)).numpy() for r in range(rounds)]
    return EqualClients(
        np.array([((mean - x) ** 2).sum() / (x @ x) for mean in means]),
        all(np.allclose(mean, expected, rtol=0, atol=1e-6) for mean in means),
    )
