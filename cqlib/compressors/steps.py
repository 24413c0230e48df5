"""Steps of several compressors: norms, random words, rounding, and places of coordinates.

Vectors have shape (..., c, d). A random word depends only on the key, the client's id and the
coordinate; so random words have shape (c, d), without batch axes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cqlib.compressors.checks import SMALLEST_RANGE, check_finite, check_norms, check_scales
from cqlib.compressors.types import Array, Context, Symbols
from cqlib.kernels import dispatch
from cqlib.kernels.api import Kernels, StreamKey
from cqlib.kernels.reference import packing, rounding
from cqlib.keys import Key, Stream

# --- norms ---------------------------------------------------------------------------------------


def norms(x: Array, p: float = 2.0) -> NDArray[np.float32]:
    """Return the p-norms over the last axis: float32, rounded up, 0 or at least 2^-126.

    A norm beyond float32 becomes infinity, for which ``encode`` and ``compress`` raise.

    >>> norms(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([5., 0.], dtype=float32)
    """
    return np.asarray(dispatch.host().norm_scale(x, p))


def in_units(x: Array, scales: Array) -> NDArray[np.float64]:
    """Return x / scales in float64, and x itself where the scale is 0; shapes broadcast."""
    return np.asarray(x / np.where(scales > 0, scales, np.float32(1.0)).astype(np.float64))


def in_blocks(x: Array, block: int) -> Array:
    """Return x in blocks, padded with zeros: shape (..., d) to (..., blocks, block).

    >>> in_blocks(np.array([1, 2, 3]), 2)
    array([[1, 2],
           [3, 0]])
    """
    missing = -x.shape[-1] % block
    if missing:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
    return x.reshape(*x.shape[:-1], -1, block)


def out_of_blocks(blocks: Array, d: int) -> Array:
    """Undo :func:`in_blocks`: shape (..., blocks, block) to (..., d)."""
    return blocks.reshape(*blocks.shape[:-2], -1)[..., :d]


def finite_norms(x: Tensor, ctx: Context, norm: float, kernels: Kernels[Tensor]) -> Tensor:
    """Return the norms of vectors of shape (..., c, d), shape (..., c), on their device.

    Raises:
        ValueError: if x has NaN or infinity, or a norm exceeds float32; it names the client.
    """
    with np.errstate(invalid="ignore"):
        scales = kernels.norm_scale(x, norm)
    on_host = scales.cpu().numpy()
    if not np.isfinite(on_host).all():  # a vector with NaN or infinity has such a norm
        check_finite(x.cpu().numpy(), ctx.clients)
        check_scales(on_host[..., None], ctx.clients)
    return scales


def check_norm(scales: Tensor, codes: Tensor, smallest: float = SMALLEST_RANGE) -> None:
    """Raise if a message's only scale is not a valid norm, or is 0 with nonzero codes."""
    scale = scales.cpu().numpy()
    check_norms(Symbols(np.zeros((1, 1)), scale[None]), smallest)
    if not np.isfinite(scale[0]):
        raise ValueError("payload decodes to values beyond the largest float32")
    if scale[0] == 0 and codes.any():
        raise ValueError("the norm is zero but the codes are not")


def without_symbols_of_zero(symbols: Array, scales: NDArray[np.float32]) -> Array:
    """Return symbols with zeros where the norm, of shape (..., c, 1), is zero."""
    return symbols * (scales > 0)


# --- rounding ------------------------------------------------------------------------------------


def rounding_words(ctx: Context, d: int) -> NDArray[np.int64]:
    """Return the private random words of d coordinates, shape (c, d), in [0, 2^32)."""
    return dispatch.host().stream_words(_rounding_keys(ctx), d)


def dither(y: Array, levels: int, ctx: Context) -> Array:
    """Round y in [-1, 1] to multiples of 1/s without bias; return symbols in [0, 2 s].

    Symbol 2 l - 1 stands for l / s, symbol 2 l for -l / s, symbol 0 for zero. Each client draws its
    own random words. The kernel is compiled and takes about a nanosecond per coordinate.

    Args:
        y: float32 or float64, shape (..., c, d).
        levels: s, in [1, 2^16].
        ctx: the clients and the key.
    """
    return np.asarray(dispatch.host().dither(y, _rounding_keys(ctx), levels=levels))


def dithered(symbols: Array, levels: int) -> NDArray[np.float32]:
    """Return the signed multiples of 1/s of symbols from :func:`dither`, float32.

    >>> dithered(np.array([0, 1, 2, 3]), levels=2)
    array([ 0. ,  0.5, -0.5,  1. ], dtype=float32)
    """
    table = (packing.levels_of(np.arange(2 * levels + 1)) / levels).astype(np.float32)
    return np.asarray(table[symbols])


def with_sign(levels: NDArray[np.int64], negative: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return symbols of levels l and signs: 2 l - 1 if positive, 2 l if negative, 0 for l = 0."""
    return np.where(levels > 0, 2 * levels - ~negative, 0)


def without_sign(symbols: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return levels and negative signs: undo :func:`with_sign`; level 0 is not negative."""
    return (symbols + 1) // 2, (symbols % 2 == 0) & (symbols > 0)


def on_the_grid(
    x: Array, ctx: Context, norm: float = 2.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the coordinates on an integer grid over [-R, R], and R of shape (..., c, 1)."""
    scales = norms(x, norm)
    check_scales(scales[..., None], ctx.clients)  # raises if a range is infinite
    return rounding.grid(x, scales), scales[..., None]


def ranks_of(kind: str, key: Key, d: int, clients: Array, n: int) -> NDArray[np.int64]:
    """Return the clients' ranks at d coordinates, shape (c, d), in [0, n)."""
    kernels = dispatch.host()
    rule = kernels.shift_ranks if kind == "shift" else kernels.permutation_ranks
    return np.asarray(rule(key, d=d, clients=clients, n_clients=n))


def _rounding_keys(ctx: Context) -> StreamKey:
    return dispatch.host().private_keys(ctx.key, Stream.ROUNDING, ctx.clients)


# --- places --------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """The coordinates that the clients keep, and the factor of each client."""

    places: NDArray[np.int64]  # shape (..., c, slots); d stands for an empty slot
    weight: NDArray[np.float64]  # shape (c, 1)


def gather(x: Array, chosen: Kept) -> NDArray[np.float64]:
    """Return the kept coordinates, scaled, shape (..., c, slots); 0 in empty slots."""
    d = x.shape[-1]
    places = np.broadcast_to(chosen.places, (*x.shape[:-1], chosen.places.shape[-1]))
    values = np.take_along_axis(x, np.minimum(places, d - 1), axis=-1).astype(np.float64)
    return np.where(places < d, values * chosen.weight, 0.0)


def scatter(values: NDArray[np.float32], places: NDArray[np.int64], d: int) -> NDArray[np.float32]:
    """Return vectors of shape (..., c, d) with the values in their places."""
    out = np.zeros((*values.shape[:-1], d + 1), dtype=np.float32)
    np.put_along_axis(out, np.broadcast_to(places, values.shape), values, axis=-1)
    return out[..., :d] + np.float32(0.0)


def share_of(order: NDArray[np.int64], part: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    """Cut a permutation into parts whose sizes differ by at most one; return the clients' parts.

    Args:
        order: a permutation of d coordinates.
        part: number of each client's part, shape (c,), in [0, parts).
        parts: number of parts.

    Returns:
        Coordinates, shape (c, ceil(d / parts)); d stands for an empty slot.
    """
    d = len(order)
    slot = np.arange(-(-d // parts))
    start = part * (d // parts) + np.minimum(part, d % parts)
    place = order[np.minimum(start[:, None] + slot, d - 1)]
    return np.where(slot < share_sizes(part, d, parts)[:, None], place, d)


def share_sizes(part: NDArray[np.int64], d: int, parts: int) -> NDArray[np.int64]:
    """Return the sizes of the clients' parts of d coordinates; see :func:`share_of`."""
    small, more = divmod(d, parts)
    return np.asarray(small + (part < more))
