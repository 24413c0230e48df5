"""Numerical kernels: the rounding and packing of all compressors.

``api``
    the contracts of the operations: arguments, results and errors; ``api.on_tensors`` adapts
    kernels of NumPy arrays to tensors;
``reference``
    the definition of the bits, in NumPy: slow and simple;
``cpu``
    the same bits by compiled loops (``cpu.compiled``), on several threads;
``gpu``
    the same bits on a GPU, by Triton (``gpu.compiled``);
``dispatch``
    the choice of a backend;
``limits``
    the operations that a backend lacks or leaves to another one, with reasons;
``derived``
    operations made of the others: random subsets, random rotations, sums of messages.

``api`` and each backend have files ``one_bit``, ``levels``, ``powers`` and ``rotation``.
"""
