"""Composition: a quantizer applied to what a sparsifier keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.base import Compressor
from cqlib.compressors.iq import IQ
from cqlib.compressors.perm_k import PermK
from cqlib.compressors.rand_k import RandK
from cqlib.compressors.sparsifier import Sparsifier, gather, scatter
from cqlib.compressors.types import AB, Array, Constants, Context, Sizes, Symbols
from cqlib.theory import sparsification
from cqlib.theory.constants import sparsify_first_constants
from cqlib.theory.vectors import Vectors, squared_norms

INNER = 2**64 - 1  # which part of the round's randomness belongs to the quantizer


@dataclass(frozen=True)
class Composition(Compressor):
    r"""Q_i after C_i: the sparsifier chooses and scales coordinates, the quantizer sends them.

    The quantizer sees a vector of as many coordinates as the sparsifier keeps at most, empty slots
    being zeros. With $C\in\mathbb U(A,B)$, $C_i\in\mathbb U(\omega_C)$ and independent
    $Q_i\in\mathbb U(\omega_Q)$ the mean satisfies $\mathbb U(A+\frac{\omega_Q(1+\omega_C)}n,B)$,
    and each client $\mathbb U((1+\omega_C)(1+\omega_Q)-1)$. Missing clients: unbiased where both
    are, and what is lost is what the two lose.

    Args:
        sparsifier: a compressor that keeps coordinates: rand_k, top_k, perm_k.
        quantizer: any compressor of which all clients send something in every round.

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
        if self.quantizer.statistic_bits:
            raise ValueError(
                f"quantizer may not need a statistic of all clients: {self.quantizer!r}"
            )
        if self.quantizer.may_be_silent:
            raise ValueError(
                f"the quantizer's clients may not be silent, as those of {self.quantizer!r} may; "
                "iscc takes a composition as its inner compressor"
            )

    @property
    def unbiased(self) -> bool:
        return self.sparsifier.unbiased and self.quantizer.unbiased

    @property
    def joint(self) -> bool:
        return self.sparsifier.joint or self.quantizer.joint

    @property
    def deterministic(self) -> bool:
        return self.sparsifier.deterministic and self.quantizer.deterministic

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Quantize the kept values; what is sent of their places comes first."""
        chosen = self.sparsifier.keep(x, ctx)
        codes, scales = self.quantizer.quantize(gather(x, chosen), self._inner(ctx))
        places = self.sparsifier.sent(chosen.places)
        places = np.broadcast_to(places, (*codes.shape[:-1], places.shape[-1]))
        return Symbols(np.concatenate([places, codes], axis=-1), scales)

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Put the values that the quantizer decodes in their places."""
        first = self.sparsifier.n_codes(ctx.d)
        places = self.sparsifier.kept(symbols.codes[..., :first], ctx)
        inner = Symbols(symbols.codes[..., first:], symbols.scales)
        return scatter(self.quantizer.dequantize(inner, self._inner(ctx)), places, ctx.d)

    def sizes(self, ctx: Context) -> Sizes:
        """Return what the quantizer sends, and the places where it sends anything."""
        codes, scales = self.quantizer.sizes(self._inner(ctx))
        places = self.sparsifier.n_codes(ctx.d) * ((codes > 0) | (scales > 0))
        return Sizes(codes + places, scales)

    def code_bytes(self, count: int, ctx: Context) -> int:
        """Return the bytes of places and quantizer."""
        first = self.sparsifier.n_codes(ctx.d)
        inner = self.quantizer.code_bytes(count - first, self._inner(ctx))
        return self.sparsifier.code_bytes(first, ctx) + inner

    def pack(self, codes: Array, ctx: Context) -> NDArray[np.uint8]:
        """Pack the places, then the quantizer's symbols."""
        first = self.sparsifier.n_codes(ctx.d)
        inner = self.quantizer.pack(codes[first:], self._inner(ctx))
        return np.concatenate([self.sparsifier.pack(codes[:first], ctx), inner])

    def unpack(self, data: NDArray[np.uint8], count: int, ctx: Context) -> Array:
        """Undo :meth:`pack`."""
        first = self.sparsifier.n_codes(ctx.d)
        cut = self.sparsifier.code_bytes(first, ctx)
        places = self.sparsifier.unpack(data[:cut], first, ctx)
        inner = self.quantizer.unpack(data[cut:], count - first, self._inner(ctx))
        return np.concatenate([places.astype(np.int64), inner])

    def bits(self, d: int, n: int) -> float:
        """Return the quantizer's bits for the kept coordinates, and those of sent places."""
        places = self.sparsifier.bits(d, n) - 32 * self.sparsifier.slots(d, n)
        places = max(places, 0.0)  # PermK counts less than a float for each slot on average
        return self.quantizer.bits(self.sparsifier.slots(d, n), n) + places

    def omega(self, d: int, n: int | None = None) -> float:
        """Return (1 + omega_C) (1 + omega_Q) - 1, omega_Q for the kept coordinates.

        Raises:
            ValueError: without n, if the number of kept coordinates depends on it.
        """
        if n is None and self.sparsifier.joint:
            raise ValueError("omega of this composition depends on the number of clients: give n")
        kept = self.sparsifier.slots(d, n or 1)
        return (1 + self.sparsifier.omega(d, n)) * (1 + self.quantizer.omega(kept, n)) - 1

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return $A+\frac{\omega_Q(1+\omega_C)}n$ and B, those of the sparsifier being A and B.

        With a quantizer whose clients depend on each other: $\omega$ and 0.
        """
        if self.quantizer.joint:
            return super().ab_constants(n, d, kind)
        A, B, _ = self.sparsifier.ab_constants(n, d, kind)
        omegas = self.sparsifier.omega(d, n), self.quantizer.omega(self.sparsifier.slots(d, n), n)
        return AB(*sparsify_first_constants(A, B, *omegas, n), homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return the exact error of IQ after RandK or PermK: $\mathbb E[m\|c\|^2]-\|a_i\|^2$.

        What is kept, c, is sent as m coordinates of absolute value |c|.
        """
        n, d = X.shape
        if not isinstance(self.quantizer, IQ) or not isinstance(self.sparsifier, (RandK, PermK)):
            return super().variance(X)
        if isinstance(self.sparsifier, PermK) and n <= d:
            return (sparsification.permk_cq_rounding(d, n) + n - 1) * squared_norms(X)
        return self.omega(d, n) * squared_norms(X)

    def mse(self, X: Vectors) -> float:
        """Return the exact error of IQ after RandK or PermK."""
        n, d = X.shape
        if isinstance(self.sparsifier, PermK) and isinstance(self.quantizer, IQ):
            return sparsification.permk_iq_mse(X, n) if n <= d else self.sparsifier.mse(X)
        return super().mse(X)

    def _inner(self, ctx: Context) -> Context:
        d = self.sparsifier.slots(ctx.d, ctx.n)
        return Context(d, ctx.clients, ctx.n, ctx.key.fold(INNER))


def compose(sparsifier: Sparsifier, quantizer: Compressor) -> Composition:
    """Return the compressor that quantizes what the sparsifier keeps.

    >>> from cqlib.compressors import TernGrad, TopK
    >>> compose(TopK(k=10), TernGrad()).unbiased
    False
    """
    return Composition(sparsifier, quantizer)
