"""The contract of a compressor, and all that is common to them.

To write a new one, make a file beside this one with a frozen dataclass derived from
:class:`Compressor` and fill in

``quantize``
    vectors to symbols and scales, for any set of clients at once;
``dequantize``
    symbols and scales back to vectors;
``bits``, ``omega``, ``ab_constants``
    what the compressor costs and what is known about its error.

``pack`` and ``unpack`` turn symbols into bytes; the default is one bit a coordinate.
Then name the class in ``cqlib/compressors/__init__.py``. ``encode`` and ``compress`` both go
through ``quantize`` and ``dequantize``, so the wire and the simulator cannot disagree. Shapes
below: n clients, c of them at hand (one in ``encode``, all n in ``compress``), d coordinates, and
any leading batch axes, which share their randomness.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.kernels import reference
from cqlib.keys import Key
from cqlib.payload import Payload, PayloadError

Array = NDArray[Any]
Constants = Literal["valid", "homogeneous", "paper"]


class AB(NamedTuple):
    r"""Constants of the AB-inequality (Assumption 5).

    $\mathbb E\|\frac1n\sum_i C_i(a_i)-\bar a\|^2 \le A\frac1n\sum_i\|a_i\|^2-B\|\bar a\|^2$,
    for all inputs, or only for equal ones where ``homogeneous_only``.
    """

    A: float
    B: float
    homogeneous_only: bool


class Symbols(NamedTuple):
    """What a client tells the server, before packing."""

    codes: Array  # shape (..., c, symbols)
    scales: NDArray[np.float32]  # shape (..., c, floats)


@dataclass(frozen=True)
class Compressor(ABC):
    """A randomised map of n client vectors to n vectors that are cheaper to send.

    Fields of a subclass are its options and nothing else. See the module for what to implement.
    """

    name: ClassVar[str]
    unbiased: ClassVar[bool] = True
    joint: ClassVar[bool] = False  # needs randomness shared among the clients
    deterministic: ClassVar[bool] = False  # uses no randomness at all

    # --- what a new compressor implements --------------------------------------------------------

    @abstractmethod
    def quantize(self, x: Array, *, clients: Array, n_clients: int, key: Key) -> Symbols:
        """Turn vectors into symbols.

        Args:
            x: shape (..., c, d), float32 or float64, finite.
            clients: ids of the c clients, in [0, n_clients).
            n_clients: n.
            key: the round's key, the only source of randomness.
        """

    @abstractmethod
    def dequantize(
        self, symbols: Symbols, *, d: int, clients: Array, n_clients: int, key: Key
    ) -> NDArray[np.float32]:
        """Turn symbols back into vectors: float32, shape (..., c, d)."""

    @abstractmethod
    def bits(self, d: int, n: int) -> float:
        """Expected bits that a client sends in a compressed round; one float counts 32."""

    @abstractmethod
    def omega(self, d: int) -> float:
        r"""Smallest known omega with E|C(x) - x|^2 <= omega |x|^2 (Definition 1)."""

    @abstractmethod
    def ab_constants(self, n: int, d: int, kind: Constants) -> AB:
        """Return the constants that :meth:`ab` gives, for arguments that it has checked."""

    def pack(self, codes: Array) -> NDArray[np.uint8]:
        """Pack one client's codes, shape (symbols,), into bytes; one bit each by default."""
        return reference.pack_bits(codes)

    def unpack(self, data: NDArray[np.uint8], d: int) -> Array:
        """Undo :meth:`pack`; raises ``ValueError`` if the bytes cannot stand for d coordinates."""
        if len(data) != -(-d // 8):
            raise ValueError(f"d = {d} takes {-(-d // 8)} code bytes, got {len(data)}")
        return reference.unpack_bits(data, d)

    def n_scales(self, d: int) -> int:
        """Floats that a client sends beside its codes."""
        return 1

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
        if constants not in get_args(Constants):
            known = ", ".join(get_args(Constants))
            raise ValueError(f"unknown constants {constants!r}; known: {known}")
        if n < 1 or d < 1:
            raise ValueError(f"n and d must be at least 1, got {n} and {d}")
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
        self._refuse_statistic(shared)
        client, n_clients = _checked_ids(client, n_clients)
        rows = _as_rows(x, ndim=(1,), what="x must have shape (d,)")[None]
        clients = np.array([client])
        _check_finite(rows, clients)
        with np.errstate(over="ignore"):  # what overflows float32 is refused below
            codes, scales = self.quantize(rows, clients=clients, n_clients=n_clients, key=key)
        check_scales(scales, clients)
        d = rows.shape[-1]
        return Payload(
            compressor=self.name,
            d=d,
            tag=self.tag(d, client=client, n_clients=n_clients, key=key),
            codes=torch.from_numpy(self.pack(codes[0])).to(x.device),
            scales=torch.from_numpy(np.ascontiguousarray(scales[0])).to(x.device),
        )

    def decode(
        self, payload: Payload, *, client: int, n_clients: int, key: Key, shared: object = None
    ) -> Tensor:
        """Return the vector that the server reads from a payload: float32, shape (d,).

        Raises:
            PayloadError: if the payload is malformed or its tag says that it was made by another
                compressor, with other options, or for another d, n, client or round.
        """
        self._refuse_statistic(shared)
        client, n_clients = _checked_ids(client, n_clients)
        if payload.compressor != self.name:
            raise PayloadError(f"payload is from {payload.compressor!r}, not from {self.name!r}")
        d = payload.d
        if payload.tag != self.tag(d, client=client, n_clients=n_clients, key=key):
            raise PayloadError(
                f"payload was made with other options, or for another d, n, client or round than "
                f"d = {d}, n = {n_clients}, client = {client}, {key}"
            )
        if payload.scales.numel() != self.n_scales(d):
            raise PayloadError(f"expected {self.n_scales(d)} scales, got {payload.scales.numel()}")
        try:
            codes = self.unpack(payload.codes.detach().cpu().numpy(), d)
        except ValueError as error:
            raise PayloadError(str(error)) from None
        symbols = Symbols(codes[None], payload.scales.detach().cpu().numpy()[None])
        values = self.dequantize(
            symbols, d=d, clients=np.array([client]), n_clients=n_clients, key=key
        )
        return torch.from_numpy(values[0]).to(payload.codes.device)

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
        self._refuse_statistic(shared)
        rows = _as_rows(X, ndim=(2, 3), what="X must have shape (n, d) or (b, n, d)")
        n_clients, d = rows.shape[-2:]
        clients = np.arange(n_clients)
        _check_finite(rows, clients)
        with np.errstate(over="ignore"):
            symbols = self.quantize(rows, clients=clients, n_clients=n_clients, key=key)
        check_scales(symbols.scales, clients)
        values = self.dequantize(symbols, d=d, clients=clients, n_clients=n_clients, key=key)
        return torch.from_numpy(values).to(device=X.device, dtype=X.dtype)

    def mean(self, X: Tensor, *, key: Key, shared: object = None) -> Tensor:
        """Return the server's estimate of the clients' mean, shape (d,) or (b, d).

        Summed in float64 in the order of the clients and divided last, so that processes which
        add up decoded payloads one by one get the same bits.
        """
        return client_mean(self.compress(X, key=key, shared=shared)).to(X.dtype)

    def tag(self, d: int, *, client: int, n_clients: int, key: Key) -> int:
        """Return the 32-bit check that ties a payload to compressor, options, d, n, client, key."""
        text = f"{self!r} d={d} n={n_clients} client={client} {key!r}"
        return zlib.crc32(text.encode())

    def _refuse_statistic(self, shared: object) -> None:
        if shared is not None:
            raise ValueError(f"{self.name} uses no pre-round statistic; shared must be None")


def client_mean(values: Tensor) -> Tensor:
    """Mean over the clients, shape (..., n, d) to (..., d), in float64.

    The sum runs over the clients in order and is divided by n last.

    >>> client_mean(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    tensor([2.0000, 3.5000], dtype=torch.float64)
    """
    # In any other layout NumPy would add up several clients apart, and round otherwise.
    rows = np.ascontiguousarray(values.detach().cpu().numpy())
    n_clients, d = rows.shape[-2:]
    if d == 1:  # NumPy would add a single column pairwise instead of in order
        total = np.add.accumulate(rows, axis=-2, dtype=np.float64)[..., -1, :]
    else:
        total = np.add.reduce(rows, axis=-2, dtype=np.float64)
    return torch.from_numpy(total / n_clients).to(values.device)


def _as_rows(x: Tensor, *, ndim: tuple[int, ...], what: str) -> Array:
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64):
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"expected a float32 or float64 tensor, got {kind}")
    if x.ndim not in ndim:
        raise ValueError(f"{what}, got {tuple(x.shape)}")
    if 0 in x.shape:
        raise ValueError(f"{what} with no empty axis, got {tuple(x.shape)}")
    return np.asarray(x.detach().cpu().numpy())


