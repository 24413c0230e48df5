"""Mutants name what there is, and a change is seen by all who hold the function."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants import GOLDEN, TESTS
from tools.mutation.catalogue import MUTANTS
from tools.mutation.changes import MutantError, function_of

ROOT = Path(__file__).resolve().parents[2]


def test_every_mutant_has_a_name_of_its_own():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) > 50


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_what_a_mutant_changes_is_there(mutant):
    assert callable(function_of(mutant.target))
    assert mutant.backend in ("reference", "cpu")


@pytest.mark.parametrize(
    "target",
    [
        "compressors.iq:round",
        "compressors.nowhere:IQ",
        "compressors.iq:IQ.dequantize",  # a method of its base class
        "kernels.reference.packing:TILE",
    ],
)
def test_what_is_not_there_is_refused(target):
    with pytest.raises(MutantError, match=target.split(":")[1]):
        function_of(target)


def test_the_tests_are_there():
    assert not [name for name in (GOLDEN, *TESTS) if not (ROOT / "tests" / name).is_file()]


@pytest.mark.slow
def test_everybody_who_holds_the_function_has_the_change():
    code = """
from cqlib.compressors.rotated_signs import _ROTATIONS
from cqlib.kernels import reference
from cqlib.kernels.derived import rotation
from cqlib.keys import Key
from tools.mutation.changes import put, result
tally = put(result(lambda r, a: 0 * r), "kernels.derived.rotation:hadamard_rotate")
import numpy as np
x = np.ones((1, 2))
keys = Key(1).private(8, np.array([0]))
rotate, back = _ROTATIONS["hadamard"]
assert (rotate(x, keys) == 0).all() and (rotation.hadamard_rotate(x, stream_key=keys) == 0).all()
assert (back(x, keys) != 0).any()
print(tally.calls, tally.differences)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.split() == ["2", "2"], ran.stderr
