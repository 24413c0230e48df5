"""The kernels on a CPU: compiled loops with the same bits as ``reference``.

Threads share the tiles of a large vector. Their number is torch's (``torch.set_num_threads``); the
bits do not depend on it. The first call of a function compiles it, or loads it from Numba's cache.
Contracts: :mod:`cqlib.kernels.api`.
"""

from cqlib.kernels.cpu.levels import decode_levels, encode_levels, quantize_levels, unpack_levels
from cqlib.kernels.cpu.norms import l2_scale, norm_scale, sums_of_squares
from cqlib.kernels.cpu.one_bit import (
    average_one_bit,
    decode_one_bit,
    encode_one_bit,
    simulate_one_bit,
)
from cqlib.kernels.cpu.packing import pack_integers, unpack_integers
from cqlib.kernels.cpu.powers import add_powers, decode_powers, encode_powers
from cqlib.kernels.cpu.ranks import permutation_ranks, permuted_clients, shift_ranks, sigma
from cqlib.kernels.cpu.rotation import (
    decode_drive,
    encode_drive,
    norm1_in_steps,
    rotated_back,
    signs,
    simulate_drive,
    transform,
)
from cqlib.kernels.cpu.shares import simulate_shares
from cqlib.kernels.cpu.symbols import dither, pack, unpack
from cqlib.kernels.cpu.words import philox4x32, private_keys, stream_words

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
