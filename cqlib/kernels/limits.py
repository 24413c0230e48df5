"""The operations that each backend lacks or leaves to another one, with reasons.

Tests compare this with the functions of each backend; ``cqlib info`` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_STEP = "a step of compressors that is always done on NumPy arrays"
_SUMS = "messages are added in main memory"
_IN_REGISTERS = "each instance computes its own in registers and stores none"
_LITERAL = "the rule as the paper states it, O(n) per coordinate; for comparison only"
_POWERS = "the last bits of powers of floats differ between libraries"
_UNWRITTEN = "all vectors, to cpu by way of main memory: not written in Triton yet"

# Operations of ``HostKernels`` that a backend lacks.
LACKS: Mapping[str, Mapping[str, str]] = {
    "reference": {},
    "cpu": {},
    "gpu": {
        "add_powers": _SUMS,
        "dither": _STEP,
        "l2_scale": "norm_scale with p = 2 is the same",
        "norm1_in_steps": _STEP,
        "pack": _STEP,
        "pack_integers": _SUMS,
        "permutation_ranks": _LITERAL,
        "permuted_clients": _STEP,
        "philox4x32": _STEP,
        "private_keys": _STEP,
        "rotated_back": _STEP,
        "shift_ranks": _IN_REGISTERS,
        "sigma": _IN_REGISTERS,
        "signs": _STEP,
        "simulate_drive": _STEP,
        "simulate_shares": _STEP,
        "stream_words": _IN_REGISTERS,
        "unpack": _STEP,
        "unpack_integers": _SUMS,
        "unpack_levels": _SUMS,
    },
}

# Operations that a backend leaves to another one: for which arguments, to which one, and why.
LEAVES: Mapping[str, Mapping[str, str]] = {
    "reference": {},
    "cpu": {
        "encode_one_bit": "2^31 clients or more, to reference: 2 n g exceeds 64 bits",
        "norm_scale": f"p other than 2, to reference: {_POWERS}",
        "pack": "alphabets above 2^32, to reference: symbols are computed in 32 bits",
        "permutation_ranks": f"all clients, to reference: {_LITERAL}",
        "unpack": "alphabets above 2^32, to reference: symbols are computed in 32 bits",
    },
    "gpu": {
        "decode_powers": _UNWRITTEN,
        "encode_powers": _UNWRITTEN,
        "norm_scale": f"p other than 2 and inf, to reference by way of main memory: {_POWERS}",
    },
}


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield backend, operations and reason, for operations that it lacks or leaves to another one.

    >>> [(operations, reason) for backend, operations, reason in rows() if backend == "cpu"][0]
    ('encode_one_bit', 'left for 2^31 clients or more, to reference: 2 n g exceeds 64 bits')
    """
    for said, limits in (("lacking", LACKS), ("left for", LEAVES)):
        link = ": " if said == "lacking" else " "
        for backend, reasons in limits.items():
            for reason in dict.fromkeys(reasons.values()):
                names = [name for name, given in reasons.items() if given == reason]
                yield backend, ", ".join(names), f"{said}{link}{reason}"
