"""Packing of integers and levels: the compiled loops against the reference."""

import numpy as np
import pytest

from cqlib.kernels import cpu, reference
from cqlib.kernels.reference import packing

SIZES = (1, 7, 1023, 1024, 1025, 5120, 5121, 12_345)


@pytest.mark.parametrize("width", [1, 2, 5, 8, 9, 16, 23])
@pytest.mark.parametrize("d", SIZES)
def test_integers_of_a_fixed_length(width, d):
    values = np.random.default_rng(d).integers(0, 2**width, d)
    codes = cpu.pack_integers(values, width)
    assert (codes == reference.pack_integers(values, width)).all()
    assert (cpu.unpack_integers(codes, d, width) == values).all()
    assert (reference.unpack_integers(codes, d, width) == values).all()


@pytest.mark.parametrize("levels", [1, 2, 7, 31, 125, 127, 128, 5000])
@pytest.mark.parametrize("d", SIZES)
def test_levels_of_a_message(levels, d):
    signed = np.random.default_rng(d).integers(-levels, levels + 1, d)
    codes = packing.pack(packing.symbols_of(signed), 2 * levels + 1)
    for kernels in (cpu, reference):
        found = kernels.unpack_levels(codes, d=d, levels=levels)
        assert found.dtype == np.int32 and (found == signed).all()


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_what_is_no_message_is_refused(kernels):
    symbols = np.full(2000, 15)  # 15 levels have the symbols 0 to 14
    codes = packing.pack_integers(symbols, 4)
    with pytest.raises(ValueError, match="symbols must be below 15"):
        kernels.unpack_levels(codes, d=2000, levels=7)
    with pytest.raises(ValueError, match="expected 1000 code bytes, got 999"):
        kernels.unpack_levels(codes[:-1], d=2000, levels=7)
    codes = packing.pack_integers(np.zeros(1001, dtype=int), 3)
    codes[-1] = 255
    with pytest.raises(ValueError, match="padding"):
        kernels.unpack_integers(codes, 1001, 3)
