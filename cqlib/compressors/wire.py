"""Encoding and decoding of one client's payload, and the mean of received payloads."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import (
    check_alphabet,
    check_decoded,
    check_finite,
    check_key,
    check_mean,
    check_scales,
    check_symbols,
    check_tensor,
    checked_dimension,
    checked_ids,
    checked_max_norm,
    checked_statistic,
)
from cqlib.compressors.codec import Codec
from cqlib.compressors.parts import Sums
from cqlib.compressors.types import Array, Context, Message, Received, Symbols
from cqlib.keys import Key
from cqlib.payload import Payload, PayloadError

_MOST_COORDINATES = 2**48


def encode(
    c: Codec, x: Tensor, client: int, n_clients: int, key: Key, shared: object
) -> Payload | None:
    """Compress one client's vector; see :meth:`Compressor.encode`."""
    statistic = checked_statistic(c.name, c.before, shared)
    client, n_clients = checked_ids(client, n_clients)
    check_key(key)
    check_tensor(x, ndim=(1,), what="x must have shape (d,)")
    vector = x.detach().resolve_neg()
    message = write(c, vector, Context(len(x), np.array([client]), n_clients, key, statistic))
    if message is None:
        return None
    return Payload(c.name, len(x), tag(c, len(x), client, n_clients, key, statistic), *message)


def decode(
    c: Codec,
    payload: Payload,
    client: int,
    n_clients: int,
    key: Key,
    shared: object,
    d: int,
    max_norm: float | None,
) -> Tensor:
    """Return the decoded vector of a payload; see :meth:`Compressor.decode`."""
    d, max_norm = checked_dimension(d), checked_max_norm(max_norm)
    message, ctx = opened(c, payload, client, n_clients, key, shared, d)
    with refusing(ctx.d):
        decoded = read(c, message, ctx)
        check_norm(decoded, client, max_norm)
        return decoded


def mean_of_received(
    c: Codec,
    payloads: Mapping[int, Payload | None],
    d: int,
    n_clients: int,
    key: Key,
    shared: object,
    max_norm: float | None,
) -> Tensor:
    """Return the mean of the clients that answered; see :meth:`Compressor.mean_of_received`."""
    d, max_norm = checked_dimension(d), checked_max_norm(max_norm)
    check_key(key)
    if not isinstance(payloads, Mapping):
        raise ValueError(f"expected payloads by client id, got {type(payloads).__name__}")
    if not payloads:
        raise ValueError("no client answered, so there is no mean")
    received = []
    for client, payload in sorted(payloads.items()):
        client, n_clients = checked_ids(client, n_clients)
        if payload is not None:
            received.append(opened(c, payload, client, n_clients, key, shared, d))
        elif any(c.layout(Context(d, np.array([client]), n_clients, key)).of_one()):
            raise ValueError(f"client {client} is not silent in this round: leave it out")
    with refusing(d):
        if max_norm is not None:
            for message, ctx in received:
                check_norm(read(c, message, ctx), int(ctx.clients[0]), max_norm)
        found = mean(c, received, d, len(payloads))
        if c.sums:
            check_mean(found)
        return found


def tag(
    c: Codec,
    d: int,
    client: int,
    n_clients: int,
    key: Key,
    shared: NDArray[np.float32] | None,
) -> int:
    """Return the CRC-32 of :func:`tag_text`."""
    return zlib.crc32(tag_text(c, d, client, n_clients, key, shared).encode())


def tag_text(
    c: Codec,
    d: int,
    client: int,
    n_clients: int,
    key: Key,
    shared: NDArray[np.float32] | None = None,
) -> str:
    """Return the text that names compressor, options, d, n, client, key and statistic."""
    text = f"{c!r} d={d} n={n_clients} client={client} {key!r}"
    return text if shared is None else f"{text} shared={float(shared)}"


# --- messages ------------------------------------------------------------------------------------


def write(c: Codec, x: Tensor, ctx: Context) -> Message | None:
    """Return the message of a single client, x of shape (d,); None if it is silent."""
    fused = c.fused
    if fused and fused.write:
        return fused.write(x, ctx)
    n_symbols, n_scales = c.layout(ctx).of_one()
    values, scales = quantized(c, as_array(x)[None], ctx)
    if n_symbols == n_scales == 0:
        return None
    parts = c.coder(ctx).pack(values[0, :n_symbols]), scales[0, :n_scales].copy()
    return Message(*(torch.from_numpy(part).to(x.device) for part in parts))


def read(c: Codec, message: Message, ctx: Context) -> Tensor:
    """Return the decoded vector of a single client's message, float32 of shape (d,).

    Raises:
        ValueError: if no client could have sent the message.
    """
    fused = c.fused
    if fused and fused.read:
        return fused.read(message, ctx)
    data, scales = (as_array(part) for part in message)
    symbols = c.coder(ctx).unpack(data)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values are refused below
        values = dequantized(c, Symbols(symbols[None], scales[None]), ctx)[0]
    if not np.isfinite(values).all():
        raise ValueError("payload decodes to values beyond the largest float32")
    return torch.from_numpy(values).to(message.codes.device)


def size(c: Codec, ctx: Context) -> tuple[int, int]:
    """Return the number of code bytes and of scales of a single client's message."""
    return c.coder(ctx).size, c.layout(ctx).of_one()[1]


