"""The contract of a compressor, and all that is common to them.

To write a new one, make a file beside this one with a frozen dataclass derived from
:class:`Compressor` and fill in

``quantize``
    vectors to symbols and floats, for any set of clients at once;
``dequantize``
    symbols and floats back to vectors;
``bits``, ``omega``
    what the compressor costs and what is known about its error.

The rest has defaults: one symbol of two a coordinate and one float (``alphabet``, ``n_codes``,
``n_scales``), all clients speak (``sizes``), their errors are independent (``ab_constants``), and
no exact error is known (``variance``, ``mse``). Then name the class in
``cqlib/compressors/__init__.py``. ``encode`` and ``compress`` both go through ``quantize`` and
``dequantize``, so the wire and the simulator cannot disagree. Shapes below: n clients, c of them at
hand (one in ``encode``, all n in ``compress``), d coordinates, and any leading batch axes, which
share their randomness.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.averaging import client_mean
from cqlib.compressors.checks import (
    as_statistic,
    check_constants,
    check_finite,
    check_scales,
    check_tensor,
    checked_ids,
)
from cqlib.compressors.receiving import opened, refusing
from cqlib.compressors.types import AB, Array, Constants, Context, Message, Sizes, Symbols
from cqlib.kernels.reference import packing
from cqlib.keys import Key
from cqlib.payload import Payload
from cqlib.theory.constants import dependent_constants, independent_constants
from cqlib.theory.vectors import Vectors


@dataclass(frozen=True)
class Compressor(ABC):
    """A randomised map of n client vectors to n vectors that are cheaper to send.

    Fields of a subclass are its options and nothing else. See the module for what to implement.
    """

    name: ClassVar[str]

    @property
    def unbiased(self) -> bool:
        """Whether E C_i(x) = x for every client and every x (Assumption 4)."""
        return True

    @property
    def joint(self) -> bool:
        """Whether the clients need each other: shared randomness, or their number."""
        return False

    @property
    def deterministic(self) -> bool:
        """Whether no randomness is used at all."""
        return False

    @property
    def may_be_silent(self) -> bool:
        """Whether a client may have nothing to send in a round."""
        return False

    @property
    def statistic_bits(self) -> int:
        """Bits that each client sends ahead of its message, for a statistic of all vectors."""
        return 0

    @property
    def adds_messages(self) -> bool:
        """Whether the server adds messages up before it decodes them, so that ``mean`` rounds so.

        Else the mean is that of the decoded vectors, added up in float64 in the clients' order.
        """
        return False

    @property
    def can_be_cut(self) -> bool:
        """Whether whole tiles of a message are the messages of these coordinates alone.

        There is one symbol a coordinate, and decoding it takes the floats and nothing else.
        """
        return False

    # --- what a new compressor implements --------------------------------------------------------

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
        """Expected bits that a client sends in a compressed round; one float counts 32."""

    @abstractmethod
    def omega(self, d: int, n: int | None = None) -> float:
        r"""Smallest known omega with E|C_i(x) - x|^2 <= omega |x|^2 for all i, x (Definition 1).

        Args:
            d: dimension, at least 1.
            n: number of clients; without it, a value for any number.

        Raises:
            ValueError: if the compressor is biased, or no omega serves any number of clients.
        """

    # --- what it may replace ---------------------------------------------------------------------

    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        """Return the constants that :meth:`ab` gives, for arguments that it has checked.

        By default those of Proposition 1: A = omega / n, B = 0 for independent clients, and
        A = omega, B = 0 for clients that depend on each other in whatever way.
        """
        omega = self.omega(d, n)
        found = dependent_constants(omega) if self.joint else independent_constants(omega, n)
        return AB(*found, homogeneous_only=False)

    def stat(self, x: Tensor) -> float:
        """Return what a client tells about its vector, shape (d,), before the round.

        Raises:
            ValueError: if the compressor uses no such statistic.
        """
        raise ValueError(self._no_statistic)

    def merge_stats(self, stats: Sequence[float]) -> float:
        """Return the statistic of all clients, which encoding and decoding take as ``shared``.

        Raises:
            ValueError: if the compressor uses no such statistic.
        """
        raise ValueError(self._no_statistic)

    def statistic(self, X: Tensor) -> float | None:
        """Return what to give as ``shared`` where all vectors, shape (n, d), are at hand.

        None if the compressor uses no statistic.
        """
        if not self.statistic_bits:
            return None
        check_tensor(X, ndim=(2,), what="X must have shape (n, d)")
        return float(self._joint_stat(X))

    def joint_stat(self, rows: Array, clients: Array) -> NDArray[np.float32]:
        """Return the statistic of all clients, shape (...), from vectors of shape (..., n, d).

        It is that of :meth:`merge_stats`.
        """
        raise ValueError(self._no_statistic)

    def variance(self, X: Vectors) -> NDArray[np.float64]:
        """Exact E|C_i(a_i) - a_i|^2 of each client, shape (n,), for X of shape (n, d).

        Raises:
            ValueError: if no closed form is known.
        """
        raise ValueError(f"{self.name}: no closed form of the error is known for these options")

    def mse(self, X: Vectors) -> float:
        r"""Exact mean squared error of the mean, $\mathbb E\|\frac1n\sum_iC_i(a_i)-\bar a\|^2$.

        Args:
            X: shape (n, d), one row a client.

        Raises:
            ValueError: if no closed form is known.
        """
        if self.joint or not self.unbiased:
            raise ValueError(f"{self.name}: no closed form of the error is known for these options")
        return float(np.sum(self.variance(X))) / len(X) ** 2

    def alphabet(self, d: int) -> int:
        """Return how many different symbols there are."""
        return 2

    def n_codes(self, d: int) -> int:
        """Symbols that a client sends."""
        return d

    def n_scales(self, d: int) -> int:
        """Floats that a client sends beside its symbols."""
        return 1

    def sizes(self, ctx: Context) -> Sizes:
        """Symbols and floats that each client sends in this round; at constant cost per client."""
        c = len(ctx.clients)
        return Sizes(np.full(c, self.n_codes(ctx.d)), np.full(c, self.n_scales(ctx.d)))

    def code_bytes(self, count: int, ctx: Context) -> int:
        """Bytes that a client's ``count`` symbols take."""
        return packing.code_bytes(count, self.alphabet(ctx.d))

    def pack(self, codes: Array, ctx: Context) -> NDArray[np.uint8]:
        """Pack one client's symbols, shape (count,), into bytes."""
        return packing.pack(codes, self.alphabet(ctx.d))

    def unpack(self, data: NDArray[np.uint8], count: int, ctx: Context) -> Array:
        """Undo :meth:`pack`; raises ``ValueError`` if the bytes cannot stand for that many."""
        return packing.unpack(data, count, self.alphabet(ctx.d))

    # --- where a kernel does several steps at once -----------------------------------------------

    def write(self, x: Tensor, ctx: Context) -> Message | None:
        """Return the message of the one client at hand, x of shape (d,); None if it is silent."""
        n_codes, n_scales = (int(size[0]) for size in self.sizes(ctx))
        rows = _as_array(x)[None]
        check_finite(rows, ctx.clients)
        with np.errstate(over="ignore"):  # what overflows float32 is refused below
            codes, scales = self.quantize(rows, ctx)
        check_scales(scales, ctx.clients)
        if n_codes == n_scales == 0:
            return None
        parts = self.pack(codes[0, :n_codes], ctx), scales[0, :n_scales].copy()
        return Message(*(torch.from_numpy(part).to(x.device) for part in parts))

    def read(self, message: Message, ctx: Context) -> Tensor:
        """Return the vector, float32 of shape (d,), that the one client at hand has sent.

        Raises:
            ValueError: for a message that no client sends.
        """
        data, scales = (_as_array(part) for part in message)
        codes = self.unpack(data, int(self.sizes(ctx).codes[0]), ctx)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
            values = self.dequantize(Symbols(codes[None], scales[None]), ctx)[0]
        if not np.isfinite(values).all():
            raise ValueError("payload stands for values beyond the largest float32")
        return torch.from_numpy(values).to(message.codes.device)

    def read_mean(
        self,
        received: Sequence[tuple[Message, Context]],
        d: int,
        n: int,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return the sum of what messages stand for over n, shape (d,), in their order.

        It is computed in float64 and rounded to ``dtype`` once.

        Raises:
            ValueError: for a message that no client sends.
        """
        total = torch.zeros(d, dtype=torch.float64)
        for message, ctx in received:
            decoded = self.read(message, ctx)
            total = total.to(decoded.device)
            total += decoded
        return (total / n).to(dtype)

    def joint_mean(self, X: Tensor, ctx: Context) -> Tensor:
        """Return the mean of what all clients' vectors, shape (..., n, d), are compressed to.

        The result has shape (..., d); its bits are those of the mean of :meth:`compress`.
        """
        shared = None if ctx.shared is None else torch.from_numpy(ctx.shared)
        return client_mean(self.compress(X, key=ctx.key, shared=shared))

    # --- what every compressor offers ------------------------------------------------------------

    def ab(self, n: int, d: int, *, constants: Constants = "valid") -> AB:
        """Constants of the AB-inequality (Assumption 5).

        Args:
            n: number of clients, at least 1.
            d: dimension, at least 1.
            constants: "valid" for constants that hold for all inputs, "homogeneous" for those
                that hold when all clients have the same vector, "paper" for those of the paper.

        Raises:
            ValueError: for other arguments, or if the compressor has no such constants.
        """
        check_constants(n, d, constants)
        return self.ab_constants(n, d, constants)

    def encode(
        self, x: Tensor, *, client: int, n_clients: int, key: Key, shared: object = None
    ) -> Payload | None:
        """Compress one client's vector into the bytes that it sends.

        Args:
            x: shape (d,), float32 or float64, any device.
            client: this client's id, in [0, n_clients).
            n_clients: n, in [1, 2^32).
            key: the round's key, the same on every client.
            shared: pre-round statistic, for compressors that use one.

        Returns:
            The payload, or None where this client is silent this round.

        Raises:
            ValueError: for NaN or infinity in x, a norm beyond float32, a wrong shape or id.
        """
        statistic = self.checked_statistic(shared)
        client, n_clients = checked_ids(client, n_clients)
        check_tensor(x, ndim=(1,), what="x must have shape (d,)")
        ctx = Context(len(x), np.array([client]), n_clients, key, statistic)
        message = self.write(x.detach(), ctx)
        if message is None:
            return None
        tag = self.tag(ctx.d, client=client, n_clients=n_clients, key=key, shared=statistic)
        return Payload(self.name, ctx.d, tag, *message)

    def decode(
        self,
        payload: Payload,
        *,
        client: int,
        n_clients: int,
        key: Key,
        shared: object = None,
        d: int | None = None,
    ) -> Tensor:
        """Return the vector that the server reads from a payload: float32, shape (d,).

        Args:
            payload: what the client sent.
            client: its id, in [0, n_clients).
            n_clients: n.
            key: the round's key.
            shared: pre-round statistic, for compressors that use one.
            d: the dimension that is expected; any other is refused before any work is done.

        Raises:
            PayloadError: if the payload is malformed or its tag says that it was made by another
                compressor, with other options, or for another d, n, client or round.
        """
        message, ctx = opened(
            self, payload, client=client, n_clients=n_clients, key=key, d=d, shared=shared
        )
        with refusing(ctx.d):
            return self.read(message, ctx)

    def compress(self, X: Tensor, *, key: Key, shared: object = None) -> Tensor:
        """Compress all clients at once: the numbers of decode(encode(row)), element by element.

        Args:
            X: shape (n, d) or (b, n, d), one row a client; a batch shares its randomness.
            key: the round's key.
            shared: pre-round statistic, for compressors that use one.

        Returns:
            Tensor of X's shape, dtype and device.

        Raises:
            ValueError: as :meth:`encode`, naming the client.
        """
        ctx = self._joint_context(X, key, shared)
        rows = _as_array(X)
        check_finite(rows, ctx.clients)
        with np.errstate(over="ignore"):
            symbols = self.quantize(rows, ctx)
        check_scales(symbols.scales, ctx.clients)
        values = self.dequantize(symbols, ctx)
        return torch.from_numpy(values).to(device=X.device, dtype=X.dtype)

    def mean(self, X: Tensor, *, key: Key, shared: object = None) -> Tensor:
        """Return the server's estimate of the clients' mean, shape (d,) or (b, d).

        Summed in float64 in the order of the clients and divided last, so that processes which
        add up decoded payloads one by one get the same bits.
        """
        ctx = self._joint_context(X, key, shared)
        return self.joint_mean(X.detach(), ctx).to(X.dtype)

    def mean_of_received(
        self,
        payloads: Mapping[int, Payload | None],
        *,
        d: int,
        n_clients: int,
        key: Key,
        shared: object = None,
    ) -> Tensor:
        """Return the server's estimate of the mean of the vectors of those clients that answered.

        Clients may be missing, if which ones does not depend on the round's randomness: each
        decoded vector of an unbiased compressor is unbiased, so that their mean is too, for the
        mean of the vectors of those received. What else is lost, each compressor says.

        Args:
            payloads: by client id; None for a client that is silent this round, as the key tells,
                which counts as received. A client that is missing has no entry.
            d: dimension of the vectors.
            n_clients: n, the missing ones included.
            key: the round's key.
            shared: pre-round statistic of all clients, for compressors that use one.

        Returns:
            float64 tensor of shape (d,), summed in the order of the clients, divided last.

        Raises:
            ValueError: if nobody answered, or None is given for a client that is not silent.
            PayloadError: as :meth:`decode`, or for another dimension than d.
        """
        if not payloads:
            raise ValueError("no client answered, so there is no mean")
        received = []
        for client, payload in sorted(payloads.items()):
            client, n_clients = checked_ids(client, n_clients)
            if payload is None:
                sizes = self.sizes(Context(d, np.array([client]), n_clients, key))
                if sizes.codes[0] or sizes.scales[0]:
                    raise ValueError(f"client {client} is not silent in this round: leave it out")
                continue
            received.append(
                opened(
                    self, payload, client=client, n_clients=n_clients, key=key, d=d, shared=shared
                )
            )
        with refusing(d):
            return self.read_mean(received, d, len(payloads))

    def tag(
        self,
        d: int,
        *,
        client: int,
        n_clients: int,
        key: Key,
        shared: NDArray[np.float32] | None = None,
    ) -> int:
        """Return the 32-bit check that ties a payload to compressor, options, d, n, client, key."""
        text = self.tag_text(d, client=client, n_clients=n_clients, key=key)
        if shared is not None:
            text += f" shared={float(shared)}"
        return zlib.crc32(text.encode())

    def tag_text(self, d: int, *, client: int, n_clients: int, key: Key) -> str:
        """Return the text whose CRC-32 is the tag."""
        return f"{self!r} d={d} n={n_clients} client={client} {key!r}"

    def checked_statistic(self, shared: object) -> NDArray[np.float32] | None:
        """Return the pre-round statistic that was given, if there is to be one.

        Raises:
            ValueError: if it is missing, not needed, or not finite and at least 0.
        """
        if self.statistic_bits:
            return as_statistic(self.name, shared, ())
        if shared is not None:
            raise ValueError(f"{self._no_statistic}; shared must be None")
        return None

    def _joint_context(self, X: Tensor, key: Key, shared: object) -> Context:
        """Return the context of all clients, with their statistic, given or taken from X."""
        check_tensor(X, ndim=(2, 3), what="X must have shape (n, d) or (b, n, d)")
        n_clients, d = X.shape[-2:]
        if not self.statistic_bits:
            found = self.checked_statistic(shared)
        elif shared is None:
            found = self._joint_stat(X)
        else:
            found = as_statistic(self.name, shared, X.shape[:-2])
        return Context(d, np.arange(n_clients), n_clients, key, found)

    def _joint_stat(self, X: Tensor) -> NDArray[np.float32]:
        rows, clients = _as_array(X), np.arange(X.shape[-2])
        check_finite(rows, clients)
        return self.joint_stat(rows, clients)

    @property
    def _no_statistic(self) -> str:
        return f"{self.name} uses no pre-round statistic"


def _as_array(x: Tensor) -> Array:
    return np.asarray(x.detach().cpu().numpy())
