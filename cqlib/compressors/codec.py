"""The contract of the author of a compressor: the members that a new one has.

Six are required: ``name``, ``facts``, ``layout``, ``quantize``, ``dequantize``, ``bits``. Four say
what theory knows: ``omega``, ``ab_constants``, ``variance``, ``mse``. Four are optional parts,
values of :mod:`cqlib.compressors.parts`: ``coder``, ``fused``, ``before``, ``sums``.

Shapes: n clients, of which c are computed at once (one in ``encode``, all n in ``compress``), d
coordinates, and any leading batch axes, which share their randomness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.coders import ByAlphabet
from cqlib.compressors.parts import Coder, Fused, Statistic, Sums
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Layout, Symbols
from cqlib.theory.constants import dependent_constants, independent_constants
from cqlib.theory.vectors import Vectors


@dataclass(frozen=True)
class Codec(ABC):
    """A randomised map of vectors to symbols and floats, and back.

    Fields of a subclass are its options and nothing else; all have defaults.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """What is true of it; a plain class attribute, unless it depends on the options."""

    @abstractmethod
    def layout(self, ctx: Context) -> Layout:
        """Return what the messages of these clients hold; at constant cost per client."""

    @abstractmethod
    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Turn vectors of shape (..., c, d), float32 or float64 and finite, into symbols."""

    @abstractmethod
    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Turn symbols back into vectors of shape (..., c, d).

        Raises:
            ValueError: for symbols or floats that no client sends.
        """

    @abstractmethod
    def bits(self, d: int, n: int) -> float:
        """Return the expected bits of a client in a compressed round; one float counts 32."""

    # --- theory, where it is known ---------------------------------------------------------------

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return the smallest known omega with E|C_i(x) - x|^2 <= omega |x|^2 (Definition 1).

        Args:
            d: dimension, at least 1.
            n: number of clients; without it, a value for any number.

        Raises:
            ValueError: if the compressor is biased, or no omega serves any number of clients.
        """
        if not self.facts.unbiased:
            raise ValueError(f"{self.name} is biased: it has no omega and no AB constants")
        raise ValueError(f"{self.name}: no omega is known for these options")

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        """Return the constants that ``ab`` gives, for arguments that it has checked.

        By default those of Proposition 1: A = omega / n, B = 0 for independent clients, and
        A = omega, B = 0 for clients that depend on each other in any way.
        """
        omega = self.omega(d, n)
        joint = self.facts.joint
        found = dependent_constants(omega) if joint else independent_constants(omega, n)
        return AB(*found, homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Return the exact E|C_i(a_i) - a_i|^2 of each client, shape (n,), for X of shape (n, d).

        Raises:
            ValueError: if no closed form is known.
        """
        raise ValueError(f"{self.name}: no closed form of the error is known for these options")

    def mse(self, X: Vectors) -> float:
        r"""Return the exact error of the mean, $\mathbb E\|\frac1n\sum_iC_i(a_i)-\bar a\|^2$.

        By default that of independent unbiased clients, from their variances.

        Args:
            X: shape (n, d), one row a client.

        Raises:
            ValueError: if no closed form is known.
        """
        if self.facts.joint or not self.facts.unbiased:
            raise ValueError(f"{self.name}: no closed form of the error is known for these options")
        return float(np.sum(self.variance(X))) / len(X) ** 2

    # --- optional parts --------------------------------------------------------------------------

    def coder(self, ctx: Context) -> Coder:
        """Return how the symbols of the only client of a context become bytes."""
        layout = self.layout(ctx)
        return ByAlphabet(layout.of_one()[0], layout.alphabet)

    @property
    def fused(self) -> Fused | None:
        """Kernels that do several steps at once."""
        return None

    @property
    def before(self) -> Statistic | None:
        """The statistic of all clients that the clients agree on ahead of a round."""
        return None

    @property
    def sums(self) -> Sums | None:
        """How messages add up before they are decoded; then ``mean`` rounds the sum, too."""
        return None
