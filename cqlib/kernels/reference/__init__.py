"""The normative kernels, in NumPy: slow and simple; they define the bits.

Every other backend must give the same bits. ``one_bit``, ``levels``, ``powers`` and ``rotation``
combine the steps of ``words`` (random words), ``ranks``, ``norms``, ``rounding``, ``packing`` and
``hadamard``. Contracts: :mod:`cqlib.kernels.api`.
"""

from cqlib.kernels.reference.hadamard import norm1_in_steps, rotated_back, signs, transform
from cqlib.kernels.reference.levels import (
    decode_levels,
    encode_levels,
    quantize_levels,
    unpack_levels,
)
from cqlib.kernels.reference.norms import l2_scale, norm_scale, sums_of_squares
from cqlib.kernels.reference.one_bit import (
    average_one_bit,
    decode_one_bit,
    encode_one_bit,
    simulate_one_bit,
)
from cqlib.kernels.reference.packing import pack, pack_integers, unpack, unpack_integers
from cqlib.kernels.reference.powers import add_powers, decode_powers, encode_powers
from cqlib.kernels.reference.ranks import permutation_ranks, permuted_clients, shift_ranks, sigma
from cqlib.kernels.reference.rotation import decode_drive, encode_drive, simulate_drive
from cqlib.kernels.reference.shares import simulate_shares
from cqlib.kernels.reference.symbols import dither
from cqlib.kernels.reference.words import private_keys, stream_words
from cqlib.philox import philox4x32

__all__ = [
    "add_powers",
    "average_one_bit",
    "decode_drive",
    "decode_levels",
    "decode_one_bit",
    "decode_powers",
    "dither",
    "encode_drive",
    "encode_levels",
    "encode_one_bit",
    "encode_powers",
    "l2_scale",
    "norm1_in_steps",
    "norm_scale",
    "pack",
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
    "simulate_drive",
    "simulate_one_bit",
    "simulate_shares",
    "stream_words",
    "sums_of_squares",
    "transform",
    "unpack",
    "unpack_integers",
    "unpack_levels",
]
