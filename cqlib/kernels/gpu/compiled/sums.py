"""Sums of squares, in the order of ``norms.tree_sum``."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def fold_kernel(
    x_ptr, out_ptr, size, count, step, SQUARE: tl.constexpr, FAR: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Add eight entries, ``step`` apart, by a tree: neighbours first, or the farthest if FAR."""
    x_ptr += tl.program_id(1).to(tl.int64) * size
    out_ptr += tl.program_id(1).to(tl.int64) * count
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    first = i // step * (8 * step) + i % step
    v0 = _entry(x_ptr, first, size, here, SQUARE)
    v1 = _entry(x_ptr, first + step, size, here, SQUARE)
    v2 = _entry(x_ptr, first + 2 * step, size, here, SQUARE)
    v3 = _entry(x_ptr, first + 3 * step, size, here, SQUARE)
    v4 = _entry(x_ptr, first + 4 * step, size, here, SQUARE)
    v5 = _entry(x_ptr, first + 5 * step, size, here, SQUARE)
    v6 = _entry(x_ptr, first + 6 * step, size, here, SQUARE)
    v7 = _entry(x_ptr, first + 7 * step, size, here, SQUARE)
    if FAR:
        total = ((v0 + v4) + (v2 + v6)) + ((v1 + v5) + (v3 + v7))
    else:
        total = ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7))
    tl.store(out_ptr + i, total, mask=here)


@triton.jit
def _entry(x_ptr, i, size, here, SQUARE: tl.constexpr):
    v = tl.load(x_ptr + i, mask=here & (i < size), other=0.0).to(tl.float64)
    return v * v if SQUARE else v
