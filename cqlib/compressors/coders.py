"""Coders of symbols into bytes: by their alphabet, as integers, or several messages in a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cqlib.compressors.parts import Coder
from cqlib.compressors.types import Array
from cqlib.kernels import dispatch
from cqlib.kernels.reference import packing

_NOTHING = "none"


@dataclass(frozen=True)
class ByAlphabet(Coder):
    """Bits, trits or integers: the shortest code for an alphabet.

    >>> print(ByAlphabet(1000, 15), ByAlphabet(1000, 15).size)
    1000 integers of 4 bits, below 15 500
    """

    count: int = 0
    alphabet: int = 2

    @property
    def size(self) -> int:
        return packing.code_bytes(self.count, self.alphabet)

    def pack(self, symbols: Array) -> NDArray[np.uint8]:
        return dispatch.host().pack(symbols, self.alphabet)

    def unpack(self, data: NDArray[np.uint8]) -> Array:
        return dispatch.host().unpack(data, self.count, self.alphabet)

    def __str__(self) -> str:
        if not self.count:
            return _NOTHING
        width = (self.alphabet - 1).bit_length()
        kinds = {2: "bits", 3: "trits"}
        integers = f"integers of {width} bits, below {self.alphabet}"
        return f"{self.count} {kinds.get(self.alphabet, integers)}"


@dataclass(frozen=True)
class Integers(Coder):
    """Integers below any bound, at ceil(log2 bound) bits each.

    >>> print(Integers(2, 1000), Integers(2, 1000).size)
    2 integers of 10 bits, below 1000 3
    """

    count: int = 0
    bound: int = 2

    @property
    def size(self) -> int:
        return packing.integer_bytes(self.count, self._width)

    def pack(self, symbols: Array) -> NDArray[np.uint8]:
        return dispatch.host().pack_integers(symbols, self._width)

    def unpack(self, data: NDArray[np.uint8]) -> Array:
        packing.check_length(data, self.size)
        return dispatch.host().unpack_integers(data, self.count, self._width)

    def __str__(self) -> str:
        return f"{self.count} integers of {self._width} bits, below {self.bound}"

    @property
    def _width(self) -> int:
        return (self.bound - 1).bit_length()


@dataclass(frozen=True)
class Chain(Coder):
    """The symbols of several messages, one after the other.

    Args:
        parts: their coders.
        each: the word for one of them in ``str``, if all are alike.

    >>> print(Chain((Integers(2, 1000), ByAlphabet(2, 3))))
    2 integers of 10 bits, below 1000, then 2 trits
    """

    parts: tuple[Coder, ...]
    each: str = ""

    @property
    def count(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def pack(self, symbols: Array) -> NDArray[np.uint8]:
        packed, start = [np.zeros(0, dtype=np.uint8)], 0
        for part in self.parts:
            packed.append(part.pack(symbols[start : start + part.count]))
            start += part.count
        return np.concatenate(packed)

    def unpack(self, data: NDArray[np.uint8]) -> Array:
        packing.check_length(data, self.size)
        symbols, start = [np.zeros(0, dtype=bool)], 0
        for part in self.parts:
            symbols.append(part.unpack(data[start : start + part.size]))
            start += part.size
        return np.concatenate(symbols)

    def __str__(self) -> str:
        if self.each and self.parts:
            return f"of each {self.each}: {self.parts[0]}"
        told = [str(part) for part in self.parts if part.count]
        return ", then ".join(told) or _NOTHING
