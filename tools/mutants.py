"""Break the compressors on purpose, one small change at a time, and see which test notices.

``python tools/mutants.py`` copies the checkout to a temporary folder, makes each change of
``MUTANTS`` in the copy, and runs the tests there until the first failure. It ends with 1 if a
mutant survives, or if its text is not in its file exactly once. See ``--help``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cqlib", "tests", "tools")
# Quick ones first; those that are not there are left out.
TESTS = (
    "test_structure.py",
    "test_payload.py",
    "test_packing.py",
    "test_subsets.py",
    "test_rotation.py",
    "test_reference.py",
    "test_compressors.py",
    "test_fuzz.py",
    "test_errors.py",
    "test_kernels.py",
)
GOLDEN = "test_golden.py"


class Mutant(NamedTuple):
    """A change of one place."""

    name: str
    file: str  # in cqlib
    old: str
    new: str
    only: str = ""  # pytest -k, tried before all tests


CQ, DRIVE = "compressors/cq.py", "compressors/drive.py"
ISCC, DITHERING = "compressors/iscc.py", "compressors/dithering.py"
REFERENCE = "kernels/reference/"
RANKS, ROUNDING = REFERENCE + "ranks.py", REFERENCE + "rounding.py"
PACKING = REFERENCE + "packing.py"
LOOPS = "kernels/cpu/compiled/"  # what runs by default; all other changes are tried without it
COMPILED = LOOPS + "one_bit.py"

MUTANTS = [
    # --- wrong by one percent
    Mutant(
        "one bit: values 1 % too large",
        "compressors/onebit.py",
        "symbols.scales, -symbols.scales) + zero",
        "symbols.scales, -symbols.scales) * np.float32(1.01) + zero",
        "iq or cq",
    ),
    Mutant(
        "dithering: values 1 % too large",
        DITHERING,
        "(self.spacing.signed(symbols.codes) * R)",
        "(self.spacing.signed(symbols.codes) * R * 1.01)",
        "dithering or terngrad",
    ),
    Mutant(
        "standard dithering: levels 1 % too high",
        "compressors/spacing.py",
        "return levels / self.s",
        "return levels / self.s * 1.01",
        "dithering",
    ),
    Mutant(
        "natural dithering: levels 1 % too high",
        "compressors/spacing.py",
        "np.ldexp(1.0,",
        "np.ldexp(1.01,",
        "natural",
    ),
    Mutant(
        "natural compression: powers 1 % too high",
        "compressors/natural_compression.py",
        "_POWERS.signed(symbols.codes).astype(np.float32)",
        "(_POWERS.signed(symbols.codes) * 1.01).astype(np.float32)",
        "natural",
    ),
    Mutant(
        "rand_k: weight 1 % too large",
        "compressors/rand_k.py",
        "weight = ctx.d /",
        "weight = 1.01 * ctx.d /",
        "randk or rand_k",
    ),
    Mutant(
        "perm_k: weight 1 % too large",
        "compressors/perm_k.py",
        "(ctx.n / sharing)",
        "(1.01 * ctx.n / sharing)",
        "permk or perm_k",
    ),
    Mutant(
        "permk_cq: b 1 % too large",
        "compressors/permk_cq.py",
        "1), float(self.b))",
        "1), 1.01 * self.b)",
        "permkcq or permk_cq",
    ),
    Mutant(
        "drive: S 1 % too large",
        DRIVE,
        "S = np.divide(",
        "S = 1.01 * np.divide(",
        "drive",
    ),
    Mutant(
        "drive: the scale of least error 1 % too large",
        DRIVE,
        "S = length / y.shape[-1]",
        "S = 1.01 * length / y.shape[-1]",
        "drive",
    ),
    Mutant(
        "drive_plus: ratio 1 % too large",
        "compressors/drive_plus.py",
        "centroids *= ratio",
        "centroids *= 1.01 * ratio",
        "drive",
    ),
    Mutant(
        "iscc: weight 1 % too large",
        ISCC,
        "np.full(len(ctx.clients), self.tau / ctx.n)",
        "np.full(len(ctx.clients), 1.01 * self.tau / ctx.n)",
        "iscc",
    ),
    Mutant(
        "iscc: weight from probabilities 1 % too large",
        ISCC,
        "return self.tau * self._probabilities(ctx.n)[ctx.clients]",
        "return 1.01 * self.tau * self._probabilities(ctx.n)[ctx.clients]",
        "iscc",
    ),
    Mutant(
        "cq: levels 1 % too far apart",
        "compressors/lattice.py",
        "symbols.codes.astype(np.float64) * self.step",
        "symbols.codes.astype(np.float64) * self.step * 1.01",
        "cq",
    ),
    Mutant(
        "hadamard: lengths 1 % too large",
        "kernels/derived/rotation.py",
        "(x * signs(stream_key, D)) / np.sqrt(D))",
        "(x * signs(stream_key, D)) / np.sqrt(D) * 1.01)",
        "drive or cq or rotat",
    ),
    # --- randomness
    Mutant(
        "shift ranks without sigma",
        RANKS,
        "(shift + per_coordinate)",
        "(shift + np.asarray(clients)[:, None])",
        "ranks or cq",
    ),
    Mutant(
        "clients share their private streams",
        "keys.py",
        "int(stream), ids.astype(np.uint64))",
        "int(stream), 0 * ids.astype(np.uint64))",
    ),
    Mutant(
        "perm_k: the clients' turns are not permuted",
        "compressors/perm_k.py",
        "return dispatch.host().permuted_clients(ctx.key, ctx.clients, ctx.n)",
        "return ctx.clients",
        "permk or perm_k",
    ),
    Mutant(
        "iscc: each client draws on its own",
        ISCC,
        "words64(ctx.key.shared(Stream.DRAW), self.tau)",
        "words64(ctx.key.private(Stream.DRAW, ctx.clients[:1]), self.tau)[0]",
        "iscc",
    ),
    Mutant(
        "drive: the server undoes another rotation",
        "compressors/rotated_signs.py",
        "self.split(rotate(unit_x, rotation_keys(ctx)))",
        "self.split(rotate(unit_x, ctx.key.private(Stream.ROTATION, 0 * ctx.clients)))",
        "drive",
    ),
    # --- rounding
    Mutant(
        "round_linear: one level up",
        ROUNDING,
        "np.asarray((g >> 31) + ((words >> 1) < (g & 0x7FFFFFFF)))",
        "np.minimum((g >> 31) + 1 + ((words >> 1) < (g & 0x7FFFFFFF)), levels)",
        "dithering or terngrad",
    ),
    Mutant(
        "round_exponential: one level down",
        ROUNDING,
        "np.where(above, exponent - lowest, 0)",
        "np.where(above, exponent - lowest - 1, 0)",
        "natural",
    ),
    Mutant(
        "k_level_grid: one level down",
        ROUNDING,
        "return m, (numerator",
        "return np.maximum(m - 1, 0), (numerator",
        "cq",
    ),
    Mutant(
        "round_independent: <= for <",
        ROUNDING,
        "np.asarray((words >> 1) < g)",
        "np.asarray((words >> 1) <= g)",
        "iq",
    ),
    Mutant(
        "round_correlated: <= for <",
        ROUNDING,
        "(words >> 1) < n_clients * g",
        "(words >> 1) <= n_clients * g",
        "cq",
    ),
    Mutant(
        "round_linear: <= for <",
        ROUNDING,
        "(words >> 1) < (g & 0x7FFFFFFF)",
        "(words >> 1) <= (g & 0x7FFFFFFF)",
        "linear or dithering or terngrad",
    ),
    Mutant(
        "round_exponential: <= for <",
        ROUNDING,
        "(words >> 1) < np.floor(chance",
        "(words >> 1) <= np.floor(chance",
        "exponential or natural",
    ),
    # --- bytes
    Mutant(
        "top_k: places of one bit more",
        "compressors/coders.py",
        "        return (self.bound - 1).bit_length()",
        "        return (self.bound - 1).bit_length() + 1",
        "topk or top_k",
    ),
    Mutant(
        "top_k: places of one bit more for d a power of two",
        "compressors/coders.py",
        "        return (self.bound - 1).bit_length()",
        "        return self.bound.bit_length()",
        "topk or top_k",
    ),
    Mutant(
        "padding of bits is not checked",
        PACKING,
        "if bits[..., m:].any():",
        "if False:",
        "padding",
    ),
    Mutant(
        "padding of trits is not checked",
        PACKING,
        "if digits[:, m:].any():",
        "if False:",
        "padding or trit",
    ),
    Mutant(
        "bytes above 242 are taken for trits",
        PACKING,
        "if (codes > 242).any():",
        "if False:",
        "trit or 242",
    ),
    Mutant(
        "symbols beyond the alphabet are taken",
        PACKING,
        "if (symbols >= alphabet).any():",
        "if False:",
        "symbol or alphabet",
    ),
    # --- refusals
    Mutant(
        "the tag leaves out the client",
        "compressors/wire.py",
        " client={client} {key!r}",
        " {key!r}",
        "another",
    ),
    Mutant(
        "the tag leaves out n",
        "compressors/wire.py",
        "d={d} n={n_clients} client",
        "d={d} client",
        "another",
    ),
    Mutant(
        "the tag leaves out the options",
        "compressors/wire.py",
        'f"{c!r} d={d} n=',
        'f"{c.name} d={d} n=',
        "another",
    ),
    Mutant(
        "the tag leaves out d",
        "compressors/wire.py",
        "{c!r} d={d} n=",
        "{c!r} n=",
        "another",
    ),
    Mutant(
        "the tag leaves out the key",
        "compressors/wire.py",
        " client={client} {key!r}",
        " client={client}",
        "another",
    ),
    Mutant(
        "negative norms are taken",
        "compressors/checks.py",
        "if np.signbit(scales).any() or ",
        "if ",
        "negative or norm",
    ),
    Mutant(
        "norms below the smallest are taken",
        "compressors/checks.py",
        " or ((scales > 0) & (scales < smallest)).any():",
        ":",
        "negative or norm",
    ),
    Mutant(
        "codes of a zero norm are taken",
        "compressors/checks.py",
        "if zero.any() and (codes * zero).any():",
        "if False:",
        "zero or norm",
    ),
    Mutant(
        "drive_plus: centroids in the wrong order are taken",
        "compressors/drive_plus.py",
        "if (low > high).any():",
        "if False:",
        "centroid or drive_plus or norm",
    ),
    Mutant(
        "a payload of a silent client is taken",
        "compressors/wire.py",
        'if n_codes == n_scales == 0:\n            raise ValueError(f"client',
        'if False:\n            raise ValueError(f"client',
        "silent",
    ),
    # --- compiled
    Mutant(
        "compiled cq: sigma is missing",
        COMPILED,
        "rank = (shared_word & LOW) * (n & LOW) + place\n",
        "rank = (shared_word & LOW) * (n & LOW)\n",
        "cq",
    ),
    Mutant(
        "compiled decoding: values 1 % too large",
        LOOPS + "one_bit_read.py",
        "part[l] = R if (byte[l] >> k) & 1 else -R",
        "part[l] = 1.01 * R if (byte[l] >> k) & 1 else -1.01 * R",
        "iq or cq",
    ),
    Mutant(
        "compiled sigma: one round less",
        LOOPS + "permutation.py",
        "        for r in range(SIGMA_ROUNDS):\n            if r % 4 == 0:",
        "        for r in range(SIGMA_ROUNDS - 1):\n            if r % 4 == 0:",
        "cq",
    ),
    Mutant(
        "compiled sum of squares: the last row is left out",
        LOOPS + "sums.py",
        "            level, here, end = 0, p, groups",
        "            level, here, end = 0, p, max(groups - 1, 1)",
        "norm or iq",
    ),
    Mutant(
        "compiled levels: a word that is equal goes up",
        LOOPS + "levels.py",
        "(np.int64(word[l] >> ONE) < (g & FRACTION))",
        "(np.int64(word[l] >> ONE) <= (g & FRACTION))",
        "dithering or terngrad or levels",
    ),
    Mutant(
        "compiled drive: the same signs in every chunk",
        LOOPS + "drive.py",
        "philox(u64(quarter * c + l), ZERO",
        "philox(u64(l), ZERO",
        "drive",
    ),
    Mutant(
        "compiled encode: close decisions stay as they are",
        LOOPS + "one_bit_encode.py",
        "NEAR = f32(1024.0)",
        "NEAR = f32(0.0)",
        "float32",
    ),
    Mutant(
        "drive: scale 1 % too large",
        REFERENCE + "hadamard.py",
        "* unit * np.sqrt(D) / length",
        "* unit * np.sqrt(D) / length * 1.01",
        "drive",
    ),
]


class Copy:
    """A copy of the checkout, whose code its tests import."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        ignored = shutil.ignore_patterns("__pycache__", "crash-*")
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)
        # Without bytecode no file can be taken for its older self of the same second.
        self.env = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        code = "import cqlib, sys; sys.stdout.write(cqlib.__file__)"
        imported = self._python("-c", code).stdout
        if Path(imported).resolve() != (folder / "cqlib/__init__.py").resolve():
            sys.exit(f"mutants: the tests would import {imported!r}, not the copy in {folder}")

    def run(self, mutant: Mutant | None, tests: list[str], count: bool) -> str:
        """Return the first failure, or how many there are; nothing if all tests pass."""
        if mutant is None:
            return self._failures(tests, "", count)
        self.env["CQLIB_BACKEND"] = "cpu" if mutant.file.startswith(LOOPS) else "reference"
        path = self.root / "cqlib" / mutant.file
        text = path.read_text()
        path.write_text(mutated(mutant, text))
        try:
            filtered = mutant.only and not count and self._failures(tests, mutant.only, count)
            return filtered or self._failures(tests, "", count)
        finally:
            path.write_text(text)

    def _failures(self, tests: list[str], only: str, count: bool) -> str:
        options = ["-q", "-p", "no:cacheprovider", *([] if count else ["-x"])]
        files = [f"tests/{name}" for name in tests]
        ran = self._python("-m", "pytest", *options, *(["-k", only] if only else []), *files)
        if ran.returncode in (0, 5):  # 5: the filter leaves no test
            return ""
        failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", ran.stdout, re.MULTILINE)
        if not failed:
            sys.exit(f"mutants: pytest itself failed\n{ran.stdout}\n{ran.stderr}")
        return f"{len(failed)} tests" if count else failed[0].removeprefix("tests/")

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
        )


