r"""Checks of Definition 1 by exact laws: no bias, and the error of a formula and of the library."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from cqbook.evidence import exact
from cqbook.evidence import quantizer_laws as laws
from cqbook.evidence.dithering_constants import CLOSED_FORMS, OMEGAS, sharp
from cqbook.evidence.exact import Law
from cqbook.evidence.laws import mean_and_error
from cqbook.evidence.vectors import as_floats, same, squared_norm
from cqlib import theory
from cqlib.compressors import make

ROUNDING = 1e-12  # relative error of bounds that are computed in floats
Checks = dict[str, bool]
CHECKS = ("unbiased", "formula", "closed form", "in bound")


def checks(
    law: Law, x: Sequence[Fraction], *, formula: Fraction, closed_form: float, omega: float
) -> Checks:
    r"""Check that $\mathbb E\,\mathcal C(x)=x$, and that the error is as expected.

    Args:
        law: law of C(x).
        x: the vector.
        formula: the expected error, a fraction.
        closed_form: the expected error from the library.
        omega: bound of the error over the squared norm.

    Source: Definition 1.

    >>> checks([(Fraction(1), [Fraction(2)])], [Fraction(1)], formula=1, closed_form=1.0, omega=1.0)
    {'unbiased': False, 'formula': True, 'closed form': True, 'in bound': True}
    """
    mean, error = mean_and_error(law, x)
    return {
        "unbiased": mean == list(x),
        "formula": error == formula,
        "closed form": same(error, closed_form),
        "in bound": float(error) <= omega * float(squared_norm(x)) + ROUNDING,
    }


def dithering(name: str, x: Sequence[Fraction], q: float, s: int) -> Checks:
    """Return the checks of standard or natural dithering with q-norm and s levels (Def. 2, 3).

    >>> all(dithering("standard_dithering", [Fraction(3), Fraction(4)], 2, 1).values())
    True
    """
    R, levels = laws.q_norm(x, q), laws.dithering_levels(name, s)
    return checks(
        laws.quantized(x, R, levels),
        x,
        formula=laws.quantization_variance(x, R, levels),
        closed_form=float(CLOSED_FORMS[name](as_floats([x]), q, s)[0]),
        omega=OMEGAS[name](len(x), q, s),
    )


def within_sharp(name: str, x: Sequence[Fraction], s: int) -> bool:
    """Return True if the error of a dithering with the 2-norm is within the sharpened constant.

    >>> within_sharp("natural_dithering", [Fraction(3), Fraction(4)], 2)
    True
    """
    error = laws.quantization_variance(x, exact.norm(x), laws.dithering_levels(name, s))
    return float(error) <= sharp(name, len(x), s) * float(squared_norm(x)) + ROUNDING


def natural_compression(x: Sequence[Fraction]) -> Checks:
    """Return the checks of natural compression.

    >>> all(natural_compression([Fraction(4, 3), Fraction(-5, 7)]).values())
    True
    """
    return checks(
        laws.quantized(x, 1, laws.POWERS),
        x,
        formula=laws.quantization_variance(x, 1, laws.POWERS),
        closed_form=float(theory.natural_compression_variance(as_floats([x]))[0]),
        omega=make("natural_compression").omega(len(x)),
    )


def rand_k(x: Sequence[Fraction], K: int) -> Checks:
    r"""Return the checks of RandK, whose error is $(\frac dK-1)\|x\|^2$.

    >>> all(rand_k([Fraction(1), Fraction(2)], 1).values())
    True
    """
    d, compressor = len(x), make("rand_k", k=K)
    return checks(
        laws.rand_k(x, K),
        x,
        formula=(Fraction(d, K) - 1) * squared_norm(x),
        closed_form=float(compressor.variance(as_floats([x]))[0]),
        omega=compressor.omega(d),
    )


def one_bit(x: Sequence[Fraction]) -> Checks:
    r"""Return the checks of one-bit rounding, whose error is $(d-1)\|x\|^2$.

    >>> all(one_bit([Fraction(3), Fraction(4)]).values())
    True
    """
    d, compressor = len(x), make("iq")
    return checks(
        laws.one_bit(x),
        x,
        formula=(d - 1) * squared_norm(x),
        closed_form=float(compressor.variance(as_floats([x]))[0]),
        omega=compressor.omega(d),
    )
