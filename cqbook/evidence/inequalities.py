"""The inequalities of the paper, each as a ratio that a search can maximise.

An input is a point of the cube $[-1,1]^{size}$. The ratio maps it to vectors, matrices or numbers,
and returns left side over right side. For a true statement it is at most 1, up to rounding; if it
reaches 1, the statement is tight. The ratios are in ``ratios_ab`` and ``ratios_marina``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from cqbook.evidence import ratios_ab as ab
from cqbook.evidence import ratios_marina as marina
from cqbook.evidence import small_cases
from cqbook.evidence.attack import Worst, attack
from cqbook.evidence.ratios import Array, log_uniform


@dataclass(frozen=True)
class Inequality:
    """A statement of the form: left side at most right side.

    Args:
        name: name of the statement, with sizes.
        claim: id of its item of the ledger.
        size: number of entries of an input.
        ratio: function from shape (k, size), entries in [-1, 1], to left over right side, (k,).
        valid: True if it is claimed to hold; False for a constant that is shown to be wrong.
    """

    name: str
    claim: str
    size: int
    ratio: Callable[[Array], Array]
    valid: bool = True

    def search(self, *, evaluations: int, restarts: int, seed: int) -> Worst:
        """Search for the worst input by :func:`cqbook.evidence.attack`."""
        how = {"evaluations": evaluations, "restarts": restarts, "seed": seed}
        return attack(self.ratio, self.size, **how)


# --- logistic regression -------------------------------------------------------------------------


@cache
def _logistic() -> small_cases.SmallLogistic:
    return small_cases.SmallLogistic.of_breast_cancer(n_clients=4, n_features=3, reg=0.1)


def _logistic_quotient(z: Array, variance: bool) -> Array:
    """Return the difference quotient of two points over L_+^2 or L_pm^2."""
    plus, pm = _logistic().quotients(20 * z[:, :3], log_uniform(z[:, 6:], 1e-3, 40) * z[:, 3:6])
    bounds = _logistic().bounds
    return np.asarray(pm / bounds.L_pm**2 if variance else plus / bounds.L_plus**2)


_MANY = [
    Inequality("standard dithering, d = 16, one level", "definition-2", 16,
               partial(ab.standard_dithering, p=2, s=1)),
    Inequality("standard dithering, d = 10, four levels", "definition-2", 10,
               partial(ab.standard_dithering, p=2, s=4)),
    Inequality("TernGrad, d = 16", "definition-2", 16,
               partial(ab.standard_dithering, p=np.inf, s=1)),
    Inequality("natural dithering, d = 16, three levels", "definition-3", 16,
               partial(ab.natural_dithering, s=3)),
    Inequality("natural compression, d = 4", "definition-1", 4, ab.natural_compression),
    Inequality("DRIVE with Hadamard rotation against pi/2 - 1, d = 4", "finding-8", 4,
               ab.drive_hadamard, valid=False),
    Inequality("DRIVE with Hadamard rotation against pi/2 - 1, d = 8", "finding-8", 8,
               ab.drive_hadamard, valid=False),
    Inequality("Proposition 1, any dependence", "proposition-1", 9, ab.any_dependence),
    Inequality("Proposition 1, sharper pair (omega, 0)", "finding-12", 9,
               ab.any_dependence_sharper),
    Inequality("CQ: both round up, at most independently", "definition-7", 3, ab.covariance),
    Inequality("CQ never worse than IQ, n = 4, d = 3", "definition-7", 12,
               partial(ab.never_worse, n=4)),
    Inequality("Theorem 1", "theorem-1", 2, ab.theorem_1),
    Inequality("Corollary 2, valid constant, n = 2, d = 4", "corollary-2", 4,
               partial(ab.corollary_2, n=2, kappa=1.0)),
    Inequality("Corollary 2, valid constant, n = 5, d = 16", "corollary-2", 16,
               partial(ab.corollary_2, n=5, kappa=1.0)),
    Inequality("Corollary 2, constant as read, n = 2, d = 4", "corollary-2", 4,
               partial(ab.corollary_2, n=2, kappa=0.25), valid=False),
    Inequality("Corollary 3, valid constant, n = 8, d = 8, b = 2", "corollary-3", 8,
               partial(ab.corollary_3, n=8, b=2, kappa=1.0)),
    Inequality("Corollary 3, constant as read, n = 8, d = 8, b = 2", "corollary-3", 8,
               partial(ab.corollary_3, n=8, b=2, kappa=0.25), valid=False),
    Inequality("bound of Suresh et al., n = 12", "algorithm-2", 12,
               partial(ab.suresh, slope=3.0, floor=12.0)),
    Inequality("sharper bound (not proved), n = 12", "finding-10", 12,
               partial(ab.suresh, slope=1.0, floor=0.25)),
    Inequality("sharper bound (not proved), n = 5", "finding-10", 5,
               partial(ab.suresh, slope=1.0, floor=0.25)),
    Inequality("Hessian variance at most L_+^2", "definition-4", 9,
               marina.variance_at_most_mean_square),
    Inequality("L_+^2 - L_-^2 at most Hessian variance", "definition-4", 9,
               marina.difference_at_most_variance),
    Inequality("logistic regression: L_+", "assumption-2", 7,
               partial(_logistic_quotient, variance=False)),
    Inequality("logistic regression: L_pm", "definition-4", 7,
               partial(_logistic_quotient, variance=True)),
    Inequality("Lemma 1", "lemma-1", 8, marina.descent),
    Inequality("Lemma 2", "lemma-2", 2, marina.stepsize_lemma),
    Inequality("Lemma 2, factor 2", "lemma-2", 2, marina.largest_stepsize_within_factor_2),
    Inequality("Lemma 3, PermK, second round", "lemma-3", 9,
               partial(marina.recursion, kind="perm_k")),
    Inequality("Lemma 3, importance sampling, second round", "lemma-3", 9,
               partial(marina.recursion, kind="sampling")),
    Inequality("Theorem 2, PermK, four rounds", "theorem-2", 9,
               partial(marina.guarantee, kind="perm_k")),
    Inequality("Theorem 2, importance sampling, four rounds", "theorem-2", 9,
               partial(marina.guarantee, kind="sampling")),
    Inequality("Theorem 3, L_plus_w at most the mean of L_i", "theorem-3", 9,
               partial(marina.importance_weights, variance=False)),
    Inequality("Theorem 3, L_pm_w at most the mean of L_i", "theorem-3", 9,
               partial(marina.importance_weights, variance=True)),
    Inequality("Theorem 3, ISCC of IQ, four rounds", "theorem-3", 9, marina.iscc_theorem_3),
    Inequality("Theorem 2, ISCC of IQ, up to the largest stepsize", "theorem-2", 10,
               marina.iscc_up_to_largest),
    Inequality("Theorem 2, ISCC of IQ, twice the largest stepsize", "theorem-2", 9,
               partial(marina.iscc_times_largest, factor=2.0), valid=False),
    Inequality("cost of MARINA, lower bound", "proposition-4", 2,
               partial(marina.marina_cost, lower=True)),
    Inequality("cost of MARINA, upper bound", "proposition-4", 2,
               partial(marina.marina_cost, lower=False)),
    Inequality("Corollary 4, lower bound", "corollary-4", 4,
               partial(marina.corollary_4, lower=True)),
    Inequality("Corollary 4, upper bound", "corollary-4", 4,
               partial(marina.corollary_4, lower=False)),
    Inequality("Corollary 4, at most root n times cheaper", "corollary-4", 5,
               marina.gain_over_root),
]  # fmt: skip

_MANY += [
    Inequality(case.name, case.claim, case.n * case.d, case.ratio, case.valid)
    for case in ab.clients()
]

INEQUALITIES = {inequality.name: inequality for inequality in _MANY}
