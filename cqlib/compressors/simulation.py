"""All clients in one call: the same numbers as from their payloads, without making bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.averaging import average
from cqlib.compressors.checks import (
    as_statistic,
    check_finite,
    check_key,
    check_mean,
    check_scales,
    check_tensor,
    checked_statistic,
)
from cqlib.compressors.codec import Codec
from cqlib.compressors.parts import Statistic
from cqlib.compressors.types import Context
from cqlib.compressors.wire import as_array, dequantized, quantized
from cqlib.keys import Key, runs_of_keys


def compress(c: Codec, X: Tensor, key: Key, shared: object) -> Tensor:
    """Compress all clients; see :meth:`Compressor.compress`."""
    ctx = _context(c, X, key, shared)
    return _compressed(c, X.detach().resolve_neg(), ctx)


def mean(c: Codec, X: Tensor, key: Key | Sequence[Key], shared: object) -> Tensor:
    """Return the mean that the server gets; see :meth:`Compressor.mean`."""
    if isinstance(key, Sequence):
        return _mean_of_each(c, X, key, shared)
    ctx, X = _context(c, X, key, shared), X.detach().resolve_neg()
    fused, sums = c.fused, c.sums
    if sums:
        levels = sums.levels(quantized(c, as_array(X), ctx).values)
        found = torch.from_numpy(sums.mean(levels, ctx.shared, key, ctx.n)).to(X.device)
    elif fused and fused.simulate:
        found = fused.simulate(X, ctx)
    else:
        found = average(_compressed(c, X, ctx))
    mean = found.to(X.dtype)
    if sums:
        check_mean(mean)
    return mean


def _mean_of_each(c: Codec, X: Tensor, keys: Sequence[Key], shared: object) -> Tensor:
    """Return the means of members with keys of their own, shape (b, d)."""
    check_tensor(X, ndim=(3,), what="with several keys, X must have shape (b, n, d)")
    if len(keys) != len(X):
        raise ValueError(f"need a key for each of {len(X)} members, got {len(keys)}")
    for key in keys:
        check_key(key)
    each = c.fused.simulate_each if c.fused and not c.sums else None
    if each:
        ctx = _context(c, X, keys[0], shared)
        return each(X.detach().resolve_neg(), ctx, keys).to(X.dtype)
    runs, start, found = runs_of_keys(keys), 0, []
    for key, end in zip(*runs, strict=True):
        own = shared if shared is None else np.broadcast_to(np.asarray(shared), len(X))[start:end]
        found.append(mean(c, X[start:end], key, own))
        start = end
    return torch.cat(found)


def statistic(c: Codec, X: Tensor) -> float | None:
    """Return the statistic of all clients; see :meth:`Compressor.statistic`."""
    if c.before is None:
        return None
    check_tensor(X, ndim=(2,), what="X must have shape (n, d)")
    return float(_joint(c.before, X))


def _compressed(c: Codec, X: Tensor, ctx: Context) -> Tensor:
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values are refused below
        values = dequantized(c, quantized(c, as_array(X), ctx), ctx)
    check_scales(values, ctx.clients)
    return torch.from_numpy(values).to(device=X.device, dtype=X.dtype)


def _context(c: Codec, X: Tensor, key: Key, shared: object) -> Context:
    """Return the context of all clients; their statistic is given or computed from X."""
    check_key(key)
    check_tensor(X, ndim=(2, 3), what="X must have shape (n, d) or (b, n, d)")
    n_clients, d = X.shape[-2:]
    if c.before is None:
        found = checked_statistic(c.name, None, shared)
    elif shared is None:
        found = _joint(c.before, X)
    else:
        found = as_statistic(c.name, shared, X.shape[:-2])
    return Context(d, np.arange(n_clients), n_clients, key, found)


def _joint(before: Statistic, X: Tensor) -> NDArray[np.float32]:
    rows, clients = as_array(X), np.arange(X.shape[-2])
    check_finite(rows, clients)
    return before.joint(rows, clients)
