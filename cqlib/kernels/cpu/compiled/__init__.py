"""The compiled loops of the CPU kernels, by Numba, vectorised over 64-bit lanes.

Scratch memory is a few tiles at most. Every sum has the order of ``reference``, so that the bits
are the same.

``words``, ``permutation``, ``sums``
    random words, the permutation of the clients in each tile, norms;
``one_bit``, ``one_bit_encode``, ``one_bit_read``
    IQ and CQ: exact rounding, whole tiles, and reading of messages;
``levels``, ``powers``, ``symbols``, ``integers``
    dithering to levels and powers of two, and packed symbols;
``butterflies``, ``drive``
    the fast Walsh-Hadamard transform, and DRIVE's signs and values;
``compile``
    the compiler's settings, and the cache of machine code.
"""
