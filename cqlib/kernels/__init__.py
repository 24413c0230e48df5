"""Numerical kernels: the rounding and packing that every compressor is built from.

``api``
    the operations, said once: what they take, return and refuse; ``api.on_tensors`` makes kernels
    of NumPy arrays take tensors;
``reference``
    what the bits are, in NumPy: slow, obvious, normative;
``cpu``
    the same bits by compiled loops (``cpu.compiled``), on several threads;
``gpu``
    the same bits on a GPU, by Triton (``gpu.compiled``);
``dispatch``
    which of them runs;
``limits``
    what a backend lacks or leaves to another one, and why;
``derived``
    made of the others: random subsets, random rotations, sums on their way.

``one_bit``, ``levels``, ``powers`` and ``rotation`` are files of these names in ``api`` and in each
backend.
"""
