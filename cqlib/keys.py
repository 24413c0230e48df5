"""Keys: the source of every random number of the project.

A ``Key`` names a seed and a communication round. From it each purpose draws its own stream:
shared streams are the same for all clients, private streams differ from client to client.
There is no generator object, no state and no global generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqlib.philox import MASK32, philox4x32

_MAX64 = 2**64 - 1


class Stream(IntEnum):
    """The purpose of a stream of random words; the numbers are part of the wire format.

    >>> Stream.COIN, Stream.COIN.use
    (<Stream.COIN: 4>, 'shared: does this round send full gradients?')
    """

    use: str

    def __new__(cls, number: int, use: str) -> Stream:
        """Return a member with its number as value and its use as attribute."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.use = use
        return member

    ROUNDING = 0, "private: which way a client rounds each coordinate"
    SHIFT = 1, "shared: one cyclic shift of the ranks per coordinate"
    SIGMA = 2, "shared: one permutation of the clients per tile of 1024 coordinates"
    PERMUTATION = 3, "shared: one literal permutation of the clients per coordinate"
    COIN = 4, "shared: does this round send full gradients?"
    SUBSET = 5, "private: which coordinates a client keeps"
    COLUMNS = 6, "shared: one permutation of the coordinates"
    ROWS = 7, "shared: one permutation of the clients, into blocks"
    ROTATION = 8, "private: a client's own rotation"
    COMMON_ROTATION = 9, "shared: one rotation for all clients"
    LEVELS = 10, "shared: where the levels of k-level CQ lie, per coordinate"
    DRAW = 11, "shared: which clients send"
    OUTPUT = 12, "shared: which iterate a method returns"
    REDUCTION = 13, "of a sum of two messages on its way: which way each coordinate is rounded"
    FOLD = 0xF01D, "derives the keys of tensors and buckets"


@dataclass(frozen=True)
class Key:
    """Root of all randomness of one communication round.

    Args:
        seed: run seed, an integer in [0, 2^64).
        round: communication round, an integer in [0, 2^64).

    Raises:
        ValueError: if either is not an integer in that range.

    >>> key = Key(seed=7)
    >>> key.next()
    Key(seed=7, round=1)
    >>> key.words(Stream.COIN) == Key(seed=7).words(Stream.COIN)  # stateless: same call, same bits
    True
    >>> key.words(Stream.COIN) == key.next().words(Stream.COIN)
    False
    """

    seed: int
    round: int = 0

    def __post_init__(self) -> None:
        for field in ("seed", "round"):
            object.__setattr__(self, field, _checked_64_bits(field, getattr(self, field)))

    def next(self) -> Key:
        """Return the key of the next communication round."""
        return replace(self, round=(self.round + 1) & _MAX64)

    def fold(self, i: int) -> Key:
        """Return the key of part ``i`` (a tensor, a bucket) of the same round.

        The new seed is the first two words of Philox(counter (i lo, i hi, FOLD, 0), key seed).

        Args:
            i: index of the part, an integer in [0, 2^64).

        Raises:
            ValueError: if i is not an integer in that range.

        >>> Key(7).fold(0) != Key(7).fold(1)
        True
        """
        i = _checked_64_bits("i", i)
        counter = (i & MASK32, i >> 32, int(Stream.FOLD), 0)
        lo, hi, _, _ = philox4x32(counter, self.seed_words)
        return replace(self, seed=lo | (hi << 32))

    def shared(self, stream: Stream) -> tuple[int, int]:
        """Return the key of a stream that all clients share: two words."""
        k0, k1, _, _ = philox4x32((*self.round_words, int(stream), 0), self.seed_words)
        return k0, k1

    def private(
        self, stream: Stream, clients: ArrayLike
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the keys of the clients' own streams.

        Args:
            stream: purpose of the stream.
            clients: client ids in [0, 2^32), any shape.

        Returns:
            Two uint64 arrays of the shape of ``clients``, values in [0, 2^32).

        Raises:
            ValueError: if an id is not an integer in that range.
        """
        counter = (*self.round_words, int(stream), checked_ids(clients))
        k0, k1, _, _ = philox4x32(counter, self.seed_words)
        return k0, k1

    def words(self, stream: Stream, block: int = 0) -> tuple[int, int, int, int]:
        """Return block ``block`` of a shared stream: four words in [0, 2^32)."""
        return philox4x32((block, 0, 0, 0), self.shared(stream))

    def uniform(self, stream: Stream) -> float:
        """Return one shared uniform number in [0, 1): the stream's first word over 2^32.

        >>> 0 <= Key(3, round=5).uniform(Stream.COIN) < 1
        True
        """
        return self.words(stream)[0] / 2**32

    @property
    def seed_words(self) -> tuple[int, int]:
        """The seed as two words, low one first."""
        return self.seed & MASK32, self.seed >> 32

    @property
    def round_words(self) -> tuple[int, int]:
        """The round as two words, low one first."""
        return self.round & MASK32, self.round >> 32


def runs_of_keys(keys: Sequence[Key]) -> tuple[list[Key], list[int]]:
    """Return the keys of runs of equal neighbours, and the ends of these runs.

    >>> runs_of_keys([Key(7), Key(7), Key(1)])
    ([Key(seed=7, round=0), Key(seed=1, round=0)], [2, 3])
    """
    found, ends = [], [0]
    for key, run in groupby(keys):
        found.append(key)
        ends.append(ends[-1] + sum(1 for _ in run))
    return found, ends[1:]


def words_of_keys(keys: Sequence[Key]) -> NDArray[np.uint64]:
    """Return rounds and seeds as words, low ones first: shape (keys, 4)."""
    return np.array([(*key.round_words, *key.seed_words) for key in keys], dtype=np.uint64)


def checked_ids(clients: ArrayLike) -> NDArray[np.uint64]:
    """Return client ids as 64-bit words.

    Raises:
        ValueError: if an id is not an integer in [0, 2^32).
    """
    ids = np.asarray(clients)
    if ids.dtype.kind not in "iu" or (ids < 0).any() or (ids > MASK32).any():
        raise ValueError(f"clients must be integers in [0, 2^32), got {clients!r}")
    return ids.astype(np.uint64)


def _checked_64_bits(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} must be an integer in [0, 2^64), got {value!r}")
    if not 0 <= int(value) <= _MAX64:
        raise ValueError(f"{name} must be in [0, 2^64), got {value}")
    return int(value)
