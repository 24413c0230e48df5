"""Kernels made of the others: random subsets, random rotations, sums of messages."""
