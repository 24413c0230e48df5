"""The fast Walsh-Hadamard transform: in registers, then in the caches, then over memory.

A stage at distance h replaces each pair (a, b) of numbers h apart by (a + b, a - b). D numbers need
the stages at distance 1, 2, 4, ..., D/2, in the order of the reference, since it affects the
rounding of floats. Several stages are done in one pass, to save memory accesses:

    distance          in one pass
    1 .. 8            within a vector of 16 numbers: the vector with changed signs is added to the
                      vector with exchanged lanes, h apart
    16 .. 128         between 16 such vectors, which stay in registers
    256 .. 2048       one pass over 4096 numbers, which fit in the nearest cache
    4096 .. 2^14      three stages in a pass over 2^15 numbers, which fit in the next cache
    2^15 ..           over memory: 128 columns of all rows are copied to a small array, where all
                      stages are done
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cqlib.kernels.cpu.compiled.compile import compiled, inlined

LANES = 16
REGISTERS = 256  # numbers transformed in registers
NEAR = 4096  # numbers that fit in the nearest cache
BLOCK = 2**15  # numbers that fit in the next cache
COLUMNS = 128  # numbers of a row copied at once: fewer would use memory badly


def _butterflies(bits, lanes):
    """Return code for the stages between 2^bits vectors, ``stride`` apart.

    If ``lanes``, the four stages within each vector come first.
    """

    @intrinsic
    def code(typing_context, z, start, stride):
        kind = z.dtype
        element = {
            types.float32: ir.FloatType(),
            types.float64: ir.DoubleType(),
            types.int32: ir.IntType(32),
        }[kind]
        vector = ir.VectorType(element, LANES)

        def generate(context, builder, signature, arguments):
            array, position, distance = arguments
            floats = kind != types.int32
            add = builder.fadd if floats else builder.add
            subtract = builder.fsub if floats else builder.sub
            name = f"llvm.fma.v{LANES}f{kind.bitwidth}"
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), name
            )
            data = context.make_array(signature.args[0])(context, builder, array).data
            places, values = [], []
            for _ in range(1 << bits):
                place = builder.bitcast(builder.gep(data, [position]), vector.as_pointer())
                value = builder.load(place)
                value.align = kind.bitwidth // 8
                places.append(place)
                values.append(value)
                position = builder.add(position, distance)
            for far in (1, 2, 4, 8) if lanes else ():
                exchange = ir.Constant(
                    ir.VectorType(ir.IntType(32), LANES), [lane ^ far for lane in range(LANES)]
                )
                sign = ir.Constant(vector, [-1 if lane & far else 1 for lane in range(LANES)])
                nothing = ir.Constant(vector, ir.Undefined)
                for i, value in enumerate(values):
                    other = builder.shuffle_vector(value, nothing, exchange)
                    if floats:  # a product with 1 or -1 is exact
                        values[i] = builder.call(fused, [value, sign, other])
                    else:
                        values[i] = add(other, builder.mul(value, sign))
            for stage in range(bits):
                far = 1 << stage
                for i in range(1 << bits):
                    if not i & far:
                        low, high = values[i], values[i | far]
                        values[i], values[i | far] = add(low, high), subtract(low, high)
            for place, value in zip(places, values, strict=True):
                builder.store(value, place).align = kind.bitwidth // 8
            return context.get_dummy_value()

        return types.void(z, types.int64, types.int64), generate

    return code


_two, _four, _eight, _sixteen = (_butterflies(bits, lanes=False) for bits in (1, 2, 3, 4))
_first_eight_stages = _butterflies(4, lanes=True)


@inlined
def upper_stages(z, start, size, low):
    """Do the stages at distance low .. size/2 on size numbers; low is at least 16."""
    distance = low
    while distance < size:
        if 8 * distance <= size:
            whole = 8 * distance
            for base in range(start, start + size, whole):
                for c in range(base, base + distance, LANES):
                    _eight(z, c, distance)
        elif 4 * distance == size:
            whole = size
            for c in range(start, start + distance, LANES):
                _four(z, c, distance)
        else:
            whole = size
            for c in range(start, start + distance, LANES):
                _two(z, c, distance)
        distance = whole


@inlined
def _few(z, start, size):
    """Transform fewer than REGISTERS numbers, by scalar code."""
    distance = 1
    while distance < size:
        for base in range(start, start + size, 2 * distance):
            for i in range(base, base + distance):
                low, high = z[i], z[i + distance]
                z[i], z[i + distance] = low + high, low - high
        distance *= 2


@inlined
def lower_stages(z, start, size):
    """Transform size <= NEAR numbers in place."""
    if size < REGISTERS:
        _few(z, start, size)
        return
    for c in range(start, start + size, REGISTERS):
        _first_eight_stages(z, c, LANES)
    if size == NEAR:
        for c in range(start, start + REGISTERS, LANES):
            _sixteen(z, c, REGISTERS)
    else:
        upper_stages(z, start, size, REGISTERS)


@inlined
def transform_block(z, start, size):
    """Transform size <= BLOCK numbers in place."""
    near = min(size, NEAR)
    for base in range(start, start + size, near):
        lower_stages(z, base, near)
    upper_stages(z, start, size, near)


@inlined
def copy_columns(source, target, source_row, target_row, rows):
    """Copy COLUMNS numbers of each row; rows are source_row and target_row apart."""
    for r in range(rows):
        there, here = source[r * source_row :], target[r * target_row :]
        for l in range(COLUMNS):
            here[l] = there[l]


@compiled
def transform(z, first, last):
    """Transform rows first .. last - 1 of z, shape (rows, D), in place."""
    D = z.shape[1]
    rows = D // BLOCK
    columns = np.empty(max(rows, 1) * COLUMNS, z.dtype)
    for i in range(first, last):
        y = z[i]
        for start in range(0, D, BLOCK):
            transform_block(y, start, min(D, BLOCK))
        if rows > 1:
            for c in range(0, BLOCK, COLUMNS):
                copy_columns(y[c:], columns, BLOCK, COLUMNS, rows)
                upper_stages(columns, 0, columns.size, COLUMNS)
                copy_columns(columns, y[c:], COLUMNS, BLOCK, rows)
