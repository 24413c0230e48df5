"""Random words: Philox blocks, keys of streams, and one word per coordinate of a stream."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike

from cqlib.kernels.api.types import Array, StreamKey
from cqlib.keys import Key, Stream
from cqlib.philox import Words


class HostWords(Protocol):
    """Random words as NumPy arrays."""

    def philox4x32(
        self, counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]
    ) -> tuple[Words, Words, Words, Words]:
        """Return Philox blocks for arrays of words that broadcast; see :mod:`cqlib.philox`."""
        ...

    def private_keys(self, key: Key, stream: Stream, clients: ArrayLike) -> tuple[Array, Array]:
        """Return the keys of the clients' own streams; see :meth:`Key.private`."""
        ...

    def stream_words(self, stream_key: StreamKey, d: int) -> Array:
        """Return the words of coordinates 0..d-1 of a stream; see ``reference.words``.

        Args:
            stream_key: two words, or two arrays of shape (rows,): one stream per row.
            d: number of coordinates.

        Returns:
            int64 array of shape (d,) or (rows, d), values in [0, 2^32).
        """
        ...
