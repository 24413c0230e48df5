"""Sweeps: grids of parameters, run together, and their tables joined."""
