"""The compiled loops of the CPU kernels: Numba, one vector register of 64-bit lanes at a time.

Nothing here allocates more than a few tiles, and every sum has the order of ``reference``, so that
the bits are the same.

``words``, ``permutation``, ``sums``
    random words, the permutation of the clients in each tile, norms;
``one_bit``, ``one_bit_encode``, ``one_bit_read``
    IQ and CQ: exact decisions, whole tiles, and messages read;
``levels``, ``powers``, ``symbols``, ``integers``
    dithering to levels and powers of two, and packed symbols;
``butterflies``, ``drive``
    the fast Walsh-Hadamard transform, and DRIVE's signs and values;
``compile``
    how loops are compiled, and when machine code on disk is out of date.
"""
