"""The Walsh-Hadamard transform and DRIVE by compiled loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels.api import Array, StreamKey
from cqlib.kernels.cpu.compiled import butterflies, drive
from cqlib.kernels.cpu.threads import over_tiles, private_words
from cqlib.kernels.reference import hadamard
from cqlib.kernels.reference.buffers import (
    check_padding,
    check_vector,
    empty_codes,
    empty_rotated,
    output,
)
from cqlib.kernels.reference.packing import TILE
from cqlib.keys import Key, Stream, runs_of_keys, words_of_keys


def transform(x: Array, *, out: Array | None = None) -> Array:
    """Transform row by row in place, in a copy of x unless ``out`` is x."""
    y = hadamard.empty_like(x, out)
    if y is not x:
        y[...] = x
    rows = y.reshape(-1, y.shape[-1])
    return over_tiles(
        len(rows), lambda a, b: butterflies.transform(rows, a, b), y, y.shape[-1] / TILE
    )


def signs(stream_key: StreamKey, D: int) -> NDArray[np.float32]:
    """Fill row by row."""
    k0, k1 = (np.asarray(k, dtype=np.uint64) for k in stream_key)
    out = np.empty((k0.size, D), dtype=np.float32)
    drive.row_signs(k0.reshape(-1), k1.reshape(-1), out)
    return out.reshape(*k0.shape, D)


def norm1_in_steps(y: NDArray[np.float32]) -> NDArray[np.int64]:
    """Add row by row."""
    rows = np.ascontiguousarray(y).reshape(-1, y.shape[-1])
    steps = np.empty(len(rows), dtype=np.int64)
    drive.norm1_rows(rows, steps)
    return steps.reshape(y.shape[:-1])


def rotated_back(bits: Array, scales: Array, row_signs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform signs as int32, which is exact."""
    D = bits.shape[-1]
    h = np.empty(bits.shape, dtype=np.int32)
    out = np.empty(bits.shape, dtype=np.float32)
    rows, clients = (a.reshape(-1, D) for a in (h, row_signs))
    factor = np.asarray(scales, dtype=np.float64).reshape(-1) / math.sqrt(D)
    drive.signed_rows(np.ascontiguousarray(bits).reshape(-1, D), rows)
    transform(h, out=h)
    drive.read_rows(rows, factor, np.ascontiguousarray(clients), out.reshape(-1, D))
    return out


def simulate_drive(
    X: Array, squares: Array, *, unbiased: bool, key: Key | Sequence[Key]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Rotate there and back row by row; vectors of more than one block by their messages."""
    b, n, d = X.shape
    D = hadamard.rotated_size(d)
    if butterflies.BLOCK < D:
        return _by_messages(X, squares, unbiased, key)
    keys, ends = ([key], [b]) if isinstance(key, Key) else runs_of_keys(key)
    own = np.empty((2, len(keys), n), np.uint64)
    ids, words = np.arange(n, dtype=np.uint64), words_of_keys(keys)
    drive.keys_of_round(words, int(Stream.ROTATION), ids, own)
    means, S = np.empty((b, d)), np.empty((b, n), dtype=np.float32)
    units = hadamard.unit_power(squares).astype(np.float64)
    rows, upper = np.ascontiguousarray(X), np.array(ends)
    drive.simulate(rows, squares, units, upper, own, D, unbiased, means, S)
    return means, S


def _by_messages(
    X: Array, squares: Array, unbiased: bool, key: Key | Sequence[Key]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    b, n, d = X.shape
    total, S = np.zeros((b, d)), np.empty((b, n), dtype=np.float32)
    for row, own in enumerate([key] * b if isinstance(key, Key) else key):
        for i in range(n):
            x, square = X[row, i], float(squares[row, i])
            codes, S[row, i] = encode_drive(x, square, unbiased=unbiased, key=own, client=i)
            total[row] += decode_drive(codes, S[row, i], d=d, key=own, client=i)
    return total / n, S


def encode_drive(
    x: Array,
    squares: float,
    *,
    unbiased: bool,
    key: Key,
    client: int,
    out: NDArray[np.uint8] | None = None,
    scratch: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.uint8], np.float32]:
    """Rotate block by block, then pack the signs; extra memory: D bits and ``scratch``."""
    check_vector(x)
    D = hadamard.rotated_size(x.size)
    y = empty_rotated(D, scratch)
    codes = empty_codes(-(-D // 8), out)
    unit = hadamard.unit_power(squares)
    words = _sign_words(key, client, D)
    factor = x.dtype.type(unit)
    x = np.ascontiguousarray(x)
    blocks, tiles = max(D // butterflies.BLOCK, 1), butterflies.BLOCK // TILE
    over_tiles(blocks, lambda a, b: drive.rotate_blocks(x, factor, words, a, b, y), y, 32)
    if blocks == 1:
        steps = drive.sign_small(y, codes)
    else:
        parts: list[int] = []
        over_tiles(
            tiles, lambda a, b: parts.append(drive.sign_tiles(y, a, b, codes)), codes, blocks
        )
        steps = sum(parts)
    S = np.float32(hadamard.drive_scale(squares, steps, D, unbiased=unbiased))
    if S == 0:
        codes[:] = 0
    return codes, S


def decode_drive(
    codes: NDArray[np.uint8],
    scale: Array | float,
    *,
    d: int,
    key: Key,
    client: int,
    out: Array | None = None,
) -> Array:
    """Unpack the signs, then rotate back; extra memory: D integers, unless d = D."""
    D = hadamard.rotated_size(d)
    check_padding(codes, D)
    values = output((d,), np.float32, out)
    words, factor = _sign_words(key, client, D), float(scale) / math.sqrt(D)
    codes = np.ascontiguousarray(codes)
    in_place = d == D and values.dtype == np.float32
    h = values.view(np.int32) if in_place else np.empty(D, dtype=np.int32)
    over_tiles(
        max(D // butterflies.BLOCK, 1), lambda a, b: drive.unpack_blocks(codes, a, b, h), h, 32
    )
    if butterflies.BLOCK < D:
        _over_columns(lambda a, b: drive.read_columns(h, factor, words, a, b, values), D)
    else:
        drive.read_small(h, factor, words, values)
    return values


def _sign_words(key: Key, client: int, D: int) -> Array:
    k0, k1 = private_words(key, Stream.ROTATION, client)
    words = np.empty((-(-D // hadamard.CHUNK), hadamard.SIGNED), dtype=np.uint32)
    drive.sign_words(k0, k1, words)
    return words


def _over_columns(loop: Callable[[int, int], None], D: int) -> None:
    columns = butterflies.BLOCK // butterflies.COLUMNS
    over_tiles(columns, loop, None, math.ceil(D / butterflies.BLOCK / 8))
