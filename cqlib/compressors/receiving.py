"""What a server checks before it reads a payload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from cqlib.compressors.checks import checked_ids
from cqlib.compressors.types import Context, Message
from cqlib.keys import Key
from cqlib.payload import Payload, PayloadError

if TYPE_CHECKING:
    from cqlib.compressors.base import Compressor

_MOST_COORDINATES = 2**48


def opened(
    compressor: Compressor,
    payload: Payload,
    *,
    client: int,
    n_clients: int,
    key: Key,
    d: int | None,
    shared: object,
) -> tuple[Message, Context]:
    """Return the message of a payload that is meant for these clients and this round."""
    client, n_clients = checked_ids(client, n_clients)
    if payload.compressor != compressor.name:
        raise PayloadError(f"payload is from {payload.compressor!r}, not from {compressor.name!r}")
    statistic = compressor.checked_statistic(shared)
    if d is not None and payload.d != d:
        raise PayloadError(f"client {client}: d = {payload.d}, expected {d}")
    d = payload.d
    tag = compressor.tag(d, client=client, n_clients=n_clients, key=key, shared=statistic)
    if payload.tag != tag:
        also = "" if statistic is None else f", shared = {float(statistic)}"
        raise PayloadError(
            f"payload was made with other options, or for another d, n, client or round than "
            f"d = {d}, n = {n_clients}, client = {client}, {key}{also}"
        )
    if d >= _MOST_COORDINATES:
        raise PayloadError(f"no vector has d = {d} coordinates")
    ctx = Context(d, np.array([client]), n_clients, key, statistic)
    with refusing(d):
        n_codes, n_scales = (int(size[0]) for size in compressor.sizes(ctx))
        if n_codes == n_scales == 0:
            raise ValueError(f"client {client} is silent in this round")
        if len(payload.scales) != n_scales:
            raise ValueError(f"expected {n_scales} scales, got {len(payload.scales)}")
    return Message(payload.codes.detach(), payload.scales.detach()), ctx


@contextmanager
def refusing(d: int) -> Iterator[None]:
    """Turn what reading raises into :class:`PayloadError`."""
    try:
        yield
    except ValueError as error:
        raise PayloadError(str(error)) from None
    except MemoryError:
        raise PayloadError(f"no memory for d = {d} coordinates") from None
