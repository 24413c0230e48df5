"""Numerical kernels: the rounding and packing that every compressor is built from.

``reference``
    what the bits are, in NumPy: slow, obvious, normative;
``cpu``
    the same bits by compiled loops (``loops``);
``triton``
    the same bits on a GPU; ``gpu_report`` says what its programs are compiled to;
``dispatch``
    which of them runs;
``packing``, ``subsets``, ``rotation``
    layouts of codes, random subsets, random rotations.
"""
