"""ISCC: importance sampling of independent compressors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import (
    TooLargeError,
    as_integer,
    check_constants,
    check_finite,
    check_scales,
)
from cqlib.compressors.coders import Chain
from cqlib.compressors.contract import Compressor
from cqlib.compressors.drive import Drive
from cqlib.compressors.parts import Fused
from cqlib.compressors.types import AB, Array, Constants, Context, Facts, Layout, Symbols
from cqlib.kernels.derived.subsets import words64
from cqlib.keys import Stream
from cqlib.theory import sparsification
from cqlib.theory.vectors import Vectors, rows_and_unit, squared_norms

_SAFE = 2.0**60  # decoded values of smaller vectors are far from the end of float32
INNER = 2**64 - 2  # the fold of the round's key that the inner compressor uses


class Sent(NamedTuple):
    """The inner messages of some clients: one per draw, without silent ones."""

    rows: NDArray[np.int64]  # index of the client in ctx.clients
    draws: NDArray[np.int64]  # number of the draw, ascending
    symbols: NDArray[np.int64]  # number of symbols
    scales: NDArray[np.int64]  # number of scales
    alphabet: int


@dataclass(frozen=True)
class ISCC(Compressor):
    r"""Importance sampling combinatorial compressor, Lemma 4.

    Each of tau independent draws chooses one client, client i with probability $q_i$. For each draw
    the chosen client sends $\mathcal C(\frac{a_i}{\tau q_i})$ with new randomness; clients without
    a draw are silent and count as zero. The mean over all n clients is unbiased. Missing clients:
    silent clients, which the key tells, count as received; the mean of those received is unbiased,
    but it is zero if all drawn clients are missing.

    Args:
        inner: the compressor of a chosen client; it sees draw t as client t of tau.
        tau: number of draws in a round.
        probabilities: $q_i>0$ of sum 1, one for each client; None for $\frac1n$. With
            $q_i=L_i/\sum_jL_j$ Theorem 3 applies.

    Source: Appendix C.2; the case of tau draws is derived.

    >>> from cqlib.compressors import IQ
    >>> ISCC(inner=IQ()).ab(n=8, d=16)  # A = omega + 1, B = 1
    AB(A=16.0, B=1.0, homogeneous_only=False)
    >>> ISCC().bits(d=64, n=8)  # one of eight clients sends 64 bits and a float
    12.0
    """

    name: ClassVar[str] = "iscc"
    inner: Compressor = field(default_factory=Drive)
    tau: int = 1
    probabilities: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Compressor):
            raise ValueError(f"inner must be a compressor, got {self.inner!r}")
        if self.inner.before:
            raise ValueError(f"inner may not need a statistic of all clients: {self.inner!r}")
        object.__setattr__(self, "tau", as_integer("tau", self.tau, 1, 2**32))
        if self.probabilities is not None:
            object.__setattr__(self, "probabilities", _shares(self.probabilities))

    @property
    def facts(self) -> Facts:
        return Facts(unbiased=self.inner.unbiased, joint=True, may_be_silent=True)

    @property
    def fused(self) -> Fused:
        return Fused(simulate=self._simulate)

    def layout(self, ctx: Context) -> Layout:
        """Return the total sizes of each client's inner messages, one per draw of the client."""
        sent = self._sent(ctx)
        symbols, scales = np.zeros((2, len(ctx.clients)), dtype=np.int64)
        np.add.at(symbols, sent.rows, sent.symbols)
        np.add.at(scales, sent.rows, sent.scales)
        return Layout(sent.alphabet, symbols, scales)

    def coder(self, ctx: Context) -> Chain:
        """Return the coders of the client's messages in a row."""
        draws = self._sent(ctx).draws[:, None]
        return Chain(tuple(self.inner.coder(self._inner(ctx, t)) for t in draws), each="draw")

    def quantize(self, x: Array, ctx: Context) -> Symbols:
        """Compress the vectors of the drawn clients, once per draw."""
        sent = self._sent(ctx)
        if not len(sent.draws):
            nothing = np.zeros((*x.shape[:-1], 0))
            return Symbols(nothing.astype(np.int64), nothing.astype(np.float32))
        scaled = _divided(
            x[..., sent.rows, :], self._weight(ctx)[sent.rows], ctx.clients[sent.rows]
        )
        inner = self._inner(ctx, sent.draws)
        try:
            values, scales = self.inner.quantize(scaled, inner)
            check_scales(scales, sent.draws)
        except TooLargeError as error:  # its client is the number of the draw
            row = sent.rows[np.flatnonzero(sent.draws == error.client)[0]]
            raise TooLargeError(int(ctx.clients[row])) from None
        c = len(ctx.clients)
        if len(np.unique(sent.rows)) < len(sent.rows) and np.abs(scaled).max() > _SAFE:
            decoded = self.inner.dequantize(Symbols(values, scales), inner)
            _check_sums(_sums(decoded, sent.rows, c), ctx.clients)
        return Symbols(
            _to_rows(values, sent.rows, sent.symbols, c),
            _to_rows(scales, sent.rows, sent.scales, c),
        )

    def dequantize(self, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
        """Return the sum of each client's decoded messages; zero for silent clients."""
        sent = self._sent(ctx)
        c = len(ctx.clients)
        if not len(sent.draws):
            return np.zeros((*symbols.scales.shape[:-2], c, ctx.d), dtype=np.float32)
        inner = Symbols(
            _from_rows(symbols.values, sent.rows, sent.symbols),
            _from_rows(symbols.scales, sent.rows, sent.scales),
        )
        values = self.inner.dequantize(inner, self._inner(ctx, sent.draws))
        return _sums(values, sent.rows, c).astype(np.float32)

    def bits(self, d: int, n: int) -> float:
        """Return the bits of tau / n inner messages: the average over the clients."""
        self._smallest_probability(n)  # raises unless there is one for each client
        return self.tau * self.inner.bits(d, self.tau) / n

    def omega(self, d: int, n: int | None = None) -> float:
        r"""Return $\frac1\tau(\frac{1+\omega}{q}-1)$ with the smallest probability, $q=\min_iq_i$.

        Raises:
            ValueError: if n is None and no probabilities are given: $q=\frac1n$ is then unknown.
        """
        if n is None and self.probabilities is None:
            raise ValueError("omega of iscc grows with the number of clients: give n")
        inner = self.inner.omega(d, self.tau)
        q = self._smallest_probability(len(self.probabilities or ()) if n is None else n)
        if self.inner.joint and self.tau > 1:  # a client's own messages may be correlated
            return (1 + inner) * (1 / q + self.tau - 1) / self.tau - 1
        return ((1 + inner) / q - 1) / self.tau

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        r"""Return $A=\frac{1+\omega}{\tau nq}$ and $B=\frac1\tau$, with $q=\min_iq_i$.

        The weighted inequality (Assumption 6) has $A=\frac{1+\omega}\tau$, $B=\frac1\tau$ with
        weights $q_i$ (Lemma 4 for tau = 1): :meth:`weighted_ab`.
        """
        A, B, _ = self.weighted_ab(n, d, constants=kind)
        return AB(A / (n * self._smallest_probability(n)), B, homogeneous_only=False)

    def weighted_ab(self, n: int, d: int, *, constants: Constants = "valid") -> AB:
        r"""Return the constants of the weighted AB-inequality with weights $q_i$ (Lemma 4).

        $A=\frac{1+\omega}\tau$ and $B=\frac1\tau$; but $A=\frac1\tau+\omega$ if tau > 1 and the
        inner messages depend on each other.

        Raises:
            ValueError: if the inner compressor has no omega.
        """
        check_constants(n, d, constants)
        self._smallest_probability(n)
        if constants == "paper" and not self.inner.joint:
            omega = self.inner.ab(1, d, constants="paper").A
        else:
            omega = self.inner.omega(d, self.tau)
        tau = self.tau
        A = 1 / tau + (omega if self.inner.joint and tau > 1 else omega / tau)
        return AB(A, 1 / tau, homogeneous_only=False)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        r"""Return $\tau q_iv_i+\frac1\tau(\frac1{q_i}-1)\|a_i\|^2$.

        $v_i$ is the inner compressor's exact error at $\frac{a_i}{\tau q_i}$.
        """
        q = self._probabilities(len(X))
        sampling = squared_norms(X) * (1 / q - 1) / self.tau
        return np.asarray(self.tau * q * self._inner_variance(X, q) + sampling)

    def mse(self, X: Vectors) -> float:
        r"""Return the error of sampling, plus $\frac\tau{n^2}\sum_iq_iv_i$."""
        q = self._probabilities(len(X))
        sampling = sparsification.importance_sampling_mse(X, tuple(q), self.tau)
        return sampling + self.tau * float(q @ self._inner_variance(X, q)) / len(X) ** 2

    def _inner_variance(self, X: Vectors, q: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.inner.joint or not self.inner.unbiased:  # its messages may depend on each other
            return super().variance(X)
        rows, unit = rows_and_unit(X)
        return self.inner.variance(rows * unit / (self.tau * q)[:, None])

    def _probabilities(self, n: int) -> NDArray[np.float64]:
        if self.probabilities is None:
            return np.full(n, 1 / n)
        if len(self.probabilities) != n:
            raise ValueError(f"there are {len(self.probabilities)} probabilities for {n} clients")
        return np.array(self.probabilities)

    def _smallest_probability(self, n: int) -> float:
        return 1 / n if self.probabilities is None else float(self._probabilities(n).min())

    def _weight(self, ctx: Context) -> NDArray[np.float64]:
        """Return tau q_i of the clients of the context, shape (c,)."""
        if self.probabilities is None:
            return np.full(len(ctx.clients), self.tau / ctx.n)
        return self.tau * self._probabilities(ctx.n)[ctx.clients]

    def _drawn(self, ctx: Context) -> NDArray[np.int64]:
        """Return the drawn clients, shape (tau,), from shared randomness."""
        u = (words64(ctx.key.shared(Stream.DRAW), self.tau) >> np.uint64(11)) / 2.0**53
        if self.probabilities is None:
            return np.minimum((u * ctx.n).astype(np.int64), ctx.n - 1)
        ends = np.cumsum(self._probabilities(ctx.n))
        return np.minimum(np.searchsorted(ends, u, side="right"), ctx.n - 1)

    def _simulate(self, X: Tensor, ctx: Context) -> Tensor:
        """Return the mean over all clients, shape (..., d), computed from the drawn ones only."""
        x = X.cpu().numpy()
        check_finite(x, ctx.clients)
        drawn = self._drawn(ctx)
        inner = self._inner(ctx, np.arange(self.tau))
        clients, place = np.unique(drawn, return_inverse=True)
        with np.errstate(over="ignore"):  # check_scales finds values beyond float32
            scaled = x[..., drawn, :].astype(np.float64) / self._weight(ctx)[drawn][:, None]
            if not np.isfinite(scaled).all():  # an error only if it would be sent
                speaking = self._sent(ctx).draws
                check_scales(scaled[..., speaking, :], drawn[speaking])
                scaled = np.where(np.isfinite(scaled), scaled, 0.0)
            try:
                symbols = self.inner.quantize(scaled, inner)
                check_scales(symbols.scales, inner.clients)
            except TooLargeError as error:  # its client is the number of the draw
                raise TooLargeError(int(drawn[error.client])) from None
            values = self.inner.dequantize(symbols, inner)
        sent = _sums(values, place, len(clients))
        _check_sums(sent, clients)
        total = np.add.accumulate(sent.astype(np.float32), axis=-2, dtype=np.float64)[..., -1, :]
        return torch.from_numpy(total / ctx.n).to(X.device)

    def _sent(self, ctx: Context) -> Sent:
        """Return the inner messages of the clients of a context."""
        drawn = self._drawn(ctx)
        order = np.argsort(ctx.clients, kind="stable")
        place = np.minimum(np.searchsorted(ctx.clients[order], drawn), len(order) - 1)
        rows = order[place]
        draws = np.flatnonzero(ctx.clients[rows] == drawn)
        if not len(draws):
            return Sent(draws, draws, draws, draws, alphabet=1)
        layout = self.inner.layout(self._inner(ctx, draws))
        symbols, scales = layout.each(len(draws))
        speaking = (symbols > 0) | (scales > 0)
        rows, draws = rows[draws][speaking], draws[speaking]
        return Sent(rows, draws, symbols[speaking], scales[speaking], layout.alphabet)

    def _inner(self, ctx: Context, draws: NDArray[np.int64]) -> Context:
        return Context(ctx.d, draws, self.tau, ctx.key.fold(INNER))


def _shares(probabilities: Iterable[float]) -> tuple[float, ...]:
    """Return probabilities as Python floats; raise unless they are positive and add up to 1."""
    try:
        q = tuple(float(p) for p in probabilities)
    except TypeError:
        raise ValueError(f"probabilities must be numbers, got {probabilities!r}") from None
    total = math.fsum(q)
    if not q or not all(0 < p <= 1 for p in q) or abs(total - 1) > 1e-6:
        raise ValueError(f"probabilities must be positive and add up to 1, got {q}")
    return tuple(p / total for p in q)


def _divided(x: Array, weights: NDArray[np.float64], clients: NDArray[np.int64]) -> Array:
    """Return vectors of shape (..., draws, d) over their weights; raise if one is too large."""
    with np.errstate(over="ignore"):
        scaled = x.astype(np.float64) / weights[:, None]
    check_scales(scaled, clients)
    return scaled


def _sums(values: Array, rows: NDArray[np.int64], c: int) -> NDArray[np.float64]:
    """Add vectors of shape (..., draws, d) to those of their clients, shape (..., c, d)."""
    total = np.zeros((*values.shape[:-2], c, values.shape[-1]))
    np.add.at(np.moveaxis(total, -2, 0), rows, np.moveaxis(values, -2, 0))
    return total


def _check_sums(sums: NDArray[np.float64], clients: NDArray[np.int64]) -> None:
    """Raise if the sum of a client's decoded messages exceeds float32."""
    with np.errstate(over="ignore"):
        check_scales(sums.astype(np.float32), clients)


def _offsets(rows: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the column where each message begins: a row holds its messages in order."""
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum(sizes[order])
    starts = ends - sizes[order]
    first = np.searchsorted(rows[order], rows[order])
    offsets = np.empty_like(starts)
    offsets[order] = starts - starts[first]
    return offsets


def _places(
    rows: NDArray[np.int64], sizes: NDArray[np.int64], width: int, outside: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of each entry of messages padded to ``width``.

    The column is ``outside`` for entries of the padding.
    """
    column = np.arange(width)
    columns = _offsets(rows, sizes)[:, None] + column
    return rows[:, None], np.where(column < sizes[:, None], columns, outside)


def _to_rows(messages: Array, rows: NDArray[np.int64], sizes: NDArray[np.int64], c: int) -> Array:
    """Put messages of shape (..., draws, width) into the rows of c clients, one after another."""
    longest = int(np.bincount(rows, weights=sizes, minlength=c).max())
    out = np.zeros((*messages.shape[:-2], c, longest + 1), dtype=messages.dtype)
    row, column = _places(rows, sizes, messages.shape[-1], outside=longest)
    out[..., row, column] = messages
    return out[..., :-1]


def _from_rows(table: Array, rows: NDArray[np.int64], sizes: NDArray[np.int64]) -> Array:
    """Return the messages from the rows: undo :func:`_to_rows`."""
    end = table.shape[-1]
    padded = np.zeros((*table.shape[:-1], end + 1), dtype=table.dtype)
    padded[..., :end] = table
    row, column = _places(rows, sizes, int(sizes.max()), outside=end)
    return np.asarray(padded[..., row, column])
