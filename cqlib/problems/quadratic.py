"""Quadratic problems whose clients differ by a chosen amount (Algorithms 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dst
from torch import Tensor

from cqlib.problems.base import LARGEST
from cqlib.theory.smoothness import Smoothness, client_factors


@dataclass(frozen=True, eq=False)
class Quadratic:
    r"""Quadratics whose Hessians have common eigenvectors, over n clients.

    $f_i(x)=\frac12x^\top A_ix-b_i^\top x$, $A_i=\kappa_iT+\sigma I$, $b_i=\beta_ie_1+\ell_i$.

    T is the d x d matrix with 2 on the diagonal and -1 next to it. All $A_i$ have its eigenvectors,
    so that every constant below is exact and no matrix is formed.

    Args:
        scale: $\kappa_i$, shape (n,), float64.
        shift: $\sigma$.
        pull: $\beta_i$, shape (n,), float64.
        d: dimension, at least 1.
        linear: $\ell_i$, shape (n, d), float64; None for zero. They change no smoothness constant.
    """

    scale: Tensor
    shift: float
    pull: Tensor
    d: int
    linear: Tensor | None = None

    @property
    def n(self) -> int:
        """Number of clients."""
        return len(self.scale)

    @property
    def x0(self) -> Tensor:
        r"""Start $(\sqrt d,0,\dots,0)$."""
        return self.d**0.5 * torch.eye(1, self.d, dtype=torch.float64, device=self.scale.device)[0]

    def value(self, x: Tensor) -> Tensor:
        """f(x): shape () or (b,)."""
        return self.value_and_gradients(x)[0]

    def gradients(self, x: Tensor) -> Tensor:
        """Gradients of all f_i: shape (n, d) or (b, n, d)."""
        return self.value_and_gradients(x)[1]

    def value_and_gradients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and the clients' gradients."""
        common, bent = self.shift * x, _stencil(x)
        scale, pull = self._means
        value = (x * (common + scale * bent)).sum(dim=-1) / 2 - pull * x[..., 0]
        gradients = torch.addcmul(common[..., None, :], self.scale[:, None], bent[..., None, :])
        gradients[..., 0] -= self.pull
        if self.linear is not None:
            value = value - (x * self._mean_linear).sum(dim=-1)
            gradients -= self.linear
        return value, gradients

    @cached_property
    def _means(self) -> tuple[Tensor, Tensor]:
        return self.scale.mean(), self.pull.mean()

    @cached_property
    def _mean_linear(self) -> Tensor:
        return self.pull.new_zeros(self.d) if self.linear is None else self.linear.mean(dim=0)

    def gradient(self, i: int, x: Tensor) -> Tensor:
        """Gradient of f_i alone: x of shape (d,) to (d,)."""
        gradient = self.scale[i] * _stencil(x) + self.shift * x
        gradient[0] -= self.pull[i]
        return gradient if self.linear is None else gradient - self.linear[i]

    def hessians(self) -> Tensor:
        """The matrices $A_i$, shape (n, d, d)."""
        eye = torch.eye(self.d, dtype=torch.float64, device=self.scale.device)
        return self.scale[:, None, None] * _stencil(eye) + self.shift * eye

    def minimum(self) -> float:
        r"""Return $f^{\inf}$: the value where $\bar Ax=\bar b$; minus infinity if unbounded below.

        Source: Assumption 1; $\Delta^0=f(x^0)-f^{\inf}$.
        """
        spectrum = float(self.scale.mean()) * _spectrum(self.d) + self.shift
        pull = self._mean_linear.cpu().numpy().copy()
        pull[0] += float(self.pull.mean())
        parts = dst(pull, type=1, norm="ortho")  # sines are the eigenvectors of T
        zero = 1e-12 * np.abs(spectrum).max()  # rounding of an eigenvalue
        flat = np.abs(spectrum) <= zero
        if spectrum.min() < -zero or (np.abs(parts[flat]) > 1e-12 * np.abs(pull).max()).any():
            return -float("inf")
        return float(-(parts[~flat] ** 2 / spectrum[~flat]).sum() / 2)

    def smoothness(self, weights: Sequence[float] | None = None) -> Smoothness:
        r"""Exact smoothness constants, from the eigenvalues $a_{ik}$ of $A_i$.

        $L_-=\max_k|\bar a_k|$, $L_+^2=\max_k\frac1n\sum_i\frac1{nw_i}a_{ik}^2$,
        $L_\pm^2=\max_k(\frac1n\sum_i\frac1{nw_i}a_{ik}^2-\bar a_k^2)$,
        $L_i=\max_k|a_{ik}|$, with $a_{ik}=\kappa_i\tau_k+\sigma$,
        $\tau_k=4\sin^2\frac{k\pi}{2(d+1)}$.

        Args:
            weights: $w_i$, shape (n,), for $L_{+,w}$ and $L_{\pm,w}$ (Assumptions 7 and 8).

        Raises:
            ValueError: unless weights are n positive numbers of sum 1.
        """
        scale = self.scale.cpu().numpy()
        a = np.multiply.outer(scale, _spectrum(self.d)) + self.shift
        factors = client_factors(self.n, weights)[:, None]
        mean = a.mean(axis=0)
        # A variance with weights w_i, since a difference of squares would lose digits.
        spread = ((factors * a - mean) ** 2 / factors).mean(axis=0)
        return Smoothness(
            L_minus=float(np.abs(mean).max()),
            L_plus=float(np.sqrt((factors * a**2).mean(axis=0).max())),
            L_pm=float(np.sqrt(max(spread.max(), 0.0))),
            L_i=tuple(np.abs(a).max(axis=1).tolist()),
        )


