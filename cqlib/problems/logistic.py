"""Logistic regression with a non-convex regulariser (Section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cqlib.data import Dataset
from cqlib.problems.base import Smoothness


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

    def smoothness(self) -> Smoothness:
        r"""Upper bounds of the smoothness constants, from the data alone.

        The Hessian of $f_i$ lies between $-\mu I$, $\mu=\lambda/2$, and
        $H_i=\frac1{4m}Z_i^\top Z_i+2\lambda I$. Hence $L_i=\lambda_{\max}(H_i)$,
        $L_-=\lambda_{\max}(\frac1n\sum_iH_i)$. A symmetric M with spectrum in $[-\mu,L_i]$ and
        $M\preceq H_i$ satisfies $M^2\preceq(L_i-\mu)M+\mu L_iI\preceq(L_i-\mu)H_i+\mu L_iI$, so
        $L_+^2=\lambda_{\max}\big(\frac1n\sum_i[(L_i-\mu)H_i+\mu L_iI]\big)$. (Squaring $H_i$
        instead would not give a bound: $0\preceq M\preceq H$ does not imply $M^2\preceq H^2$.)
        $L_\pm=L_+$ is used where nothing better is known.
        """
        return self._smoothness

    @cached_property
    def _smoothness(self) -> Smoothness:
        rows = self.signed.cpu().numpy()
        eye = np.eye(self.d)
        mu = self.reg / 2
        L_i = np.array([_largest_squared_singular_value(z) for z in rows]) / (4 * self.m)
        L_i = L_i + 2 * self.reg
        mean_hessian = 2 * self.reg * eye
        mean_square = float(np.mean((L_i - mu) * 2 * self.reg + mu * L_i)) * eye
        flat = rows.reshape(-1, self.d)
        mean_hessian = mean_hessian + flat.T @ flat / (4 * len(flat))
        weighted = flat * np.sqrt(np.repeat(L_i - mu, self.m))[:, None]
        mean_square = mean_square + weighted.T @ weighted / (4 * len(flat))
        L_minus = float(np.linalg.eigvalsh(mean_hessian)[-1])
        L_plus = float(np.sqrt(np.linalg.eigvalsh(mean_square)[-1]))
        return Smoothness(L_minus, L_plus, L_plus, tuple(L_i.tolist()))

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
    r"""Split a dataset over clients: in order, $m=\lfloor N/n\rfloor$ samples each, rest dropped.

    Args:
        dataset: N samples with labels -1 and +1.
        n_clients: n, in [1, N]; the paper takes n = d (Table 3).
        reg: weight $\lambda\ge0$ of the regulariser $\sum_jx_j^2/(1+x_j^2)$.

    Raises:
        ValueError: if n is outside [1, N], or reg is negative or not finite.

    Source: Section 4.2 and Table 3.

    >>> from cqlib import data
    >>> problem = logistic(data.load("breast_cancer"), n_clients=30, reg=0.1)
    >>> problem.n, problem.m, problem.d
    (30, 18, 30)
    """
    total = len(dataset.y)
    if not 1 <= n_clients <= total:
        raise ValueError(f"n_clients must be in [1, {total}] for {dataset.name}, got {n_clients}")
    if not 0 <= reg < np.inf:
        raise ValueError(f"reg must be at least 0 and finite, got {reg}")
    m = total // n_clients
    used = n_clients * m
    signed = (dataset.X[:used] * dataset.y[:used, None]).reshape(n_clients, m, -1)
    return Logistic(torch.from_numpy(np.ascontiguousarray(signed)), float(reg))


def _largest_squared_singular_value(z: np.ndarray) -> float:
    gram = z @ z.T if z.shape[0] <= z.shape[1] else z.T @ z
    return float(np.linalg.eigvalsh(gram)[-1])
