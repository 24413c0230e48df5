"""The kernels on a CPU: the functions of ``reference`` by compiled loops, with the same bits.

Large vectors are cut into stretches of tiles for as many threads as torch uses
(``torch.set_num_threads``); the bits do not depend on it. The first call of a function compiles it,
or loads it from Numba's cache.
"""

from cqlib.kernels.cpu.levels import (
    add_powers,
    decode_levels,
    decode_powers,
    encode_levels,
    encode_powers,
    pack_integers,
    quantize_levels,
    unpack_integers,
    unpack_levels,
)
from cqlib.kernels.cpu.one_bit import (
    decode_one_bit,
    encode_one_bit,
    joint_mean_one_bit,
    l2_scale,
    mean_one_bit,
    norm_scale,
    permuted_clients,
    philox4x32,
    private_keys,
    shift_ranks,
    sigma,
    stream_words,
    sums_of_squares,
)
from cqlib.kernels.cpu.rotation import (
    decode_drive,
    encode_drive,
    length_in_steps,
    rotated_back,
    signs,
    transform,
)
from cqlib.kernels.reference.ranks import permutation_ranks

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
