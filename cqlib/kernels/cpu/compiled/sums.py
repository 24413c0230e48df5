"""Sums of squares, in the order of ``norms.tree_sum``."""

from __future__ import annotations

import numpy as np

from cqlib.kernels.cpu.compiled.compile import compiled, inlined
from cqlib.kernels.reference.norms import ROW, SMALLEST_SCALE

INFINITY, SMALLEST = np.float32(np.inf), np.float32(SMALLEST_SCALE)


@inlined
def _square(v):
    return np.float64(v) * np.float64(v)


@inlined
def _four_rows(x, out):
    """Fill out, shape (ROW,), with the tree sum of the squares of the 4 rows of x."""
    x0, x1, x2, x3 = x[:ROW], x[ROW : 2 * ROW], x[2 * ROW : 3 * ROW], x[3 * ROW : 4 * ROW]
    for l in range(ROW):
        out[l] = (_square(x0[l]) + _square(x1[l])) + (_square(x2[l]) + _square(x3[l]))


@inlined
def _sixteen_rows(x, four, out):
    """As ``_four_rows``, for 16 rows; ``four`` is scratch, four arrays like out."""
    f0, f1, f2, f3 = four
    _four_rows(x, f0)
    _four_rows(x[4 * ROW :], f1)
    _four_rows(x[8 * ROW :], f2)
    _four_rows(x[12 * ROW :], f3)
    for l in range(ROW):
        out[l] = (f0[l] + f1[l]) + (f2[l] + f3[l])


@inlined
def _folded(node):
    """Return the sum of a row of 64 entries, folded in halves, in place."""
    half = ROW // 2
    while half:
        upper = node[half : 2 * half]
        for l in range(half):
            node[l] += upper[l]
        half //= 2
    return node[0]


@compiled
def sums_of_squares(x, out):
    """Fill out, float64 of shape (rows,), with sums of squares of x of shape (rows, d).

    The tree over the rows of 64 entries is walked with one partial sum per depth. Rows are read 16
    at a time, by fours: more at once would be too many streams for the prefetcher. Rows past the
    end are zeros, which leave the sum unchanged.
    """
    d = x.shape[1]
    if d <= ROW:
        short = np.zeros(ROW)
        for i in range(x.shape[0]):
            for j in range(d):
                short[j] = _square(x[i, j])
            short[d:] = 0.0
            out[i] = _folded(short)
        return
    group = 16 * ROW
    groups = (d + group - 1) // group
    depth = 0
    while (1 << depth) < groups:
        depth += 1
    partial, node = np.empty((depth + 1, ROW)), np.empty(ROW)
    four, rest = (
        (np.empty(ROW), np.empty(ROW), np.empty(ROW), np.empty(ROW)),
        np.zeros(group, x.dtype),
    )
    for i in range(x.shape[0]):
        xi = x[i]
        for p in range(groups):
            xs = xi[p * group :]
            if xs.size >= group:
                _sixteen_rows(xs, four, node)
            else:
                for j in range(xs.size):
                    rest[j] = xs[j]
                _sixteen_rows(rest, four, node)
            level, here, end = 0, p, groups
            while here & 1 or (
                here == end - 1 and here > 0
            ):  # the right one of a pair, or the last
                if here & 1:
                    lower = partial[level]
                    for l in range(ROW):
                        node[l] = lower[l] + node[l]
                level, here, end = level + 1, here >> 1, (end + 1) >> 1
            kept = partial[level]
            for l in range(ROW):
                kept[l] = node[l]
        out[i] = _folded(node)


@compiled
def scales(squares, out):
    """Fill out, float32, with the roots of squares, rounded up; return False if one is zero."""
    positive = True
    for i in range(squares.size):
        norm = np.sqrt(squares[i])
        scale = np.float32(norm)
        if scale < norm:
            scale = np.nextafter(scale, INFINITY)
        out[i] = max(scale, SMALLEST)
        positive &= norm > 0
    return positive
