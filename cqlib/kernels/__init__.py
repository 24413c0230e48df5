"""Numerical kernels: the rounding and packing that every compressor is built from.

``reference``
    what the bits are, in NumPy: slow, obvious, normative;
``cpu``
    the same bits by compiled loops (``cpu.loops``), on several threads;
``gpu``
    the same bits on a GPU, by Triton (``gpu.programs``);
``dispatch``
    which of them runs;
``derived``
    made of the others: random subsets, random rotations, sums on their way.
"""
