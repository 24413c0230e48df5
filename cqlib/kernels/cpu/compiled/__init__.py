"""The compiled loops of the CPU kernels: Numba, one vector register of 64-bit lanes at a time.

Nothing here allocates more than a few tiles, and nothing is summed in another order than
``reference`` does it, so that the bits are the same.

``words``, ``permutation``, ``sums``
    random words, the permutation of the clients in each tile, norms;
``one_bit``, ``one_bit_encode``, ``one_bit_read``
    IQ and CQ: decisions, whole tiles, and the mean of messages;
``levels``
    dithering;
``butterflies``, ``drive``
    the fast Walsh-Hadamard transform, and what is done with it.
"""
