"""Common inputs of the tests of the evidence."""

from fractions import Fraction

import numpy as np

# Rows with rational norms.
ROWS = [(1, 2, -2), (2, 3, 6), (0, -4, 0), (-4, 4, 7), (0, 3, 4), (-6, 2, 3)]
# Rows whose parts all have rational norms.
PARTS = [(3, 4, 0, 0), (0, 0, -8, 6), (5, 0, 12, 0), (0, 7, 0, 0), (0, -9, 0, 12), (1, 0, 0, 0)]


def fractions(rows):
    return [[Fraction(v) for v in row] for row in rows]


def floats(rows):
    return np.array(rows, dtype=np.float64)
