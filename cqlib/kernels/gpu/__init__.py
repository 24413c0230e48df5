"""The kernels on a GPU: the functions of ``reference`` as Triton programs, with the same bits.

Arguments and results are tensors on one device. Under ``TRITON_INTERPRET=1``, set before this
module is imported, they may be in main memory, which serves the tests and nothing else.
"""

from cqlib.kernels.gpu.launch import (
    LANES,
    OPTIONS,
    decode_drive,
    decode_levels,
    decode_one_bit,
    encode_drive,
    encode_levels,
    encode_one_bit,
    joint_mean_one_bit,
    mean_one_bit,
    norm_scale,
    quantize_levels,
    sums_of_squares,
    transform,
)

__all__ = [
    "LANES",
    "OPTIONS",
    "decode_drive",
    "decode_levels",
    "decode_one_bit",
    "encode_drive",
    "encode_levels",
    "encode_one_bit",
    "joint_mean_one_bit",
    "mean_one_bit",
    "norm_scale",
    "quantize_levels",
    "sums_of_squares",
    "transform",
]
