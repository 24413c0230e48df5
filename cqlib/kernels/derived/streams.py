"""Streams that all clients share, for several keys at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cqlib.kernels import dispatch
from cqlib.kernels.api import StreamKey
from cqlib.keys import Key, Stream, words_of_keys

_ZERO = np.uint64(0)


def shared_of_each(keys: Sequence[Key], stream: Stream) -> StreamKey:
    """Return :meth:`Key.shared` of each key: two uint64 arrays of shape (keys,)."""
    words = words_of_keys(keys).T
    counter = (words[0], words[1], np.uint64(stream), _ZERO)
    k0, k1, _, _ = dispatch.host().philox4x32(counter, (words[2], words[3]))
    return np.asarray(k0), np.asarray(k1)


def uniform_of_each(keys: Sequence[Key], stream: Stream) -> NDArray[np.float64]:
    """Return :meth:`Key.uniform` of each key, shape (keys,).

    >>> two = [Key(3), Key(4)]
    >>> uniform_of_each(two, Stream.COIN).tolist() == [key.uniform(Stream.COIN) for key in two]
    True
    """
    counter = (_ZERO, _ZERO, _ZERO, _ZERO)
    first, _, _, _ = dispatch.host().philox4x32(counter, shared_of_each(keys, stream))
    return np.asarray(first / 2**32)
