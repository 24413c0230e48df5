"""The Triton programs: what one program of the grid does; the files of ``kernels.gpu`` launch them.

Divisions and comparisons are those of the reference, in float64 and 64-bit integers. Fused
multiply-adds are switched off: they would round sums of squares of float64 otherwise.
"""