def _checked_ids(client: int, n_clients: int) -> tuple[int, int]:
    for name, value in (("n_clients", n_clients), ("client", client)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise ValueError(f"{name} must be an integer, got {value!r}")
    if not 1 <= n_clients < 2**32:
        raise ValueError(f"n_clients must be in [1, 2^32), got {n_clients}")
    if not 0 <= client < n_clients:
        raise ValueError(f"client must be in [0, {n_clients}), got {client}")
    return int(client), int(n_clients)


def _check_finite(rows: Array, clients: Array) -> None:
    bad = ~np.isfinite(rows)
    if bad.any():
        row = np.argwhere(bad.any(axis=-1))[0]
        count = int(bad[tuple(row)].sum())
        raise ValueError(
            f"client {clients[row[-1]]}: {count} of {rows.shape[-1]} entries are NaN or infinite"
        )


def check_scales(scales: NDArray[np.float32], clients: Array) -> None:
    """Refuse scales of shape (..., c, floats) beyond float32, naming the client."""
    bad = ~np.isfinite(scales)
    if bad.any():
        row = np.argwhere(bad)[0]
        raise ValueError(
            f"client {clients[row[-2]]}: the vector is too large to send, a value or its norm "
            f"exceeds the largest float32, {np.finfo(np.float32).max:.4g}"
        )
