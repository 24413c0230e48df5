"""Break the library on purpose, one behaviour at a time, and see which test notices.

``python tools/mutants.py`` runs the tests until the first failure, with each mutant of
``mutation/catalogue.py`` in turn. It ends with 1 if a mutant survives or cannot be made. See
``--help``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.mutation.catalogue import MUTANTS, Mutant  # noqa: E402
from tools.mutation.changes import MutantError, function_of  # noqa: E402
from tools.mutation.plugin import VARIABLE  # noqa: E402

# Quick ones first.
TESTS = (
    "compressors/test_structure.py",
    "wire/test_payload.py",
    "wire/test_keys.py",
    "kernels/test_packing.py",
    "kernels/test_subsets.py",
    "kernels/test_rotation.py",
    "kernels/test_reference.py",
    "compressors/test_compressors.py",
    "compressors/test_fuzz.py",
    "compressors/test_errors.py",
    "kernels/test_kernels.py",
    "theory/test_theory.py",
)
GOLDEN = "compressors/test_golden.py"
SURVIVES = "NOTHING: IT SURVIVES"


def found(mutant: Mutant | None, tests: Sequence[str], *, count: bool) -> str:
    """Return the first failure, or how many there are; the reason if no test fails."""
    if mutant and mutant.only and not count:
        by, _ = failures(mutant, tests, mutant.only, count=False)
        if by:
            return by
    by, tally = failures(mutant, tests, "", count=count)
    if by or not mutant:
        return by
    calls, differences = tally
    if calls and not differences:
        return f"{SURVIVES}: {calls} calls of {mutant.target}, and it changed nothing"
    return SURVIVES if calls else f"{SURVIVES}: {mutant.target} was never called"


def failures(
    mutant: Mutant | None, tests: Sequence[str], only: str, *, count: bool
) -> tuple[str, tuple[int, int]]:
    """Run pytest; return what failed, and how often the mutant was called and made a difference."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "tools.mutation.plugin"]
    options += ([] if count else ["-x"]) + (["-k", only] if only else [])
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    env |= {"PYTHONPATH": str(ROOT)} | ({VARIABLE: mutant.name} if mutant else {})
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{name}" for name in tests)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    tally = re.search(r"^mutant: (\d+) calls, (\d+) changed$", ran.stdout, re.MULTILINE)
    calls, differences = map(int, tally.groups()) if tally else (0, 0)
    failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", ran.stdout, re.MULTILINE)
    # 5: the filter leaves no test
    if (ran.returncode not in (0, 5) and not failed) or (mutant and not tally):
        sys.exit(f"mutants: pytest itself failed\n{ran.stdout}\n{ran.stderr}")
    first = failed[0].removeprefix("tests/") if failed else ""
    return f"{len(failed)} tests" if failed and count else first, (calls, differences)


def table(mutants: Sequence[Mutant], found_by: Iterator[str]) -> int:
    """Print what catches each mutant; return how many nothing catches."""
    survivors = 0
    width = max(len(m.name) for m in mutants)
    print(f"{'mutant':{width}} | caught by")
    for mutant, by in zip(mutants, found_by, strict=True):
        survivors += by.startswith(SURVIVES)
        print(f"{mutant.name:{width}} | {by}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} caught")
    return survivors


def main() -> None:
    """Run the tests with each mutant."""
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
    options = parser.parse_args()

    tests = options.tests or [*([] if options.without_golden else [GOLDEN]), *TESTS]
    tests = [GOLDEN] if options.only_golden else tests
    if missing := [name for name in tests if not (ROOT / "tests" / name).exists()]:
        sys.exit(f"mutants: not in tests/: {', '.join(missing)}")
    words = options.words or [""]
    mutants = [m for m in MUTANTS if any(word in m.name for word in words)]
    if not mutants:
        sys.exit(f"mutants: no name has one of these in it: {', '.join(words)}")
    for mutant in mutants:
        try:
            function_of(mutant.target)
        except MutantError as error:
            sys.exit(f"mutants: {mutant.name}: {error}")
    print(f"tests: {' '.join(tests)}")
    if not options.no_baseline and (failed := found(None, tests, count=options.count)):
        sys.exit(f"mutants: a test fails without any mutant: {failed}")
    with ThreadPoolExecutor(options.jobs) as pool:
        one = pool.map(lambda mutant: found(mutant, tests, count=options.count), mutants)
        survivors = table(mutants, one)
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
