"""Logistic regression with a non-convex regulariser (Section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.data import Dataset
from cqlib.problems.base import check_reg, split
from cqlib.theory.smoothness import Smoothness, client_factors


@dataclass(frozen=True, eq=False)
class Logistic:
    r"""Logistic loss of m samples per client, plus a regulariser that is not convex.

    The regulariser's form is the usual one of this literature; the paper's formula was not read.

    $f_i(x)=\frac1m\sum_{k=1}^m\log(1+e^{-y_{ik}z_{ik}^\top x})+\lambda\sum_j\frac{x_j^2}{1+x_j^2}$

    Args:
        signed: rows $y_{ik}z_{ik}$, shape (n, m, d), float64.
        reg: $\lambda\ge0$.
    """

    signed: Tensor
    reg: float

    @property
    def n(self) -> int:
        """Number of clients."""
        return self.signed.shape[0]

    @property
    def m(self) -> int:
        """Samples per client."""
        return self.signed.shape[1]

    @property
    def d(self) -> int:
        """Number of features."""
        return self.signed.shape[2]

    @property
    def x0(self) -> Tensor:
        """The origin."""
        return torch.zeros(self.d, dtype=torch.float64, device=self.signed.device)

    def value(self, x: Tensor) -> Tensor:
        """f(x): shape () or (b,)."""
        return self._value(x, self._margins(x))

    def gradients(self, x: Tensor) -> Tensor:
        """Gradients of all f_i: shape (n, d) or (b, n, d)."""
        return self._gradients(x, self._margins(x))

    def value_and_gradients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and the clients' gradients from one pass over the data."""
        margins = self._margins(x)
        return self._value(x, margins), self._gradients(x, margins)

    def gradient(self, i: int, x: Tensor) -> Tensor:
        """Gradient of f_i alone: x of shape (d,) to (d,)."""
        rows = self.signed[i]
        return -(torch.sigmoid(-(rows @ x)) @ rows) / self.m + self._reg_gradient(x)

    def smoothness(self, weights: Sequence[float] | None = None) -> Smoothness:
        r"""Upper bounds of the smoothness constants, from the data alone.

        The Hessian of $f_i$ lies between $-\mu I$, $\mu=\lambda/2$, and
        $H_i=G_i+2\lambda I$, $G_i=\frac1{4m}Z_i^\top Z_i$. Hence $L_i=\lambda_{\max}(H_i)$,
        $L_-=\lambda_{\max}(\frac1n\sum_iH_i)$; both are attained at x = 0.

        A symmetric M with spectrum in $[-\mu,L_i]$ and $M\preceq H_i$ satisfies
        $M^2\preceq(L_i-\mu)M+\mu L_iI\preceq(L_i-\mu)H_i+\mu L_iI$, so
        $L_{+,w}^2=\lambda_{\max}\big(\frac1n\sum_i\frac1{nw_i}[(L_i-\mu)H_i+\mu L_iI]\big)$.
        (Squaring $H_i$ instead would not give a bound: $0\preceq M\preceq H$ does not imply
        $M^2\preceq H^2$.)

        The regulariser is the same for all clients, so that it drops out of $L_\pm$, and
        $L_\pm\le\frac12\sqrt{\lambda_{\max}(\frac1n\sum_iG_i^2-\bar G^2)}
        +\frac12\sqrt{\lambda_{\max}(\frac1n\sum_i\ell_iG_i)}$, $\ell_i=\lambda_{\max}(G_i)$: the
        standard deviation over clients of $\frac1mZ_i^\top D_iZ_iv$, $0\le D_i\le\frac14$, is at
        most that of its value at $D_i=\frac18$ plus the root mean square of the rest. This bound
        treats the clients' $D_i$ as free, so that it is loose if clients have similar samples: by a
        factor of 1.5 to 17 on the data sets of the book. :meth:`smoothness_at_zero` gives
        lower bounds; $L_-$, $L_i$ and $L_+$ agree with them up to a few per cent at most.

        Args:
            weights: $w_i$, shape (n,); $L_{\pm,w}$ is then bounded by $L_{+,w}$.

        Raises:
            ValueError: unless weights are n positive numbers of sum 1.
        """
        return self._plain if weights is None else self._bounds(weights)

    def smoothness_at_zero(self) -> Smoothness:
        r"""Lower bounds of the smoothness constants: those of the Hessians $H_i$ at x = 0.

        The constants of f are suprema over pairs of points. Pairs that tend to the origin reach
        the values returned here in the limit. $L_-$ and $L_i$ are equal to the upper bounds.
        """
        return self._at_zero

    @cached_property
    def _plain(self) -> Smoothness:
        return self._bounds(None)

    @cached_property
    def _at_zero(self) -> Smoothness:
        _, L_i, mean, mean_square = self._data_terms
        shift = 2 * self.reg
        square = mean_square + 2 * shift * mean + shift**2 * np.eye(self.d)
        return Smoothness(
            L_minus=_largest(mean) + shift,
            L_plus=float(np.sqrt(_largest(square))),
            L_pm=float(np.sqrt(max(_largest(mean_square - mean @ mean), 0.0))),
            L_i=tuple((L_i + shift).tolist()),
        )

    @cached_property
    def _data_terms(self) -> tuple[NDArray[np.float64], ...]:
        """The samples, shape (N, d); the ell_i, shape (n,); the means of G_i and of G_i^2."""
        rows = self.signed.cpu().numpy()
        if self.m <= self.d:
            gram = rows @ rows.transpose(0, 2, 1)  # (n, m, m), with the same largest eigenvalue
            image = (gram @ rows).reshape(-1, self.d)
        else:
            gram = rows.transpose(0, 2, 1) @ rows
            image = (rows @ gram).reshape(-1, self.d)
        flat = rows.reshape(-1, self.d)
        ell = np.linalg.eigvalsh(gram)[:, -1] / (4 * self.m)
        mean = flat.T @ flat / (4 * len(flat))
        mean_square = flat.T @ image / (16 * self.m * len(flat))
        return flat, ell, mean, (mean_square + mean_square.T) / 2

    def _bounds(self, weights: Sequence[float] | None) -> Smoothness:
        _, ell, mean, mean_square = self._data_terms
        shift, mu = 2 * self.reg, self.reg / 2
        L_i = ell + shift
        factors = client_factors(self.n, weights)
        scaled = self._mean_of_scaled(factors * (L_i - mu))
        flat_part = float(np.mean(factors * ((L_i - mu) * shift + mu * L_i)))
        L_plus = float(np.sqrt(_largest(scaled) + flat_part))
        L_pm = L_plus
        if weights is None:
            spread = np.sqrt(max(_largest(mean_square - mean @ mean), 0.0))
            L_pm = min(float(spread + np.sqrt(_largest(self._mean_of_scaled(ell)))) / 2, L_plus)
        return Smoothness(_largest(mean) + shift, L_plus, L_pm, tuple(L_i.tolist()))

    def _mean_of_scaled(self, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over clients of factor times G_i."""
        flat = self._data_terms[0]
        weighted = flat * np.sqrt(np.repeat(factors, self.m))[:, None]
        return np.asarray(weighted.T @ weighted / (4 * len(flat)))

    def _margins(self, x: Tensor) -> Tensor:
        """y z^T x for every sample: shape (n m,) or (n m, b)."""
        return self.signed.reshape(-1, self.d) @ (x if x.ndim == 1 else x.mT)

    def _value(self, x: Tensor, margins: Tensor) -> Tensor:
        loss = -torch.nn.functional.logsigmoid(margins).mean(dim=0)
        squares = x**2
        return loss + self.reg * (squares / (1 + squares)).sum(dim=-1)

    def _gradients(self, x: Tensor, margins: Tensor) -> Tensor:
        weights = torch.sigmoid(-margins).reshape(self.n, self.m, -1)
        loss = -torch.bmm(weights.transpose(1, 2), self.signed) / self.m  # (n, b, d)
        if x.ndim == 1:
            return loss[:, 0] + self._reg_gradient(x)
        return loss.transpose(0, 1) + self._reg_gradient(x)[:, None]

    def _reg_gradient(self, x: Tensor) -> Tensor:
        return 2 * self.reg * x / (1 + x**2) ** 2


def logistic(dataset: Dataset, n_clients: int, reg: float) -> Logistic:
    r"""Split a dataset over clients, $m=\lfloor N/n\rfloor$ samples each, in order; drop the rest.

    Args:
        dataset: N samples with labels -1 and +1.
        n_clients: n, in [1, N]; in Table 3, n = d.
        reg: weight $\lambda\ge0$ of the regulariser $\sum_jx_j^2/(1+x_j^2)$.

    Raises:
        ValueError: if n is outside [1, N], or reg is negative or not finite.

    Source: Section 4.2 and Table 3.

    >>> from cqlib import data
    >>> problem = logistic(data.load("breast_cancer"), n_clients=30, reg=0.1)
    >>> problem.n, problem.m, problem.d
    (30, 18, 30)
    """
    rows, labels = split(dataset, n_clients)
    check_reg(reg)
    return Logistic(rows * labels[:, :, None], float(reg))


def _largest(matrix: NDArray[np.float64]) -> float:
    return float(np.linalg.eigvalsh(matrix)[-1])
