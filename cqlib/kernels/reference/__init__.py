"""The normative kernels, in NumPy: slow, obvious, and what the bits are.

Every other implementation must give the same bits. The steps are in ``words`` (random words),
``ranks``, ``norms``, ``rounding``, ``packing``, ``hadamard`` and ``powers``; ``fused`` puts them
together.
"""

from cqlib.kernels.reference.fused import (
    decode_drive,
    decode_levels,
    decode_one_bit,
    encode_drive,
    encode_levels,
    encode_one_bit,
    joint_mean_one_bit,
    mean_one_bit,
    quantize_levels,
    unpack_levels,
)
from cqlib.kernels.reference.hadamard import length_in_steps, rotated_back, signs, transform
from cqlib.kernels.reference.norms import l2_scale, norm_scale, sums_of_squares
from cqlib.kernels.reference.packing import pack_integers, unpack_integers
from cqlib.kernels.reference.powers import add_powers, decode_powers, encode_powers
from cqlib.kernels.reference.ranks import permutation_ranks, permuted_clients, shift_ranks, sigma
from cqlib.kernels.reference.words import private_keys, stream_words
from cqlib.philox import philox4x32

__all__ = [
    "add_powers",
    "decode_drive",
    "decode_levels",
    "decode_one_bit",
    "decode_powers",
    "encode_drive",
    "encode_levels",
    "encode_one_bit",
    "encode_powers",
    "joint_mean_one_bit",
    "l2_scale",
    "length_in_steps",
    "mean_one_bit",
    "norm_scale",
    "pack_integers",
    "permutation_ranks",
    "permuted_clients",
    "philox4x32",
    "private_keys",
    "quantize_levels",
    "rotated_back",
    "shift_ranks",
    "sigma",
    "signs",
    "stream_words",
    "sums_of_squares",
    "transform",
    "unpack_integers",
    "unpack_levels",
]
