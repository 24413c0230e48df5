"""Figures of the theory pages: from a table of numbers to a figure."""