def mean(
    c: Codec, received: Received, d: int, n: int, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return the sum of the decoded messages, in their order, over n: shape (d,).

    It is computed in float64 and rounded to ``dtype`` once.

    Raises:
        ValueError: if no client could have sent the message.
    """
    fused, sums = c.fused, c.sums
    if sums and received:
        (message, ctx), *_ = received
        levels = np.stack([read_levels(c, sums, *each) for each in received])
        added = sums.mean(levels, ctx.shared, ctx.key, n)
        return torch.from_numpy(added).to(message.codes.device, dtype)
    found = fused.mean(received, d, n, dtype) if fused and fused.mean else None
    if found is not None:
        return found
    total = torch.zeros(d, dtype=torch.float64)
    for message, ctx in received:
        decoded = read(c, message, ctx)
        total = total.to(decoded.device)
        total += decoded
    return (total / n).to(dtype)


def read_levels(c: Codec, sums: Sums, message: Message, ctx: Context) -> Array:
    """Return the signed integers of a message, shape (d,), for :class:`Sums`."""
    fused = c.fused
    if fused and fused.read_levels:
        return fused.read_levels(message, ctx)
    return sums.levels(c.coder(ctx).unpack(as_array(message.codes)))


def quantized(c: Codec, rows: Array, ctx: Context) -> Symbols:
    """Return the symbols of vectors of shape (..., c, d).

    Raises:
        ValueError: if rows have NaN or infinity, or a scale exceeds float32; it names the client.
            If the compressor's symbols are outside of its alphabet.
        TypeError: if symbols or scales have other shapes or dtypes than the layout says.
    """
    check_finite(rows, ctx.clients)
    with np.errstate(over="ignore"):  # infinite scales are refused below
        symbols = c.quantize(rows, ctx)
    layout = c.layout(ctx)
    check_symbols(c.name, symbols, layout, rows.shape[:-1])
    check_scales(symbols.scales, ctx.clients, f"a scale of {c.name}")
    if type(c).coder is Codec.coder:  # another coder may send symbols of several alphabets
        check_alphabet(c.name, symbols.values, layout.alphabet)
    return symbols


def dequantized(c: Codec, symbols: Symbols, ctx: Context) -> NDArray[np.float32]:
    """Return the decoded vectors of symbols, shape (..., c, d).

    Raises:
        ValueError: if no client could have sent the symbols.
        TypeError: if the compressor returns another shape or dtype.
    """
    values = c.dequantize(symbols, ctx)
    check_decoded(c.name, values, (*symbols.scales.shape[:-1], ctx.d))
    return values


def as_array(x: Tensor) -> Array:
    """Return a tensor as an array on the host."""
    return np.asarray(x.detach().cpu().numpy())


# --- checks of the server ------------------------------------------------------------------------


def opened(
    c: Codec,
    payload: Payload,
    client: int,
    n_clients: int,
    key: Key,
    shared: object,
    d: int,
) -> tuple[Message, Context]:
    """Return message and context of a payload; raise unless it is of this client and this round."""
    client, n_clients = checked_ids(client, n_clients)
    check_key(key)
    if not isinstance(payload, Payload):
        kind = type(payload).__name__
        raise ValueError(f"expected a Payload, as Payload.from_bytes gives, got {kind}")
    if payload.compressor != c.name:
        raise PayloadError(f"payload is from {payload.compressor!r}, not from {c.name!r}")
    statistic = checked_statistic(c.name, c.before, shared)
    if payload.d != d:
        raise PayloadError(f"client {client}: d = {payload.d}, expected {d}")
    if payload.tag != tag(c, d, client, n_clients, key, statistic):
        also = "" if statistic is None else f", shared = {float(statistic)}"
        raise PayloadError(
            f"payload was made with other options, or for another d, n, client or round than "
            f"d = {d}, n = {n_clients}, client = {client}, {key}{also}"
        )
    if d >= _MOST_COORDINATES:
        raise PayloadError(f"no vector has d = {d} coordinates")
    ctx = Context(d, np.array([client]), n_clients, key, statistic)
    with refusing(d):
        n_symbols, n_scales = c.layout(ctx).of_one()
        if n_symbols == n_scales == 0:
            raise ValueError(f"client {client} is silent in this round")
        if len(payload.scales) != n_scales:
            raise ValueError(f"expected {n_scales} scales, got {len(payload.scales)}")
    return Message(payload.codes.detach(), payload.scales.detach()), ctx


def check_norm(decoded: Tensor, client: int, max_norm: float | None) -> None:
    """Raise ValueError if a decoded vector, shape (d,), is longer than a server takes."""
    if max_norm is None:
        return
    norm = float(torch.linalg.vector_norm(decoded, dtype=torch.float64))
    if norm > max_norm:
        raise ValueError(
            f"client {client}: the decoded vector has norm {norm:.4g}, "
            f"above max_norm = {max_norm:g}"
        )


@contextmanager
def refusing(d: int) -> Iterator[None]:
    """Turn errors of reading a payload into :class:`PayloadError`."""
    try:
        yield
    except ValueError as error:
        raise PayloadError(str(error)) from None
    except MemoryError:
        raise PayloadError(f"no memory for d = {d} coordinates") from None
