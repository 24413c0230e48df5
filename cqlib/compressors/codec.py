"""The author's contract: the members that a new compressor defines.

Six are required: ``name``, ``facts``, ``layout``, ``quantize``, ``dequantize``, ``bits``. Four give
the theory, where it is known: ``omega``, ``ab_constants``, ``variance``, ``mse``. Four are optional
parts, objects from :mod:`cqlib.compressors.parts`: ``coder``, ``fused``, ``before``, ``sums``.

Shapes: n is the number of clients. c of them are computed in one call: one in ``encode``, all n in
``compress``. d is the number of coordinates. All entries of a batch share their randomness.
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
    """A randomised map from vectors to symbols and scales, and back.

    The fields of a subclass are its options, nothing else; each has a default.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """Properties of the compressor; a class attribute unless they depend on the options."""

    @abstractmethod
    def layout(self, ctx: Context) -> Layout:
        """Return the sizes of these clients' messages, at constant cost per client."""

    @abstractmethod
    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Turn vectors of shape (..., c, d), float32 or float64 and finite, into symbols."""

    @abstractmethod
    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Turn symbols back into vectors of shape (..., c, d).

        Raises:
            ValueError: if no client could have sent these symbols and scales.
        """

    @abstractmethod
    def bits(self, d: int, n: int) -> float:
        """Return the expected bits per client in a compressed round; a float counts 32."""

    # --- theory, where it is known ---------------------------------------------------------------

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return the smallest known omega with E|C_i(x) - x|^2 <= omega |x|^2 (Definition 1).

        Args:
            d: dimension, at least 1.
            n: number of clients; if None, return a value that holds for every number of clients.

        Raises:
            ValueError: if the compressor is biased, or if n is None and omega depends on it.
        """
        if not self.facts.unbiased:
            raise ValueError(f"{self.name} is biased: it has no omega and no AB constants")
        raise ValueError(f"{self.name}: no omega is known for these options")

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        """Return the constants for ``ab``, which has checked the arguments.

        The default is Proposition 1: A = omega / n, B = 0 for independent clients, and A = omega,
        B = 0 for clients with any dependence.
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

        The default is the formula for independent unbiased clients, from their variances.

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
        """Return the coder of symbols into bytes, for a context of a single client."""
        layout = self.layout(ctx)
        return ByAlphabet(layout.of_one()[0], layout.alphabet)

    @property
    def fused(self) -> Fused | None:
        """Kernels that do several steps at once."""
        return None

    @property
    def before(self) -> Statistic | None:
        """The statistic that all clients agree on ahead of a round."""
        return None

    @property
    def sums(self) -> Sums | None:
        """The rule to add messages before decoding; if given, ``mean`` decodes the sum."""
        return None
