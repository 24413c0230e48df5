"""Numerical kernels: the rounding and packing that every compressor is built from."""