def mutated(mutant: Mutant, text: str) -> str:
    """Return the text with the change made; end everything if its place is not unique."""
    if text.count(mutant.old) != 1:
        sys.exit(
            f"mutants: {mutant.name}: the text {mutant.old!r} is in {mutant.file} "
            f"{text.count(mutant.old)} times, not once; change the list in tools/mutants.py"
        )
    return text.replace(mutant.old, mutant.new)


def caught(
    mutants: list[Mutant | None], tests: list[str], *, count: bool, jobs: int
) -> Iterator[str]:
    """Yield what catches each mutant, in their order."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies: Queue[Copy] = Queue()
        for i in range(jobs):
            copies.put(Copy(Path(folder) / str(i)))

        def one(mutant: Mutant | None) -> str:
            copy = copies.get()
            try:
                return copy.run(mutant, tests, count)
            finally:
                copies.put(copy)

        yield from pool.map(one, mutants)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants with one of these in their names")
    parser.add_argument("--without-golden", action="store_true", help="leave the golden bytes out")
    parser.add_argument("--only-golden", action="store_true", help="run nothing but those")
    parser.add_argument("--tests", nargs="+", help="these files of tests/ instead")
    parser.add_argument("--count", action="store_true", help="count all failures, slowly")
    parser.add_argument(
        "--no-baseline", action="store_true", help="do not run them unchanged first"
    )
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    arguments = parser.parse_args()

    tests = arguments.tests or list(TESTS if arguments.without_golden else (GOLDEN, *TESTS))
    tests = [GOLDEN] if arguments.only_golden else tests
    tests = [name for name in tests if (ROOT / "tests" / name).exists()]
    mutants: list[Mutant | None] = [
        m for m in MUTANTS if not arguments.words or any(w in m.name for w in arguments.words)
    ]
    for mutant in mutants:
        mutated(mutant, (ROOT / "cqlib" / mutant.file).read_text())
    print(f"tests: {' '.join(tests)}")
    survivors = 0
    width = max(len(m.name) for m in mutants)
    first = [] if arguments.no_baseline else [None]
    results = caught([*first, *mutants], tests, count=arguments.count, jobs=arguments.jobs)
    if first and (unmutated := next(results)):
        sys.exit(f"mutants: a test fails without any mutant: {unmutated}")
    print(f"{'mutant':{width}} | caught by")
    for mutant, by in zip(mutants, results, strict=True):
        survivors += not by
        print(f"{mutant.name:{width}} | {by or 'NOTHING: IT SURVIVES'}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} caught")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
