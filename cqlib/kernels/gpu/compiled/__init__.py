"""The Triton functions; the files of ``kernels.gpu`` launch them on a grid of instances.

Divisions and comparisons are those of the reference, in float64 and 64-bit integers. Fused
multiply-adds are switched off, because they would change the rounding of sums of squares.
"""
