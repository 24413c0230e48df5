"""Proposition 2: clients that differ by affine terms have no Hessian variance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from cqlib.problems import Logistic

VARIABLES = sp.symbols("x1 x2", real=True)
OTHERS = sp.symbols("y1 y2", real=True)


def variance_polynomial(functions: Sequence[sp.Expr]) -> sp.Expr:
    r"""Return $\frac1n\sum_i\|\delta_i\|^2-\|\bar\delta\|^2$ as a polynomial in both points.

    $\delta_i=\nabla f_i(x)-\nabla f_i(y)$.

    Args:
        functions: $f_i$, polynomials in ``VARIABLES``; y is written with ``OTHERS``.

    Source: Definition 4.

    >>> x1, x2 = VARIABLES
    >>> variance_polynomial([x1**2, x1**2 + x2]), variance_polynomial([x1**2, -(x1**2)])
    (0, 4*x1**2 - 8*x1*y1 + 4*y1**2)
    """
    n, total, mean = len(functions), sp.Integer(0), sp.zeros(2, 1)
    for f in functions:
        gradient = sp.Matrix([sp.diff(f, x) for x in VARIABLES])
        swap = dict(zip(VARIABLES, OTHERS, strict=True))
        delta = gradient - gradient.subs(swap, simultaneous=True)
        total += delta.dot(delta) / n
        mean += delta / n
    return sp.expand(total - mean.dot(mean))


def one_client_bent(t: sp.Expr, n: int) -> sp.Expr:
    r"""Return $\frac{t^2(n-1)}{n^2}\|u\|^2\langle u,x-y\rangle^2$, $u=(1,2)$.

    It is the variance if $\frac t2\langle u,x\rangle^2$ is added to one of n clients that
    differ by affine terms.

    Source: the converse of Proposition 2.

    >>> x1, x2 = VARIABLES
    >>> bent = variance_polynomial([(x1 + 2 * x2) ** 2, sp.Integer(0)])
    >>> sp.expand(bent - one_client_bent(sp.Integer(2), 2))
    0
    """
    (x1, x2), (y1, y2) = VARIABLES, OTHERS
    along = (x1 - y1) + 2 * (x2 - y2)
    return sp.expand(t**2 * sp.Rational(n - 1, n**2) * 5 * along**2)


def own_functions(rows: Tensor, pulls: Tensor, reg: float) -> Callable[[Tensor], Tensor]:
    """Return a function from x to the f_i(x): own samples' loss, regulariser, own linear term.

    Args:
        rows: samples times labels, shape (n, m, d).
        pulls: coefficients of the linear terms, shape (n, d).
        reg: weight of the regulariser.

    >>> values = own_functions(torch.zeros(2, 1, 1), torch.tensor([[1.0], [2.0]]), reg=0.0)
    >>> (values(torch.tensor([3.0])) - values(torch.tensor([0.0]))).tolist()
    [3.0, 6.0]
    """
    losses = [Logistic(mine[None], reg) for mine in rows]

    def values(x: Tensor) -> Tensor:
        terms = zip(losses, pulls, strict=True)
        return torch.stack([loss.value(x) + pull @ x for loss, pull in terms])

    return values


def spread(vectors: Tensor) -> float:
    """Return the mean squared distance of rows from their mean.

    >>> spread(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    1.0
    """
    return float(((vectors - vectors.mean(dim=0)) ** 2).sum() / len(vectors))


def variances(
    values: Callable[[Tensor], Tensor], pairs: Iterable[Sequence[Tensor]]
) -> tuple[float, float]:
    """Return the largest quotient of Definition 4, and the least spread of the gradients.

    Args:
        values: function from x, shape (d,), to the f_i(x), shape (n,).
        pairs: pairs of points x and y.

    Returns:
        The largest variance of the gradient differences over the squared distance, and the least
        :func:`spread` of the gradients at a point.

    >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
    >>> variances(lambda x: torch.stack([x[0] ** 2, -x[0]]), [(zero, one)])  # gradients 2x, -1
    (1.0, 0.25)
    """
    largest, least = 0.0, np.inf
    for x, y in pairs:
        at_x, at_y = (_gradients(values, point) for point in (x, y))
        largest = max(largest, spread(at_x - at_y) / float(((x - y) ** 2).sum()))
        least = min(least, spread(at_x), spread(at_y))
    return largest, least


def _gradients(values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the gradients of the f_i, shape (n, d), by automatic differentiation."""
    point = x.clone().requires_grad_()
    return torch.stack(
        [torch.autograd.grad(value, point, retain_graph=True)[0] for value in values(point)]
    )
