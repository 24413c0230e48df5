"""A report on the machine code of the Triton kernels, made without a GPU.

``python -m benchmarks.gpu_report`` compiles all of ``kernels.gpu.compiled``, in the variants listed
here, for sm_80, sm_90 and sm_100. It prints registers, shared memory and spills of each, and an
**estimate** of its speed: the smaller of two limits, that of the memory bandwidth if each byte is
moved once, and that of the schedulers if every instruction is issued once. It measures nothing on a
GPU; ``benchmarks.gpu`` does. It needs Triton 3.3 or later.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table


class Machine(NamedTuple):
    """A GPU as its maker describes it."""

    name: str
    processors: int  # streaming multiprocessors
    gigahertz: float  # boost clock
    gigabytes_per_second: float
    warps: int  # most that a processor holds
    shared_kilobytes: int  # of a processor, available to kernels


# From NVIDIA's data sheets and tuning guides; for the B200, with the clock of the H100.
MACHINES = {
    80: Machine("A100 80 GB SXM", 108, 1.41, 2039, 64, 164),
    90: Machine("H100 SXM", 132, 1.98, 3350, 64, 228),
    100: Machine("B200", 148, 1.98, 8000, 64, 228),
}
_REGISTERS = 65_536  # of a processor; a warp gets them in units of 256
_RESERVED_SHARED = 1024  # bytes of each block's shared memory that the system takes
_THREADS = 128
_SCHEDULERS = 4  # of a processor; each issues one instruction for 32 lanes per cycle


class Variant(NamedTuple):
    """One kernel with fixed options, and the counts for its cost."""

    name: str  # file of ``kernels.gpu.compiled``, and function without "_kernel"
    options: dict[str, Any]
    types: dict[str, str]
    coordinates: float  # that a thread processes
    bytes: float  # moved per coordinate
    loops: bool = False  # then instructions run more often than they stand in the code


@dataclass(frozen=True)
class Compiled:
    """A kernel compiled for one architecture."""

    kernel: str
    options: str
    architecture: int
    registers: int
    shared_bytes: int
    spilled_bytes: int
    contractions: int  # fused multiply-adds in the intermediate code
    instructions: int
    occupancy: float  # share of the warps for which registers and shared memory suffice
    bytes_per_coordinate: float
    memory_limit: float  # 10^9 coordinates a second, an estimate
    issue_limit: float | None  # likewise; unknown for kernels with loops


def variants() -> list[Variant]:
    """Return all variants; a mean is over n = 16 messages."""
    x, codes, scale, i32 = "*fp32", "*u8", "*fp32", "i32"
    keys = dict.fromkeys(("k0", "k1", "s0", "s1", "n", "d"), i32)
    n = 16
    encode = {"x_ptr": x, "scale_ptr": scale, "places_ptr": "*i64", "out_ptr": codes, **keys}
    mean = {"codes_ptr": codes, "scales_ptr": scale, "out_ptr": "*fp32", "width": i32, **keys}
    decode = {"codes_ptr": codes, "scale_ptr": scale, "out_ptr": "*fp32", "d": i32}
    words = {"out_ptr": "*i32", "blocks": i32, **keys}
    rotate = {"x_ptr": x, "words_ptr": "*i32", "out_ptr": x, "d": i32, "unit": "fp32"}
    far = {"x_ptr": x, "out_ptr": x, "distance": i32}
    signs = {"y_ptr": x, "out_ptr": codes, "total_ptr": "*i64", "D": i32}
    spread = {"codes_ptr": codes, "out_ptr": "*i32", "D": i32}
    values = {"h_ptr": "*i32", "words_ptr": "*i32", "factor_ptr": "*fp64", "out_ptr": x, "d": i32}
    tile = {"SIZE": 2048, "STAGES": 11}
    fold = {"x_ptr": x, "out_ptr": "*fp64", "size": i32, "count": i32, "step": i32}
    places = {"out_ptr": "*i64", "tiles": i32, "client": i32, **keys}
    levels = {"x_ptr": x, "scale_ptr": scale, "s": i32, "first": i32, "count": i32, **keys}
    integers, packed = {**levels, "out_ptr": "*i8"}, {**levels, "out_ptr": codes}
    unpack = {"codes_ptr": codes, "scale_ptr": scale, "out_ptr": "*fp32", "bad_ptr": "*i32"}
    unpack |= {"d": i32, "s": i32}
    f64, wide_out = {"x_ptr": "*fp64"}, {"out_ptr": "*fp64"}
    wide = f64 | wide_out
    return [
        Variant("one_bit.encode", {"CORRELATED": False, "BLOCK": 128}, encode, 8, 4 + 1 / 8),
        Variant("one_bit.encode", {"CORRELATED": True, "BLOCK": 128}, encode, 8, 4 + 17 / 128),
        Variant("one_bit.sigma", {"BLOCK": 128}, places, 1024, 8 / 1024, True),
        Variant("one_bit.decode", {"BLOCK": 128}, decode, 8, 4 + 1 / 8),
        Variant("one_bit.average", {"EQUAL": True, "BLOCK": 128}, mean, 8, 4 + n / 8, True),
        Variant("one_bit.average", {"EQUAL": False, "BLOCK": 128}, mean, 8, 4 + n / 8, True),
        Variant("levels.levels", {"WIDTH": 0, "BLOCK": 128}, integers, 8, 4 + 1),
        Variant("levels.levels", {"WIDTH": 4, "BLOCK": 128}, packed, 8, 4 + 1 / 2),
        Variant("levels.pack", {"WIDTH": 0, "BLOCK": 128}, packed, 5, 4 + 1 / 5),
        Variant("levels.pack", {"WIDTH": 4, "BLOCK": 128}, packed, 2, 4 + 1 / 2),
        Variant("levels.unpack", {"WIDTH": 0, "BLOCK": 128}, unpack, 1, 4 + 1 / 5),
        Variant("levels.unpack", {"WIDTH": 4, "BLOCK": 128}, unpack, 1, 4 + 1 / 2),
        Variant("hadamard.sign_words", {"BLOCK": 128}, words, 128, 1 / 8),
        Variant("hadamard.rotate", tile, rotate, 16, 8 + 1 / 8),
        Variant("hadamard.stages", {"COLUMNS": 16, "SIZE": 2048, "STAGES": 7}, far, 16, 8),
        Variant("hadamard.signs", {"BLOCK": 128}, signs, 8, 4 + 1 / 8),
        Variant("hadamard.unpack", tile, spread, 16, 4 + 1 / 8),
        Variant("hadamard.values", {"BLOCK": 128}, values, 1, 8 + 1 / 8),
        Variant("hadamard.stages", {"COLUMNS": 1, **tile}, far, 16, 8),
        Variant("sums.fold", {"SQUARE": True, "FAR": False, "BLOCK": 256}, fold, 16, 4 + 1),
        Variant("sums.fold", {"SQUARE": False, "FAR": False, "BLOCK": 256}, fold | wide, 16, 8 + 1),
        Variant("sums.fold", {"SQUARE": False, "FAR": True, "BLOCK": 8}, fold | wide, 8, 8 + 1),
        # Arguments of float64, and the widest symbols.
        Variant(
            "one_bit.encode", {"CORRELATED": True, "BLOCK": 128}, encode | f64, 8, 8 + 17 / 128
        ),
        Variant("one_bit.decode", {"BLOCK": 128}, decode | wide_out, 8, 8 + 1 / 8),
        Variant(
            "one_bit.average", {"EQUAL": False, "BLOCK": 128}, mean | wide_out, 8, 8 + n / 8, True
        ),
        Variant("levels.levels", {"WIDTH": 18, "BLOCK": 128}, packed | f64, 8, 8 + 18 / 8),
        Variant("levels.unpack", {"WIDTH": 18, "BLOCK": 128}, unpack | wide_out, 1, 8 + 18 / 8),
        Variant("hadamard.rotate", tile, rotate | f64, 16, 12 + 1 / 8),
        Variant("hadamard.values", {"BLOCK": 128}, values | wide_out, 1, 12 + 1 / 8),
        Variant("sums.fold", {"SQUARE": True, "FAR": False, "BLOCK": 256}, fold | f64, 16, 8 + 1),
    ]


def compile_all() -> Iterator[Compiled]:
    """Compile every variant for every architecture; this takes about ten seconds.

    Raises:
        RuntimeError: if Triton is set to interpret kernels instead of compiling them.
    """
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise RuntimeError("unset TRITON_INTERPRET: interpreted kernels cannot be compiled")
    for variant in variants():
        for architecture in MACHINES:
            yield _compiled(variant, architecture)


def _compiled(variant: Variant, architecture: int) -> Compiled:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from cqlib.kernels.gpu.launch import OPTIONS

    module, name = variant.name.split(".")
    function = getattr(import_module(f"cqlib.kernels.gpu.compiled.{module}"), f"{name}_kernel")
    names = function.arg_names
    signature = {name: variant.types.get(name, "constexpr") for name in names}
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if signature[name].startswith("*")
    }
    constants = {(names.index(name),): value for name, value in variant.options.items()}
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=aligned)
    options = {"num_warps": _THREADS // 32, **OPTIONS}
    result = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    usage = _inspect(tools / "cuobjdump", "--dump-resource-usage", result.asm["cubin"])
    registers, stack, local = (
        int(_found(rf"{what}:(\d+)", usage)) for what in ("REG", "STACK", "LOCAL")
    )
    shared = (
        result.metadata.shared
    )  # requested at the launch, so that the machine code does not show it
    machine_code = _inspect(tools / "cuobjdump", "-sass", result.asm["cubin"])
    instructions = len(
        re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?!\s|NOP)", machine_code, re.MULTILINE)
    )
    machine = MACHINES[architecture]
    warps = _THREADS // 32
    by_registers = _REGISTERS // (-(-registers * 32 // 256) * 256 * warps)
    by_shared = machine.shared_kilobytes * 1024 // (shared + _RESERVED_SHARED)
    resident = min(by_registers, by_shared, machine.warps // warps) * warps
    issued = machine.processors * _SCHEDULERS * 32 * machine.gigahertz
    return Compiled(
        kernel=variant.name,
        options=" ".join(
            [f"{k.lower()}={v}" for k, v in variant.options.items() if k != "BLOCK"]
            + [f"{k.removesuffix('_ptr')}:f64" for k, v in variant.types.items() if v == "*fp64"]
        ),
        architecture=architecture,
        registers=registers,
        shared_bytes=shared,
        spilled_bytes=local + stack,
        contractions=len(re.findall(r"\bfma\.", result.asm["ptx"])),
        instructions=instructions,
        occupancy=resident / machine.warps,
        bytes_per_coordinate=variant.bytes,
        memory_limit=machine.gigabytes_per_second / variant.bytes,
        issue_limit=None if variant.loops else issued * variant.coordinates / instructions,
    )


def _inspect(tool: Path, option: str, cubin: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), option, file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"the output of cuobjdump has no {pattern}: {text!r}")
    return match[1]


def main() -> None:
    """Print the table, or with ``--json`` the rows."""
    rows = list(compile_all())
    if sys.argv[1:] == ["--json"]:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    table = Table(title="Compiled, not run; limits are estimates")
    for header in ("kernel", "sm", "registers", "shared", "spilled", "fma", "instructions"):
        table.add_column(header)
    for header in ("occupancy", "B/coord.", "memory Gc/s", "issue Gc/s"):
        table.add_column(header, justify="right")
    for r in rows:
        table.add_row(
            f"{r.kernel} {r.options}".strip(),
            *(str(v) for v in (r.architecture, r.registers, r.shared_bytes, r.spilled_bytes)),
            str(r.contractions),
            str(r.instructions),
            f"{r.occupancy:.0%}",
            f"{r.bytes_per_coordinate:.3g}",
            f"{r.memory_limit:.0f}",
            "" if r.issue_limit is None else f"{r.issue_limit:.0f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
