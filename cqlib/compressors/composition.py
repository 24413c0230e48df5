"""Composition: a quantizer applied to the coordinates that a sparsifier keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.coders import Chain
from cqlib.compressors.contract import Compressor
from cqlib.compressors.iq import IQ
from cqlib.compressors.rand_k import RandK
from cqlib.compressors.sparsifier import Sparsifier
from cqlib.compressors.steps import gather, scatter
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Layout, Symbols
from cqlib.theory.constants import sparsify_first_constants
from cqlib.theory.vectors import Vectors

INNER = 2**64 - 1  # the fold of the round's key that the quantizer uses


@dataclass(frozen=True)
class Composition(Compressor):
    r"""Q_i after C_i: the sparsifier chooses and scales coordinates, the quantizer sends them.

    The dimension of the quantizer is the largest number of coordinates that the sparsifier keeps;
    empty slots are zeros. With $C\in\mathbb U(A,B)$, $C_i\in\mathbb U(\omega_C)$ and independent
    $Q_i\in\mathbb U(\omega_Q)$ the mean satisfies $\mathbb U(A+\frac{\omega_Q(1+\omega_C)}n,B)$,
    and each client $\mathbb U((1+\omega_C)(1+\omega_Q)-1)$. Missing clients: the mean of those
    received is unbiased if it is for both parts; the losses of both parts apply.

    Args:
        sparsifier: a compressor that keeps coordinates: rand_k, top_k, perm_k.
        quantizer: any compressor whose clients are never silent.

    Source: Szlendak, Tyurin, Richtárik 2022, Section 2.4; order and constants are derived.

    >>> from cqlib.compressors import NaturalCompression, PermK
    >>> c = compose(PermK(), NaturalCompression())
    >>> c.ab(n=4, d=64)  # A = 1 + omega
    AB(A=1.125, B=1.0, homogeneous_only=False)
    >>> c.bits(d=64, n=4)  # nine bits for each of the 16 coordinates that a client keeps
    144.0
    """

    name: ClassVar[str] = "compose"
    sparsifier: Sparsifier = field(default_factory=RandK)
    quantizer: Compressor = field(default_factory=IQ)

    def __post_init__(self) -> None:
        if not isinstance(self.sparsifier, Sparsifier):
            raise ValueError(f"sparsifier must be rand_k, top_k or perm_k, got {self.sparsifier!r}")
        if not isinstance(self.quantizer, Compressor):
            raise ValueError(f"quantizer must be a compressor, got {self.quantizer!r}")
        if self.quantizer.before:
            raise ValueError(
                f"quantizer may not need a statistic of all clients: {self.quantizer!r}"
            )
        if self.quantizer.facts.may_be_silent:
            raise ValueError(
                f"the quantizer's clients may not be silent, as those of {self.quantizer!r} may; "
                "iscc takes a composition as its inner compressor"
            )

    @property
    def facts(self) -> Facts:
        kept, sent = self.sparsifier.facts, self.quantizer.facts
        return Facts(
            unbiased=kept.unbiased and sent.unbiased,
            joint=kept.joint or sent.joint,
            deterministic=kept.deterministic and sent.deterministic,
        )

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Quantize the kept values; the symbols for their places, if any, come first."""
        chosen = self.sparsifier.keep(x, ctx)
        values, scales = self.quantizer.quantize(gather(x, chosen), self._inner(ctx))
        places = self.sparsifier.sent(chosen.places)
        places = np.broadcast_to(places, (*values.shape[:-1], places.shape[-1]))
        return Symbols(np.concatenate([places, values], axis=-1), scales)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Put the decoded values in their places."""
        first = self.sparsifier.n_places(ctx.d)
        places = self.sparsifier.kept(symbols.values[..., :first], ctx)
        inner = Symbols(symbols.values[..., first:], symbols.scales)
        return scatter(self.quantizer.dequantize(inner, self._inner(ctx)), places, ctx.d)

    def layout(self, ctx: Context) -> Layout:
        """Return the sizes of the quantizer's message, plus those of the places if it sends any."""
        sent = self.quantizer.layout(self._inner(ctx))
        symbols, scales = sent.each(len(ctx.clients))
        places = self.sparsifier.n_places(ctx.d) * ((symbols > 0) | (scales > 0))
        return Layout(sent.alphabet, symbols + places, scales)

    def coder(self, ctx: Context) -> Chain:
        """Return the coder of the places, followed by that of the quantizer."""
        return Chain((self.sparsifier.coder(ctx), self.quantizer.coder(self._inner(ctx))))

    def bits(self, d: int, n: int) -> float:
        """Return the quantizer's bits for the kept coordinates, plus those of the places."""
        places = self.sparsifier.bits(d, n) - 32 * self.sparsifier.slots(d, n)
        places = max(places, 0.0)  # PermK counts less than a float for each slot on average
        return self.quantizer.bits(self.sparsifier.slots(d, n), n) + places

    def omega(self, d: int, n: int | None = None) -> float:
        """Return (1 + omega_C) (1 + omega_Q) - 1, omega_Q for the kept coordinates.

        Raises:
            ValueError: if n is None and the number of kept coordinates depends on it.
        """
        if n is None and self.sparsifier.joint:
            raise ValueError("omega of this composition depends on the number of clients: give n")
        kept = self.sparsifier.slots(d, n or 1)
        return (1 + self.sparsifier.omega(d, n)) * (1 + self.quantizer.omega(kept, n)) - 1

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return $A+\frac{\omega_Q(1+\omega_C)}n$ and B, with A and B of the sparsifier.

        If the quantizer's clients depend on each other: $\omega$ and 0.
        """
        if self.quantizer.joint:
            return super().ab_constants(n, d, kind)
        A, B, _ = self.sparsifier.ab_constants(n, d, kind)
        omegas = self.sparsifier.omega(d, n), self.quantizer.omega(self.sparsifier.slots(d, n), n)
        return AB(*sparsify_first_constants(A, B, *omegas, n), homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact error; it is known for IQ after some sparsifiers."""
        if not isinstance(self.quantizer, IQ):
            return super().variance(X)
        return self.sparsifier.variance_with_signs(X)

    def mse(self, X: Vectors) -> float:
        """Return the exact error of the mean; it is known for IQ after some sparsifiers."""
        return (
            self.sparsifier.mse_with_signs(X) if isinstance(self.quantizer, IQ) else super().mse(X)
        )

    def _inner(self, ctx: Context) -> Context:
        d = self.sparsifier.slots(ctx.d, ctx.n)
        return Context(d, ctx.clients, ctx.n, ctx.key.fold(INNER))


def compose(sparsifier: Sparsifier, quantizer: Compressor) -> Composition:
    """Return the compressor that quantizes the coordinates kept by the sparsifier.

    >>> from cqlib.compressors import TernGrad, TopK
    >>> compose(TopK(k=10), TernGrad()).unbiased
    False
    """
    return Composition(sparsifier, quantizer)
