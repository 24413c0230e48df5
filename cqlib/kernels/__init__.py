"""Numerical kernels: the rounding and packing that every compressor is built from.

``reference``
    what the bits are, in NumPy: slow, obvious, normative; its steps are in ``words``, ``ranks``,
    ``norms``, ``rounding``, ``packing`` and ``hadamard``;
``cpu``
    the same bits by compiled loops (``loops``), on several ``threads``; it takes the kernels of
    signed levels and rotations from ``cpu_levels`` and ``cpu_rotation``;
``triton``
    the same bits on a GPU (``programs``); ``gpu_report`` says what these are compiled to;
``dispatch``
    which of them runs;
``subsets``, ``rotation``
    random subsets, random rotations;
``buffers``
    what is asked of results and codes that the caller hands in.
"""
