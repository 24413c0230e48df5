"""The caller's contract: the methods that every compressor offers, with the same code for all.

Each method calls one function of :mod:`cqlib.compressors.wire` (one client, bytes) or of
:mod:`cqlib.compressors.simulation` (all clients at once). Both use the author's ``quantize`` and
``dequantize``, so that the wire and the simulator agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors import simulation, wire
from cqlib.compressors.checks import check_constants
from cqlib.compressors.codec import Codec
from cqlib.compressors.definition import check_class
from cqlib.compressors.types import AB, Constants
from cqlib.keys import Key
from cqlib.payload import Payload


@dataclass(frozen=True)
class Compressor(Codec):
    """A randomised map from n client vectors to n vectors that are cheaper to send.

    To write one, fill in the members of :class:`~cqlib.compressors.codec.Codec`. None of the
    members below may be overridden. A base class of several compressors has a name that begins
    with an underscore, or is defined with ``abstract=True``.
    """

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        """Raise TypeError if the class lacks a member or overrides a final one."""
        super().__init_subclass__()
        check_class(cls, Compressor, abstract=abstract or cls.__name__.startswith("_"))

    @property
    @final
    def unbiased(self) -> bool:
        """True if E C_i(x) = x for every client and every x (Assumption 4)."""
        return self.facts.unbiased

    @property
    @final
    def joint(self) -> bool:
        """True if a client's message depends on shared randomness or on the number of clients."""
        return self.facts.joint

    @final
    def ab(self, n: int, d: int, *, constants: Constants = "valid") -> AB:
        """Return the constants of the AB-inequality (Assumption 5).

        Args:
            n: number of clients, at least 1.
            d: dimension, at least 1.
            constants: "valid" for constants that hold for all inputs, "homogeneous" for those
                that hold when all clients have the same vector, "paper" for those of the paper.

        Raises:
            ValueError: if an argument is out of range, or the compressor has no such constants.
        """
        check_constants(n, d, constants)
        return self.ab_constants(n, d, constants)

    @final
    def encode(
        self, x: Tensor, *, client: int, n_clients: int, key: Key, shared: object = None
    ) -> Payload | None:
        """Compress one client's vector into the bytes that it sends.

        Args:
            x: shape (d,), float32 or float64, any device.
            client: this client's id, in [0, n_clients).
            n_clients: n, in [1, 2^32).
            key: the round's key, the same on every client.
            shared: statistic, for compressors that use one.

        Returns:
            The payload, or None if this client is silent this round.

        Raises:
            ValueError: if x has NaN or infinity, a norm beyond float32, or a wrong shape, or if an
                id is out of range.
        """
        return wire.encode(self, x, client, n_clients, key, shared)

    @final
    def decode(
        self,
        payload: Payload,
        *,
        d: int,
        client: int,
        n_clients: int,
        key: Key,
        shared: object = None,
        max_norm: float | None = None,
    ) -> Tensor:
        """Return the vector that the server reads from a payload: float32, shape (d,).

        Args:
            payload: the message of the client.
            d: dimension of the server's own vectors; a payload of another is refused before any
                work is done, so that a sender cannot choose how much memory it takes.
            client: its id, in [0, n_clients).
            n_clients: n.
            key: the round's key.
            shared: statistic, for compressors that use one.
            max_norm: longest Euclidean norm of the decoded vector that is accepted, above 0; None
                accepts every finite one.

        Raises:
            ValueError: if d, an id, the statistic or ``max_norm`` is out of range.
            PayloadError: if the payload is malformed or its tag says that it was made by another
                compressor, with other options, or for another d, n, client or round. If the decoded
                vector is longer than ``max_norm``.
        """
        return wire.decode(self, payload, client, n_clients, key, shared, d, max_norm)

    @final
    def compress(self, X: Tensor, *, key: Key, shared: object = None) -> Tensor:
        """Compress all clients at once: the numbers of decode(encode(row)), element by element.

        Args:
            X: shape (n, d) or (b, n, d), one row per client; a batch shares its randomness.
            key: the round's key.
            shared: statistic, for compressors that use one; computed from X by default.

        Returns:
            Tensor of X's shape, dtype and device.

        Raises:
            ValueError: as :meth:`encode`, naming the client.
        """
        return simulation.compress(self, X, key, shared)

    @final
    def mean(self, X: Tensor, *, key: Key | Sequence[Key], shared: object = None) -> Tensor:
        """Return the server's estimate of the clients' mean, shape (d,) or (b, d), in X's dtype.

        The sum is taken in float64 in the order of the clients and divided last. So processes that
        add up decoded payloads one by one get the same bits.

        Args:
            X: shape (n, d) or (b, n, d), one row per client; a batch shares its randomness.
            key: the round's key; or b of them, one per member of a batch, each with the bits of a
                call of its own. Neighbours with the same key are the fastest.
            shared: statistic, for compressors that use one; computed from X by default.

        Raises:
            ValueError: as :meth:`encode`, naming the client; or if there is not one key per member.

        >>> import torch
        >>> from cqlib.compressors import make
        >>> X, keys, cq = torch.eye(3).repeat(2, 1, 1), [Key(0), Key(1)], make("cq")
        >>> torch.equal(cq.mean(X, key=keys)[1], cq.mean(X[1], key=Key(1)))
        True
        """
        return simulation.mean(self, X, key, shared)

    @final
    def mean_of_received(
        self,
        payloads: Mapping[int, Payload | None],
        *,
        d: int,
        n_clients: int,
        key: Key,
        shared: object = None,
        max_norm: float | None = None,
    ) -> Tensor:
        """Return the server's estimate of the mean over the clients that answered.

        Clients may be missing, if the set of missing ones does not depend on the round's
        randomness. With an unbiased compressor the estimate is then unbiased for the mean of the
        received clients' vectors. Each compressor's docstring tells the other effects.

        Args:
            payloads: by client id. None stands for a client that is silent this round (the key
                tells); it counts as received. A missing client has no entry.
            d: dimension of the vectors.
            n_clients: n, the missing ones included.
            key: the round's key.
            shared: statistic of all clients, for compressors that use one.
            max_norm: as in :meth:`decode`, for each client's vector. Each message is then read
                twice: alone for its norm, and for the mean, whose bits do not change.

        Returns:
            float64 tensor of shape (d,): summed in the order of the clients, divided last.

        Raises:
            ValueError: if no client answered, or None is given for a client that is not silent.
            PayloadError: as :meth:`decode`; it names the client.
        """
        return wire.mean_of_received(self, payloads, d, n_clients, key, shared, max_norm)

    @final
    def statistic(self, X: Tensor) -> float | None:
        """Return the value of ``shared`` for all vectors, shape (n, d); None if it is not used."""
        return simulation.statistic(self, X)

    @final
    def tag(
        self,
        d: int,
        *,
        client: int,
        n_clients: int,
        key: Key,
        shared: NDArray[np.float32] | None = None,
    ) -> int:
        """Return the 32-bit checksum of compressor, options, d, n, client and key in a payload."""
        return wire.tag(self, d, client, n_clients, key, shared)
