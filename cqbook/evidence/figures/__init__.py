"""The figures of the notebooks: each function takes the numbers and returns a figure."""