def quadratic_hessian_variance(
    n: int, d: int, noise: float, reg: float, seed: int, linear: float = 0.0
) -> Quadratic:
    r"""Problem with a controlled Hessian variance (Algorithm 5).

    $\nu_i^s=1+s\xi_i^s$, $\nu_i^b=s\xi_i^b$ with independent standard normal $\xi$;
    $b_i=\frac{\nu_i^s}4(-1+\nu_i^b)e_1$, $A_i=\frac{\nu_i^s}4T+(\lambda-\lambda_{\min}(\bar A))I$,
    $\bar A$ being the mean before the shift. Then $\lambda_{\min}(\bar A)=\lambda$ and
    $L_\pm=\mathrm{std}(\nu^s)\,\lambda_{\max}(T)/4$, about s. Single clients may be non-convex.
    With ``linear`` > 0, independent Gaussian vectors of this scale are added to the $b_i$: the
    gradients differ, their differences do not, so that $L_\pm=0$ at $s=0$ (Proposition 2).

    Args:
        n: number of clients.
        d: dimension.
        noise: $s\ge0$.
        reg: $\lambda\ge0$.
        seed: seed of the draws; $\xi^s$ is drawn first.
        linear: standard deviation of the entries that are added to the $b_i$, at least 0.

    Raises:
        ValueError: if a number is outside its range.

    Source: Algorithm 5, with the formulas of Szlendak et al. 2022 and Tyurin et al. 2022.

    >>> task = quadratic_hessian_variance(n=4, d=10, noise=0.0, reg=1e-3, seed=0)
    >>> task.smoothness().L_pm, float(task.hessians()[0, 0, 1])
    (0.0, -0.25)
    >>> unequal = quadratic_hessian_variance(n=4, d=10, noise=0.0, reg=1e-3, seed=0, linear=1.0)
    >>> unequal.smoothness().L_pm, float(unequal.gradients(unequal.x0).var(dim=0).mean().round())
    (0.0, 1.0)
    """
    _check(n, d, noise, reg)
    if not 0 <= linear <= LARGEST:
        raise ValueError(f"linear must be at least 0 and at most {LARGEST}, got {linear}")
    generator = np.random.default_rng(seed)
    draws = generator.standard_normal((2, n))
    nu = 1 + noise * draws[0]
    pull = nu / 4 * (noise * draws[1] - 1)
    spectrum = nu.mean() / 4 * _spectrum(d)
    terms = linear * generator.standard_normal((n, d)) if linear else None
    return _problem(nu / 4, reg - float(spectrum.min()), pull, d, terms)


def quadratic_smoothness(n: int, d: int, noise: float, reg: float, seed: int) -> Quadratic:
    r"""Problem whose clients have different smoothness constants (Algorithm 6).

    $\nu_i^s=1+s\xi_i^s$ with exponential $\xi_i^s$ of mean 1, $\nu_i^b=s\xi_i^b$ with standard
    normal $\xi_i^b$; $b_i=(-\frac14+\nu_i^b)e_1$, $A_i=\frac{\nu_i^s}4T+\lambda I$. The generator
    as printed has no $\lambda$: that is ``reg = 0``, where all $A_i$ are proportional.

    Args:
        n: number of clients.
        d: dimension.
        noise: $s\ge0$.
        reg: $\lambda\ge0$.
        seed: seed of the draws; $\xi^s$ is drawn first.

    Raises:
        ValueError: if a number is outside its range.

    Source: Algorithm 6, with the formulas of Tyurin et al. 2022.

    >>> task = quadratic_smoothness(n=4, d=10, noise=1.0, reg=0.0, seed=0)
    >>> L = np.array(task.smoothness().L_i)
    >>> bool(task.smoothness(weights=L / L.sum()).L_pm < 1e-6)  # importance sampling: no variance
    True
    """
    _check(n, d, noise, reg)
    generator = np.random.default_rng(seed)
    nu = 1 + noise * generator.standard_exponential(n)
    pull = noise * generator.standard_normal(n) - 0.25
    return _problem(nu / 4, float(reg), pull, d)


def _problem(
    scale: NDArray[np.float64],
    shift: float,
    pull: NDArray[np.float64],
    d: int,
    linear: NDArray[np.float64] | None = None,
) -> Quadratic:
    terms = None if linear is None else torch.from_numpy(linear)
    return Quadratic(torch.from_numpy(scale), shift, torch.from_numpy(pull), d, terms)


def _check(n: int, d: int, noise: float, reg: float) -> None:
    if n < 1 or d < 1:
        raise ValueError(f"n and d must be at least 1, got {n=}, {d=}")
    if not (0 <= noise <= LARGEST and 0 <= reg <= LARGEST):
        raise ValueError(
            f"noise and reg must be at least 0 and at most {LARGEST}, got {noise=}, {reg=}"
        )


def _spectrum(d: int) -> NDArray[np.float64]:
    """Eigenvalues of T, ascending."""
    return np.asarray(4 * np.sin(np.arange(1, d + 1) * np.pi / (2 * (d + 1))) ** 2)


def _stencil(x: Tensor) -> Tensor:
    """T x along the last axis."""
    y = 2 * x
    y[..., 1:] -= x[..., :-1]
    y[..., :-1] -= x[..., 1:]
    return y
