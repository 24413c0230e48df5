"""How the notebooks' figures are drawn: each function takes the numbers and returns a figure."""
