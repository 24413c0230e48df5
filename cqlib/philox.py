"""Philox4x32-10, the counter-based random number generator behind every random bit.

A counter-based generator has no state: word number c of a stream is a function of c and the
stream's key. Any process can compute any word, in any order, and gets the same bits.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

MASK32 = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)

# One word or an array of words: Python int, NumPy uint64 array or torch int64 tensor, each value
# in [0, 2^32). All three have the 64-bit product that Philox needs, so one function serves them.
Words = Any


def philox4x32(
    counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words], *, rounds: int = 10
) -> tuple[Words, Words, Words, Words]:
    r"""Apply the Philox4x32 bijection with ``rounds`` rounds.

    One round with multipliers $M_0, M_1$ and key $(k_0, k_1)$ maps
    $(c_0, c_1, c_2, c_3)$ to
    $(\mathrm{hi}(M_1 c_2) \oplus c_1 \oplus k_0,\ \mathrm{lo}(M_1 c_2),\
    \mathrm{hi}(M_0 c_0) \oplus c_3 \oplus k_1,\ \mathrm{lo}(M_0 c_0))$;
    between rounds the key grows by the Weyl constants modulo $2^{32}$.

    Args:
        counter: four words, each in [0, 2^32); arrays broadcast against each other and the key.
        key: two words, each in [0, 2^32).
        rounds: number of rounds; the project uses 10 throughout.

    Returns:
        Four words of the broadcast shape, each in [0, 2^32).

    Source: Salmon et al. 2011, section 3.3; known answers from the Random123 distribution.

    >>> [f"{w:08x}" for w in philox4x32((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0 = c0 * MULTIPLIERS[0]
        p1 = c2 * MULTIPLIERS[1]
        # The mask after the shift removes the sign that int64 tensors extend from the left.
        c0, c1 = ((p1 >> 32) & MASK32) ^ c1 ^ k0, p1 & MASK32
        c2, c3 = ((p0 >> 32) & MASK32) ^ c3 ^ k1, p0 & MASK32
        k0 = (k0 + WEYL[0]) & MASK32
        k1 = (k1 + WEYL[1]) & MASK32
    return c0, c1, c2, c3
