"""What each backend lacks or leaves to another one, and why.

Tests compare this with the functions that a backend has; ``cqlib info`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping

_OTHERS_SHARE = "needed by compressors in main memory only, for steps that no kernel does at once"
_TICKETS = "the literal rule, O(n) a coordinate, is there to compare with; shift_ranks is fast"
_POWERS = "powers of floats differ from one library to the next in their last bits"

# Operations of HostKernels that are not there, by backend.
LACKS: Mapping[str, Mapping[str, str]] = {
    "reference": {},
    "cpu": {},
    "triton": {
        "add_powers": "messages of powers of two are added up in main memory, on their way",
        "l2_scale": "norm_scale with p = 2 is the same",
        "length_in_steps": _OTHERS_SHARE,
        "pack_integers": "sums of levels are packed in main memory, on their way",
        "permutation_ranks": _TICKETS,
        "permuted_clients": _OTHERS_SHARE,
        "philox4x32": _OTHERS_SHARE,
        "private_keys": "two words a client: not worth a program of its own",
        "rotated_back": _OTHERS_SHARE,
        "shift_ranks": "encode_one_bit finds the ranks in registers, and never stores them",
        "sigma": "one client's places are found by encode_one_bit itself",
        "signs": _OTHERS_SHARE,
        "stream_words": "every program computes its own words in registers",
        "unpack_integers": "sums of levels are unpacked in main memory, on their way",
        "unpack_levels": "messages are added up in main memory, on their way",
    },
}

# Operations that are there, but leave some arguments to another backend: which ones, and why.
LEAVES: Mapping[str, Mapping[str, str]] = {
    "reference": {},
    "cpu": {
        "encode_one_bit": "n >= 2^31 to reference: 2 n g would exceed 64 bits",
        "norm_scale": f"p other than 2 to reference: {_POWERS}",
        "permutation_ranks": f"all to reference: {_TICKETS}",
    },
    "triton": {
        "decode_powers": "all to cpu, through main memory: no program is written yet",
        "encode_powers": "all to cpu, through main memory: no program is written yet",
        "norm_scale": f"p other than 2 and inf to reference, through main memory: {_POWERS}",
    },
}
