"""Rounding to powers of two and sums of them: the compiled loops against the reference."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from cqlib.kernels import cpu, reference
from cqlib.kernels.reference.rounding import round_exponential
from cqlib.keys import Key

KEY = Key(3, 4)
SIZES = (1, 7, 1000, 1024, 1025, 5119, 5121, 20_481)
LEVELS = [(0, 1), (-3, 2), (-6, 7), (-123, 124), (-126, 127), (-126, 254)]
both = pytest.mark.parametrize("kernels", [cpu, reference])


def vector(d, lowest, dtype):
    """Return entries of all sizes, some of them powers of two and some zero."""
    rng = np.random.default_rng(d)
    x = rng.normal(size=d) * np.exp2(rng.uniform(lowest - 8, 0, d))
    x[::5] = np.copysign(np.exp2(rng.integers(lowest - 2, 1, len(x[::5]))), x[::5])
    x[::7] = 0.0
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("lowest", "levels"), LEVELS)
@pytest.mark.parametrize("d", SIZES)
def test_the_loops_give_the_bits_of_the_reference(d, lowest, levels, dtype):
    x = vector(d, lowest, dtype)
    most = np.exp2(lowest + levels - 1)  # the largest level
    scale = np.float32(np.abs(x).max() / most if levels < 254 else 1.0)
    given = {"lowest": lowest, "levels": levels}
    codes = reference.encode_powers(x, scale, key=KEY, client=2, **given)
    assert (cpu.encode_powers(x, scale, key=KEY, client=2, **given) == codes).all()
    values = reference.decode_powers(codes, scale, d=d, **given)
    assert cpu.decode_powers(codes, scale, d=d, **given).tobytes() == values.tobytes()
    signs = np.sign(values.astype(np.float64))
    assert (signs * x >= 0).all()


def test_a_power_of_two_stays_what_it_is():
    x = np.ldexp(1.0, -np.arange(7)) * np.array([1, -1, 1, -1, 1, -1, 1])
    for kernels in (cpu, reference):
        codes = kernels.encode_powers(x, np.float32(1), lowest=-6, levels=7, key=KEY, client=0)
        found = kernels.decode_powers(codes, np.float32(1), d=7, lowest=-6, levels=7)
        assert (found == x).all()


def test_the_chance_of_the_level_above():
    y, most = np.array([0.75, 0.25 / 8]), 2**32
    for chance in (0.5, 0.125):  # 0.75 lies half way, 1/32 an eighth of the way to the smallest
        below, above = int(chance * most) - 1, int(chance * most)
        place = 0 if chance == 0.5 else 1
        levels = [round_exponential(y, np.array([word]), -2)[place] for word in (below, above)]
        assert levels[0] - levels[1] == 1


@both
def test_a_zero_vector_has_no_codes(kernels):
    codes = kernels.encode_powers(
        np.zeros(100), np.float32(0), lowest=-6, levels=7, key=KEY, client=0
    )
    assert not codes.any()


@both
def test_what_is_no_message_is_refused(kernels):
    given = {"d": 100, "lowest": -6, "levels": 7}
    with pytest.raises(ValueError, match="expected 50 code bytes, got 49"):
        kernels.decode_powers(np.zeros(49, dtype=np.uint8), np.float32(1), **given)
    with pytest.raises(ValueError, match="symbols must be below 15"):
        kernels.decode_powers(np.full(50, 255, dtype=np.uint8), np.float32(1), **given)


@both
@pytest.mark.parametrize(("lowest", "levels"), [(-127, 3), (0, 0), (-126, 255), (127, 2)])
def test_levels_that_are_no_floats_are_refused(kernels, lowest, levels):
    given = {"lowest": lowest, "levels": levels}
    with pytest.raises(ValueError, match=r"levels must be powers of two from 2\^-126 to 2\^127"):
        kernels.encode_powers(np.ones(5), np.float32(1), key=KEY, client=0, **given)
    with pytest.raises(ValueError, match="levels must be powers of two"):
        kernels.decode_powers(np.zeros(5, dtype=np.uint8), np.float32(1), d=5, **given)


def test_sums_of_powers():
    rng = np.random.default_rng(3)
    pairs = list(itertools.product(range(-40, 41), repeat=2))
    a, b = np.array(pairs, dtype=np.int8).T
    for word in (0, 1, 2, 3, 2**31, 2**32 - 1, *rng.integers(0, 2**32, 40)):
        words = np.full(len(a), word)
        found = cpu.add_powers(a, b, words)
        assert found.dtype == np.int16
        assert (found == reference.add_powers(a, b, words)).all()


def test_sums_of_powers_in_batches():
    rng = np.random.default_rng(4)
    a, b = rng.integers(-200, 201, (2, 3, 5, 1500)).astype(np.int16)
    words = rng.integers(0, 2**32, (5, 1500))
    assert (cpu.add_powers(a, b, words) == reference.add_powers(a, b, words)).all()


def test_words_of_one_entry_are_broadcast_without_a_warning_of_numpy():
    """In a new process, where Numba looks at its arguments for the first time."""
    code = (
        "import numpy as np\n"
        "from cqlib.kernels import cpu\n"
        "a = np.ones((1, 1), dtype=np.int16)\n"
        "assert (cpu.add_powers(a, a, np.array([7])) == 2).all()\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
