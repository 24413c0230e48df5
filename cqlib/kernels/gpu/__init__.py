"""The kernels on a GPU: Triton functions with the same bits as ``reference``.

Arguments and results are tensors on one device. For tests they may be CPU tensors, if
``TRITON_INTERPRET=1`` is set before this module is imported. Contracts: :mod:`cqlib.kernels.api`;
missing operations: :mod:`cqlib.kernels.limits`.
"""

from cqlib.kernels.gpu.levels import decode_levels, encode_levels, quantize_levels
from cqlib.kernels.gpu.norms import norm_scale, sums_of_squares
from cqlib.kernels.gpu.one_bit import (
    average_one_bit,
    decode_one_bit,
    encode_one_bit,
    simulate_one_bit,
)
from cqlib.kernels.gpu.powers import decode_powers, encode_powers
from cqlib.kernels.gpu.rotation import decode_drive, encode_drive, transform

__all__ = [
    "average_one_bit",
    "decode_drive",
    "decode_levels",
    "decode_one_bit",
    "decode_powers",
    "encode_drive",
    "encode_levels",
    "encode_one_bit",
    "encode_powers",
    "norm_scale",
    "quantize_levels",
    "simulate_one_bit",
    "sums_of_squares",
    "transform",
]
