"""Sweeps: jobs over grids of parameters, and joins of their tables."""
